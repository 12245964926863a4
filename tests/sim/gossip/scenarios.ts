/** The campaigns of gossip by name; `npm run sim -- --scenario NAME --seed N` runs one again. */
import type { Scenarios } from '@kith/sim'
import { runPlan } from './campaign.ts'
import type { Plan } from './campaign.ts'
import { faults } from './faults.ts'

const { loss, partition, oneWay, packetFilter, pause, crash, restart, leave, tags } = faults
const { corruption } = faults

export const plans = {
  'gossip-loss': { faults: [loss, tags], lastsS: [20, 60] },
  'gossip-partition': { faults: [partition, tags], lastsS: [15, 60] },
  'gossip-one-way': { faults: [oneWay, packetFilter], lastsS: [15, 60], membersMax: 32 },
  'gossip-pause': { faults: [pause, tags], lastsS: [10, 40] },
  'gossip-crash': { faults: [crash], lastsS: [20, 60], timesDetection: true },
  'gossip-restart': { faults: [restart, tags], lastsS: [5, 50] },
  'gossip-leave': { faults: [leave, tags], lastsS: [25, 50] },
  'gossip-talk': {
    faults: [loss, partition, pause, crash, restart],
    lastsS: [20, 60],
    membersMax: 16,
    talks: true,
  },
  'gossip-corrupt': {
    faults: [corruption, crash, restart],
    lastsS: [10, 40],
    membersMax: 12,
    sealed: true,
    talks: true,
  },
  'gossip-mix': {
    faults: [loss, partition, oneWay, pause, crash, restart, leave, tags],
    lastsS: [30, 90],
    membersMax: 32,
  },
} as const satisfies Readonly<Record<string, Plan>>

export const scenarios: Scenarios = Object.fromEntries(
  Object.entries(plans).map(([name, plan]) => [
    name,
    (seed, context) => runPlan(plan, seed, context),
  ]),
)
