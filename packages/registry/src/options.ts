/** The registry's figures: how much it holds, how often it speaks, how long it waits. */
import { type OptionProblem, showValue } from '@kith/interface'
import { problemError } from './errors.ts'

/** Bounds on what one registry holds and sends. More costs memory on every member. */
export interface RegistryLimits {
  /** Instances that this member may register; default 1 000. More is refused. */
  readonly servicesPerMemberMax: number
  /** Encoded bytes of all instances of one member; default 1 MiB. More is refused. */
  readonly memberBytesMax: number
  /** Members whose services are kept; default 10 000. Further ones are counted and ignored. */
  readonly membersMax: number
  /** Members heard of before the membership view has them; default 256, the oldest goes first. */
  readonly strangersMax: number
  /** Encoded bytes of all instances of all other members; default 32 MiB. More is ignored. */
  readonly bytesMax: number
  /**
   * Removed instances remembered one by one for a member; default 256, then all older ones at
   * once.
   */
  readonly tombstonesMax: number
  /** Checks that may run at the same time; default 64. Others wait for their turn. */
  readonly checksRunningMax: number
  /** Broadcasts that one announcement may take; default 16. A longer state is fetched instead. */
  readonly announcePartsMax: number
}

/** The pace of what goes over the network. All in milliseconds. */
export interface RegistryTimings {
  /**
   * Changes within this time travel together; default 10. More is fewer messages and later news.
   */
  readonly coalesceMs: number
  /**
   * Longest time between two announcements of what one has; default 60 000. It is stretched where
   * all announcements together would cost each member more than about 512 bytes a second: among a
   * hundred members to some nine minutes, among a thousand to some hundred.
   */
  readonly announceMs: number
  /** Added for each Kith member to the time over which all announce themselves to one who joined;
   * default 250: four a second over all members. */
  readonly announcePerMemberMs: number
  /** Wait before a gap is fetched, because the missing message may only be late; default 300. */
  readonly gapMs: number
  /** Bound on one fetch; default 5 000. */
  readonly fetchTimeoutMs: number
  /** Longest wait between two attempts to fetch the same; default 30 000. */
  readonly fetchBackoffMs: number
  /** How long a member that failed and came back waits for its own word before what was known of it
   * is served again; default 3 000. */
  readonly confirmMs: number
  /** How long news of a member that is not in the membership view are kept; default 60 000. */
  readonly strangerMs: number
}

export interface RegistrySettings extends RegistryLimits, RegistryTimings {}

interface Bound {
  readonly fallback: number
  readonly min: number
  readonly max: number
}

const bounds: Readonly<Record<keyof RegistrySettings, Bound>> = Object.freeze({
  servicesPerMemberMax: { fallback: 1_000, min: 1, max: 4_000 },
  memberBytesMax: { fallback: 1_048_576, min: 32_768, max: 3_145_728 },
  membersMax: { fallback: 10_000, min: 1, max: 100_000 },
  strangersMax: { fallback: 256, min: 1, max: 10_000 },
  bytesMax: { fallback: 33_554_432, min: 65_536, max: 4_294_967_296 },
  tombstonesMax: { fallback: 256, min: 0, max: 10_000 },
  checksRunningMax: { fallback: 64, min: 1, max: 10_000 },
  announcePartsMax: { fallback: 16, min: 1, max: 4_096 },
  coalesceMs: { fallback: 10, min: 0, max: 10_000 },
  announceMs: { fallback: 60_000, min: 1_000, max: 86_400_000 },
  announcePerMemberMs: { fallback: 250, min: 1, max: 60_000 },
  gapMs: { fallback: 300, min: 0, max: 60_000 },
  fetchTimeoutMs: { fallback: 5_000, min: 100, max: 60_000 },
  fetchBackoffMs: { fallback: 30_000, min: 100, max: 3_600_000 },
  confirmMs: { fallback: 3_000, min: 0, max: 600_000 },
  strangerMs: { fallback: 60_000, min: 1_000, max: 3_600_000 },
})

/**
 * Defaults with `overrides` on top; throws `ERR_REGISTRY_OPTIONS` that names every field at fault.
 */
export function resolveSettings(overrides: Partial<RegistrySettings> = {}): RegistrySettings {
  const problems: OptionProblem[] = []
  const settings: Record<string, number> = {}
  for (const [field, bound] of Object.entries(bounds)) {
    const given: unknown = overrides[field as keyof RegistrySettings]
    const value = given === undefined ? bound.fallback : given
    if (
      typeof value === 'number' &&
      Number.isInteger(value) &&
      value >= bound.min &&
      value <= bound.max
    ) {
      settings[field] = value
    } else {
      const want = `an integer from ${bound.min} to ${bound.max}`
      problems.push({ field, got: showValue(value), want })
    }
  }
  for (const field of Object.keys(overrides)) {
    if (field in bounds) continue
    const got = showValue((overrides as Record<string, unknown>)[field])
    problems.push({ field, got, want: 'absent (the name is not known here)' })
  }
  if (problems.length > 0) throw problemError('ERR_REGISTRY_OPTIONS', problems)
  return Object.freeze(settings) as unknown as RegistrySettings
}
