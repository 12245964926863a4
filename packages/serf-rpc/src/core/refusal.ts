/** From the words with which an agent refuses to a code to branch on; the words stay. */
import type { RpcErrorCode } from '../errors.ts'
import type { Command } from '../wire/message.ts'

/** In order: the first that fits counts. The words are those of Serf 0.9 and 0.10. */
const meanings: readonly (readonly [RegExp, RpcErrorCode])[] = [
  [/^Authentication required$/, 'ERR_RPC_AUTH_REQUIRED'],
  [/^Invalid authentication token$/, 'ERR_RPC_AUTH_INVALID'],
  [/^Certificate required: /, 'ERR_RPC_CERTIFICATE'],
  [/^Unsupported command$/, 'ERR_RPC_UNSUPPORTED'],
  [/^Unsupported IPC version$/, 'ERR_RPC_VERSION'],
  [/^Invalid event filter$|^Unknown log level|^Invalid expression/, 'ERR_RPC_FILTER'],
  [/exceeds .*limit|exceeds limit/i, 'ERR_RPC_TOO_LARGE'],
  [/^No pending queries matching ID$/, 'ERR_RPC_QUERY_UNKNOWN'],
  [/response already sent/, 'ERR_RPC_QUERY_ANSWERED'],
  [/past the deadline/, 'ERR_RPC_QUERY_LATE'],
]

export function refusalCode(command: Command, error: string): RpcErrorCode {
  const known = meanings.find(([words]) => words.test(error))
  if (known !== undefined) return known[1]
  switch (command) {
    case 'join':
      return 'ERR_RPC_JOIN_FAILED'
    case 'install-key':
    case 'use-key':
    case 'remove-key':
    case 'list-keys':
      return 'ERR_RPC_KEYS'
    default:
      return 'ERR_RPC_REFUSED'
  }
}
