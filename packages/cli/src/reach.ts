/** Tries the HTTP interface of each member from where the command runs. */
import { formatAddress, parseAddress } from '@kith/interface'
import { reachFailure, type ReachProblem, tlsContext } from '@kith/interface/node'
import { Agent, request } from 'undici'
import type { Io } from './io.ts'
import { readTls, type TlsFlags } from './tls.ts'

/** One member as `GET /v1/members` tells it. */
export interface MemberAnswer {
  readonly name: string
  readonly status: string
  readonly tags: Readonly<Record<string, string>>
}

/** What was met at a member from here; `advice` says what to do where it was not reached. */
export type Here =
  | { readonly reached: true }
  | {
      readonly reached: false
      readonly problem: ReachProblem | 'untried'
      readonly text: string
      readonly advice: string
    }

export interface Reached {
  readonly member: string
  readonly url: string
  readonly here: Here
}

export interface ReachFlags extends TlsFlags {
  /** Milliseconds for one member. */
  readonly timeout: number
}

/** Members that are tried at one time. */
const atOnceMax = 32
/** Times of one member that trying all of them may take together. */
const roundsMax = 5
/** Of an answer, which is 13 bytes long. */
const answerBytesMax = 4096
const httpTag = 'kith.http'
const secure = 'https://'

/** Where a member says that its HTTP interface is; undefined where it says nothing that is one. */
function httpUrlOf({ tags }: MemberAnswer): string | undefined {
  const text = tags[httpTag] ?? ''
  const encrypted = text.startsWith(secure)
  const address = parseAddress(encrypted ? text.slice(secure.length) : text)
  if (address === undefined || address.port === 0) return undefined
  return `${encrypted ? secure : 'http://'}${formatAddress(address)}`
}

/**
 * Members that live and say where they are, in their order; none is shown a token, because a tag
 * may lead anywhere. Never rejects for what it meets, and takes no longer than five times
 * `timeout`; throws `ERR_CLI_CONFIG` for certificates of no use.
 */
export async function reachMembers(
  members: readonly MemberAnswer[],
  flags: ReachFlags,
  io: Pick<Io, 'env'>,
): Promise<readonly Reached[]> {
  const places = members.flatMap((member) => {
    const url = member.status === 'alive' ? httpUrlOf(member) : undefined
    return url === undefined ? [] : [{ member: member.name, url }]
  })
  const needsTls = places.some(({ url }) => url.startsWith(secure))
  const { serverName, ...shown } = needsTls ? readTls(flags, io) : {}
  const name = serverName === undefined ? {} : { servername: serverName }
  const connect = { timeout: flags.timeout, allowH2: false, ...tlsContext(shown), ...name }
  const dispatcher = new Agent({ connect })
  const until = performance.now() + roundsMax * flags.timeout
  const found: Reached[] = []
  const waiting = places.entries()
  const worker = async (): Promise<void> => {
    for (const [at, { member, url }] of waiting) {
      const here = performance.now() < until ? await tried(url, flags.timeout, dispatcher) : untried
      found[at] = { member, url, here }
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(atOnceMax, places.length) }, worker))
  } finally {
    await dispatcher.destroy()
  }
  return found
}

async function tried(url: string, timeoutMs: number, dispatcher: Agent): Promise<Here> {
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const answer = await request(new URL('/livez', url), { dispatcher, signal })
    await answer.body.dump({ limit: answerBytesMax })
    if (answer.statusCode === 200) return { reached: true }
    return failed('other', `it answers ${answer.statusCode} where an agent says that it lives`)
  } catch (cause) {
    const { problem, text } = reachFailure(cause)
    return failed(problem, text)
  }
}

function failed(problem: ReachProblem, text: string): Here {
  return { reached: false, problem, text, advice: advice[problem] }
}

const untried: Here = {
  reached: false,
  problem: 'untried',
  text: 'there was no time left to try it',
  advice: 'give it more with `--timeout`',
}

const address = 'an address as `--http-advertise` that is reached from here'
const advice: Readonly<Record<ReachProblem, string>> = {
  refused: `see that its agent listens there (\`--http\`), or give it ${address}`,
  timedOut: `let TCP pass to that port on the way from here, or give it ${address}`,
  noRoute: `give it ${address}; where only members shall reach it, \`--no-network\` asks none`,
  nameUnknown: `give it ${address}, or see that its name can be resolved here`,
  closed: `see what listens there or cuts connections, or give it ${address}`,
  tls: 'name whom to trust with `--tls-ca`, what to show with `--tls-cert` and `--tls-key`',
  other: `see what listens there: an agent answers otherwise; or give it ${address}`,
}
