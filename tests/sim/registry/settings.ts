/** Small bounds, so that short runs meet them, and the pace of a small cluster. */
import type { RegistrySettings } from '@kith/registry'

export const fastSettings: RegistrySettings = Object.freeze({
  servicesPerMemberMax: 64,
  memberBytesMax: 65_536,
  membersMax: 64,
  strangersMax: 8,
  bytesMax: 1_048_576,
  tombstonesMax: 3,
  checksRunningMax: 8,
  announcePartsMax: 4,
  coalesceMs: 10,
  announceMs: 20_000,
  announcePerMemberMs: 100,
  gapMs: 300,
  fetchTimeoutMs: 2_000,
  fetchBackoffMs: 5_000,
  confirmMs: 3_000,
  strangerMs: 30_000,
})
