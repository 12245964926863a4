// Kith and the real `serf` in one cluster. The scenarios run side by side, each in its own.
import { describe, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { atTier, tier } from '../support/tier.ts'
import { encrypted, strangers } from './encrypted.ts'
import { linkedBySerf } from './link.ts'
import { walledOff } from './firewall.ts'
import { mixed } from './mixed.ts'
import { kithJoinsSerf, serfsJoinKith } from './membership.ts'
import { moves } from './moving.ts'
import { withCrew } from './support/crew.ts'
import { rotated } from './rotation.ts'
import { traffic } from './traffic.ts'

const walls = needs('root', 'iproute2', 'nft')
const places = needs('root', 'iproute2')

describe.skipIf(needs('serf').missing).concurrent('a real Serf', () => {
  it('GOS-40 is joined by Kith: alive, tags, failure and return both ways, leave', async () => {
    await withCrew(kithJoinsSerf)
  }, 120_000)

  it('GOS-40 joins Kith: alive, tags, failure and return, leave', async () => {
    await withCrew(serfsJoinKith)
  }, 120_000)

  it('GOS-108 with a key is joined by Kith, and joins it, and nothing is refused', async () => {
    await withCrew(encrypted)
  }, 60_000)

  it('GOS-108 tells who lacks its key what is wrong, as Kith tells a Serf', async () => {
    await withCrew(strangers)
  }, 60_000)

  it(
    'GOS-109 changes its key with Kith, told by either, under events of which none is lost',
    async () => {
      await withCrew(rotated)
    },
    atTier(120_000, 600_000),
  )

  it(
    'GOS-41 has nothing to complain about under traffic',
    async () => {
      await withCrew(traffic)
    },
    atTier(240_000, 720_000),
  )

  // In tier 2 in a file of its own, since it takes half an hour.
  it.skipIf(tier === 2)(
    'GOS-41 and two more, with three of ours, show the same members to either command',
    async () => {
      await withCrew(mixed)
    },
    240_000,
  )

  it('GOS-42 carries a service between Kith members that only it can reach, unheard', async () => {
    await withCrew(linkedBySerf)
  }, 120_000)

  it.skipIf(places.missing)(
    `GOS-212 GOS-213 is told when the machine of a Kith member gets another address ${places.reason}`,
    async () => {
      await withCrew(moves)
    },
    atTier(120_000, 400_000),
  )

  it.skipIf(walls.missing)(
    `GOS-42 carries entries past a firewall, also after either side was killed ${walls.reason}`,
    async () => {
      await withCrew(walledOff)
    },
    180_000,
  )
})
