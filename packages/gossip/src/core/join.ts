/** Joining: an exchange of state with each of many addresses, a few at a time. */
import { formatAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { announceJoin } from './intents.ts'
import { isNewcomer } from './lineage.ts'
import { emit } from './state.ts'
import type { JoinJob, State } from './state.ts'

/** Exchanges of one join that run at one time: dead seeds must not hold up the living ones. */
export const joinParallelMax = 8

export function createJob(
  state: State,
  id: number | undefined,
  addresses: readonly Address[],
  ignoreOld: boolean | undefined = isNewcomer(state.talk.lineage) || undefined,
): JoinJob {
  return {
    id,
    waiting: [...addresses].reverse(),
    failures: [],
    problems: new Set(),
    ignoreOld,
    running: 0,
    joined: 0,
  }
}

/** The next addresses to start with now; the caller starts them. */
export function takeAddresses(job: JoinJob): readonly Address[] {
  const taken: Address[] = []
  while (job.running < joinParallelMax) {
    const address = job.waiting.pop()
    if (address === undefined) break
    job.running += 1
    taken.push(address)
  }
  return taken
}

/** One address is through; with the last one the command is done. `failure` absent is a success. */
export function joinEnded(
  state: State,
  job: JoinJob,
  to: Address,
  failure: string | undefined,
): void {
  job.running -= 1
  if (failure === undefined) job.joined += 1
  else job.failures.push(`${formatAddress(to)}: ${failure}`)
  state.joinsToContinue.add(job)
}

/** Everything contacted: tell the cluster that we are here, and the caller how it went. */
export function finishJoin(state: State, job: JoinJob): void {
  const { id, joined, failures, problems } = job
  if (id === undefined) return
  if (joined > 0 && state.phase === 'active') announceJoin(state)
  emit(state, { kind: 'done', id, join: { joined, failures, problems: [...problems] } })
}
