/** Keyring files: read with every mistake named, replaced so that a crash leaves old or new. */
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import type { Logger } from '@kith/interface'
import { replaceFile } from '@kith/interface/node'
import { GossipError } from '../errors.ts'
import { decodeKeyring, encodeKeyring, keyringBytesMax, keysMax } from '../wire/codec.ts'
import type { KeyringProblem, KeyringProblemKind } from '../wire/codec.ts'

const ownerOnly = 0o600
const othersRead = 0o044
const othersWrite = 0o022

const shape = 'it must be a JSON list of base64 keys, the primary first, as ["<kith keygen>"]'
const restore = 'restore it, from a backup or with the keys of another member'
const causes: Readonly<Record<KeyringProblemKind, string>> = {
  empty: `is empty, as after a write that was cut off: ${restore}`,
  tooLarge: `has more than ${keyringBytesMax} bytes: ${shape}`,
  notJson: `is no JSON, as after a write that was cut off: ${restore}; ${shape}`,
  notList: `is JSON but no list: ${shape}`,
  noKeys: `is a list without keys: ${shape}`,
  tooManyKeys: `has more than ${keysMax} keys: remove those that no member uses any more`,
  keyNotText: `is no text: ${shape}`,
  keyNotBase64: `is not base64 with its padding: copy it again whole, or make one with kith keygen`,
  keySize: `is not of 16, 24 or 32 bytes: copy it again whole, or make one with kith keygen`,
}

/**
 * The keys of `file`, at least one. Throws `ERR_GOSSIP_KEYRING_FILE`. The logger hears where others
 * can read or write them.
 */
export function readKeyring(file: string, logger: Logger): readonly Uint8Array[] {
  const keys = decodeKeyring(readBytes(file, logger))
  if (isProblem(keys)) throw problemError(file, keys)
  return keys
}

function isProblem(value: readonly Uint8Array[] | KeyringProblem): value is KeyringProblem {
  return !Array.isArray(value)
}

/** Not more than one byte beyond the limit, and never from something that would not end. */
function readBytes(file: string, logger: Logger): Uint8Array {
  let descriptor: number | undefined
  try {
    const stats = statSync(file)
    if (!stats.isFile()) throw new Error('it is no regular file')
    warnOfOthers(file, stats.mode, logger)
    descriptor = openSync(file, 'r')
    const bytes = new Uint8Array(keyringBytesMax + 1)
    return bytes.subarray(0, readSync(descriptor, bytes))
  } catch (cause) {
    throw fileError(file, 'unreadable', `cannot be read: ${(cause as Error).message}`, cause)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/**
 * Others who can read the keys can read the cluster and write to it. Warned of and not refused:
 * that is how secrets are mounted in containers.
 */
function warnOfOthers(file: string, fullMode: number, logger: Logger): void {
  const mode = fullMode & 0o777
  if (process.platform === 'win32' || (mode & (othersRead | othersWrite)) === 0) return
  const others = (mode & othersWrite) === 0 ? 'read' : 'write'
  const text = `users other than its owner can ${others} the keyring file: chmod 600 it`
  logger.warn({ file, mode: mode.toString(8) }, text)
}

/** Old or new, never half: written beside it, flushed, and moved over it. */
export async function writeKeyring(file: string, keys: readonly Uint8Array[]): Promise<void> {
  try {
    // A link stays one, and what it leads to is replaced.
    const target = await realpath(file)
    await replaceFile(target, encodeKeyring(keys), { mode: ownerOnly, beside: `${target}.tmp` })
  } catch (cause) {
    const reason = (cause as Error).message
    const text = `cannot be replaced: ${reason}; the keys in force stay as they were`
    throw fileError(file, 'unwritable', text, cause)
  }
}

function problemError(file: string, { kind, index }: KeyringProblem): GossipError {
  const what = index === undefined ? '' : `key ${index + 1} of `
  return fileError(file, kind, causes[kind], undefined, what, index)
}

function fileError(
  file: string,
  problem: string,
  text: string,
  cause: unknown,
  what = '',
  index?: number,
): GossipError {
  const keyring = { file, problem, ...(index === undefined ? {} : { index }) }
  return new GossipError('ERR_GOSSIP_KEYRING_FILE', `${what}the keyring file ${file} ${text}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { keyring },
  })
}
