// Kith and the real `serf` in one cluster, in the clear and under a key: the same scenarios.
import { describe, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { atTier } from '../support/tier.ts'
import { conflict } from './conflict.ts'
import { distance } from './distance.ts'
import { relayed } from './relay.ts'
import { kithGoesOn, serfGoesOn } from './snapshot.ts'
import { withCrew } from './support/crew.ts'
import { sealing } from './support/sealing.ts'
import { talk } from './talk.ts'

describe.skipIf(needs('serf').missing).concurrent.each([false, true])(
  'a real Serf, with a key: %s',
  (sealed) => {
    const keys = sealing(sealed)

    it(
      'GOS-137 knows how far Kith is, and Kith how far it is',
      async () => {
        await withCrew((crew) => distance(crew, keys))
      },
      atTier(60_000, 180_000),
    )

    it('GOS-146 goes on from the snapshot of a Kith member', async () => {
      await withCrew((crew) => serfGoesOn(crew, keys))
    }, 150_000)

    it('GOS-146 leaves a snapshot from which a Kith member goes on', async () => {
      await withCrew((crew) => kithGoesOn(crew, keys))
    }, 90_000)

    it('GOS-122 hears and is heard: events, queries, filters, large answers', async () => {
      await withCrew((crew) => talk(crew, keys))
    }, 120_000)

    it('GOS-122 relays answers of Kith, as Kith relays its own', async () => {
      await withCrew((crew) => relayed(crew, keys))
    }, 120_000)

    it('GOS-123 votes with us about names, and whoever came later goes', async () => {
      await withCrew((crew) => conflict(crew, keys))
    }, 150_000)
  },
)
