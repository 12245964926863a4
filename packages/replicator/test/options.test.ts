import { createLog } from '@kith/log'
import { describe, expect, it } from 'vitest'
import { createReplicator, resolveTuning, tuningDefaults } from '../src/index.ts'
import type { ReplicatorTuning } from '../src/index.ts'

describe('options', () => {
  it('REP-36 the defaults are good, and overrides are merged, not written into', () => {
    expect(resolveTuning()).toEqual(tuningDefaults)
    const mine = { pullWaitMs: 100, stallMs: undefined } as unknown as Partial<ReplicatorTuning>
    expect(resolveTuning(mine)).toEqual({ ...tuningDefaults, pullWaitMs: 100 })
    expect(Object.keys(mine)).toEqual(['pullWaitMs', 'stallMs'])
  })

  it('REP-36 everything that is wrong is named at once', () => {
    const wrong = {
      pullWaitMs: 1,
      gapPolicy: 'guess',
      backoffMinMs: 5_000,
      backoffMaxMs: 10,
      colour: 'red',
    } as unknown as Partial<ReplicatorTuning>
    expect(() => resolveTuning(wrong)).toThrow(/colour.*pullWaitMs.*gapPolicy.*backoffMaxMs/s)
    expect(() => resolveTuning({ bytesPerSecondMax: 1_000 })).toThrow(
      /bytesPerSecondMax must be 0, or an integer from 262144/,
    )
    expect(resolveTuning({ bytesPerSecondMax: 0 }).bytesPerSecondMax).toBe(0)
    expect(() => resolveTuning({ creditBytesMax: 5 * 1024 * 1024 })).toThrow(/creditBytesMax/)
  })

  it('REP-36 names of members and clusters are checked', () => {
    const options = { log: createLog(), source: () => undefined }
    expect(() => createReplicator({ ...options, member: '', clusterId: 'ä'.repeat(65) })).toThrow(
      /clusterId must be .*; member must be/,
    )
  })
})
