/** Why an answer could not be read, in words and codes that say what to do about it. */
import { GossipError } from '../errors.ts'
import type { GossipErrorCode } from '../errors.ts'
import type { Envelope } from '../wire/codec.ts'
import type { DecodeProblemKind } from '../wire/problem.ts'
import type { GossipWarning } from './types.ts'

/** What the far side would be told by its own logs, for us who see only its answer. */
export function problemText(problem: DecodeProblemKind, envelope: Envelope): string {
  switch (problem) {
    case 'encryptionMissing':
      return 'the answer is encrypted and this member has no key'
    case 'keyUnknown':
    case 'keyTrialsExceeded':
      return `the answer is encrypted, and ${keysText(envelope)} not open it`
    case 'plaintextRefused':
      return 'the answer is not encrypted although this member has a key'
    case 'streamEmpty':
      return `closed without an answer, as members of another label do (${labelText(envelope)})`
    default:
      return problem
  }
}

function keysText(envelope: Envelope): string {
  const count = envelope.keys().length
  const keys = count === 1 ? 'our key does' : `all ${count} keys of ours do`
  // The label is part of what is authenticated: a wrong one looks like a wrong key.
  return envelope.label.length === 0 ? keys : `${keys}, for the label ${quoted(envelope)},`
}

function labelText(envelope: Envelope): string {
  return envelope.label.length === 0 ? 'we have none' : `ours is ${quoted(envelope)}`
}

function quoted({ label }: Envelope): string {
  return JSON.stringify(new TextDecoder().decode(label))
}

const codes: Partial<Readonly<Record<DecodeProblemKind, GossipErrorCode>>> = {
  encryptionMissing: 'ERR_GOSSIP_KEY_MISSING',
  keyUnknown: 'ERR_GOSSIP_KEY_UNKNOWN',
  keyTrialsExceeded: 'ERR_GOSSIP_KEY_UNKNOWN',
  plaintextRefused: 'ERR_GOSSIP_NOT_ENCRYPTED',
}
const fixes: Partial<Readonly<Record<GossipErrorCode, string>>> = {
  ERR_GOSSIP_KEY_MISSING: 'the cluster is encrypted: give this member its key',
  ERR_GOSSIP_KEY_UNKNOWN: 'the cluster is encrypted with another key: give this member that one',
  ERR_GOSSIP_NOT_ENCRYPTED:
    'the cluster is not encrypted, or not yet: take the key away, or turn verifyIncoming off while it migrates',
}

/** What to do about keys that do not fit; undefined for any other code. */
export function keyFix(code: unknown): string | undefined {
  return typeof code === 'string' && Object.hasOwn(fixes, code)
    ? fixes[code as GossipErrorCode]
    : undefined
}

/** None of `count` addresses could be joined; a key that does not fit has a code of its own. */
export function joinError(
  count: number,
  failures: readonly string[],
  problems: readonly DecodeProblemKind[],
): GossipError {
  const code = problems.map((problem) => codes[problem]).find((found) => found !== undefined)
  const fix = code === undefined ? undefined : fixes[code]
  const found = `none of ${count} addresses could be joined: ${failures.join('; ')}`
  const message = fix === undefined ? found : `${fix}; ${found}`
  return new GossipError(code ?? 'ERR_GOSSIP_JOIN_FAILED', message.slice(0, 2000), {
    details: { failures },
  })
}

/** What listeners hear where a member that is alone reached nobody. */
export function seedsWarning(
  failures: readonly string[],
  problems: readonly DecodeProblemKind[],
): GossipWarning {
  const { code, message: reason } = joinError(failures.length, failures, problems)
  return { kind: 'seedsUnreachable', failures, code, reason }
}
