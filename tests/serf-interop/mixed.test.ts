// Tier 2: three agents of Serf and three of ours for half an hour, driven through both commands.
import { describe, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { tier } from '../support/tier.ts'
import { mixed } from './mixed.ts'
import { withCrew } from './support/crew.ts'

describe.skipIf(tier === 1 || needs('serf').missing)(
  'Serf and Kith (tier 2: npm run prove)',
  () => {
    it('GOS-41 show the same members to either command, and complain of nothing', async () => {
      await withCrew(mixed)
    }, 3_600_000)
  },
)
