/**
 * Services come, go and change while the network loses, repeats and reorders, members crash, leave
 * and come back, and groups are cut off. Safety is checked after every step, agreement at the end.
 */
import type { InstancePlan } from '@kith/registry/core'
import { createVirtualClock, type Report, type Scenario, type Scenarios } from '@kith/sim'
import { antiEntropyMs, Cluster, handedOut, type Life, type Mutant, viewsMs } from './cluster.ts'
import { fastSettings } from './settings.ts'

const faultsMs = 60_000
/** The longest partition ends so much later. */
const lastFaultMs = faultsMs + 20_001
const sizeMax = 8
/**
 * From the last fault until every view must be the truth. A member hears of the others last after
 * `viewsMs`, and believes what it knew of them `confirmMs` later; each starts an exchange every
 * `antiEntropyMs`, so that whoever knows a thing at least doubles, and the last ones ask until they
 * meet one; what is then missing is fetched, after a failure with a pause.
 */
const boundMs =
  viewsMs +
  fastSettings.confirmMs +
  (Math.log2(sizeMax) + 4) * antiEntropyMs +
  fastSettings.fetchTimeoutMs +
  fastSettings.fetchBackoffMs
const settleStepMs = 250
/** Every announcement comes once more meanwhile, and must not change anything. */
const restMs = fastSettings.announceMs + 5_000
const names = ['web', 'api', 'db']

/** What each owner has registered now, and which registrations it took down. */
class Truth {
  readonly plans = new Map<string, Map<string, { plan: InstancePlan; status: string }>>()
  /** `member/id#round` of registrations that are over. */
  readonly over = new Set<string>()
  round = 0

  of(member: string): Map<string, { plan: InstancePlan; status: string }> {
    let plans = this.plans.get(member)
    if (plans === undefined) this.plans.set(member, (plans = new Map()))
    return plans
  }

  endOf(member: string, id: string): void {
    const ended = this.of(member).get(id)
    if (ended !== undefined) this.over.add(`${member}/${id}#${ended.plan.meta['round'] ?? ''}`)
    this.of(member).delete(id)
  }

  endAll(member: string): void {
    for (const id of [...this.of(member).keys()]) this.endOf(member, id)
  }

  /** What everybody must hand out once all is calm. */
  expected(cluster: Cluster): string[] {
    const lines: string[] = []
    for (const [member, plans] of this.plans) {
      if (!cluster.lives.has(member) || cluster.lives.get(member)?.state.own.draining) continue
      for (const { plan, status } of plans.values()) {
        lines.push(
          `${plan.service} ${member}/${plan.id}:${plan.port} ${status} ${plan.meta['round'] ?? ''}`,
        )
      }
    }
    return lines.sort()
  }
}

/** After every step: nobody absent is handed out, and nothing that ended and went comes back. */
function safety(truth: Truth): (life: Life) => void {
  const seen = new WeakMap<Life, { held: Set<string>; dropped: Set<string> }>()
  return (life) => {
    const memory = seen.get(life) ?? { held: new Set<string>(), dropped: new Set<string>() }
    seen.set(life, memory)
    const held = new Set<string>()
    for (const replica of life.state.replicas.values()) {
      for (const { instance } of replica.entries.values()) {
        if (instance === undefined) continue
        held.add(`${instance.member}/${instance.id}#${instance.meta['round'] ?? ''}`)
      }
    }
    for (const key of memory.held)
      if (!held.has(key) && truth.over.has(key)) memory.dropped.add(key)
    for (const key of held) {
      if (memory.dropped.has(key)) throw new Error(`${life.name} got ${key} back, which is over`)
    }
    memory.held = held
    for (const line of handedOut(life.state)) {
      const member = line.split(' ')[1]?.split('/')[0] ?? ''
      const status = life.view.get(member)
      if (member !== life.name && status !== 'alive') {
        throw new Error(`${life.name} hands out ${line} of a member that is ${status}`)
      }
    }
  }
}

function act(cluster: Cluster, truth: Truth): void {
  const { random } = cluster
  const alive = [...cluster.lives.keys()]
  if (alive.length === 0) return
  const member = random.pick(alive)
  const plans = truth.of(member)
  const choice = random.float()
  const id = `i${random.below(6)}`
  if (choice < 0.45) {
    truth.endOf(member, id)
    truth.round += 1
    const plan = makePlan(id, random.pick(names), truth.round, random.chance(0.1))
    plans.set(id, { plan, status: 'critical' })
    cluster.input(member, { kind: 'register', plan })
    // A check of the same name keeps its status over a registration.
    const kept = cluster.lives.get(member)?.state.own.live.get(id)?.current.status ?? 'critical'
    plans.set(id, { plan, status: kept })
  } else if (choice < 0.65) {
    truth.endOf(member, id)
    cluster.input(member, { kind: 'deregister', id })
  } else {
    const known = plans.get(id)
    if (known === undefined) return
    const status = random.pick(['passing', 'warning', 'critical'] as const)
    plans.set(id, { ...known, status })
    cluster.input(member, { kind: 'setCheck', id: `${id}/alive`, result: { status, output: '' } })
  }
}

function makePlan(id: string, service: string, round: number, large: boolean): InstancePlan {
  // Larger than a broadcast here: it travels in fragments, or has to be fetched.
  const meta: Record<string, string> = { round: String(round) }
  if (large) meta['note'] = 'x'.repeat(900)
  if (large && round % 2 === 0) meta['more'] = 'x'.repeat(900)
  const check = {
    id: `${id}/alive`,
    kind: 'ttl',
    passive: true,
    intervalMs: 86_400_000,
    timeoutMs: 1_000,
    successThreshold: 1,
    failureThreshold: 1,
    initialStatus: 'critical' as const,
    deregisterCriticalAfterMs: undefined,
  }
  return {
    service,
    id,
    address: '10.1.1.1',
    port: 1 + (round % 60_000),
    tags: [],
    meta,
    checks: [check],
  }
}

function disturb(cluster: Cluster, truth: Truth, counters: Record<string, number>): void {
  const { random } = cluster
  const count = (name: string): void => void (counters[name] = (counters[name] ?? 0) + 1)
  const choice = random.float()
  const down = cluster.names.filter((name) => !cluster.lives.has(name))
  if (choice < 0.3 && cluster.lives.size > 2) {
    const name = random.pick([...cluster.lives.keys()])
    count(choice < 0.22 ? 'crashes' : 'leaves')
    truth.endAll(name)
    if (choice < 0.22) cluster.crash(name)
    else cluster.leave(name)
  } else if (choice < 0.65 && down.length > 0) {
    count('restarts')
    const back = random.chance(0.3)
    if (back) count('clocksBack')
    cluster.start(random.pick(down), back ? 40_000 : 0)
  } else if (choice < 0.85 && cluster.cut.size === 0) {
    count('partitions')
    const mixed = random.shuffle(cluster.names)
    const at = 1 + random.below(mixed.length - 1)
    const heal = cluster.partition([mixed.slice(0, at), mixed.slice(at)])
    cluster.clock.after(random.between(2_000, 20_000), heal)
  } else {
    cluster.network.setFaults({ loss: random.between(0, 0.4) })
  }
}

export function registryScenario(mutant?: Mutant): Scenario {
  return (seed, context) => {
    const clock = createVirtualClock()
    const size = 3 + (seed % (sizeMax - 2))
    const note = (line: string): void => context.note(line)
    const cluster = new Cluster({ seed, size, clock, note, ...(mutant ? { mutant } : {}) })
    const truth = new Truth()
    const counters: Record<string, number> = {}
    cluster.onChange = safety(truth)
    cluster.network.setFaults({
      latencyMs: 5,
      jitterMs: 60,
      loss: 0.15,
      duplicate: 0.15,
      reorder: 0.2,
      reorderMs: 800,
    })
    for (const name of cluster.names) cluster.start(name)
    const { random } = cluster
    const every = (from: number, to: number, action: () => void): void => {
      clock.after(random.between(from, to), () => {
        if (clock.now() > faultsMs) return
        action()
        every(from, to, action)
      })
    }
    every(50, 900, () => act(cluster, truth))
    every(1_000, 8_000, () => disturb(cluster, truth, counters))
    clock.advanceTo(lastFaultMs)
    cluster.network.healAll()
    cluster.network.setFaults({ loss: 0, duplicate: 0, reorder: 0 })
    counters[settledAfter(cluster, truth)] = 1
    clock.advanceBy(restMs)
    agreement(cluster, truth)
    cluster.finish()
    return report(cluster, counters)
  }
}

/** Passes time until all agree, at most the bound; a name for how long it took. */
function settledAfter(cluster: Cluster, truth: Truth): string {
  const { clock } = cluster
  for (let ms = 0; ; ms += settleStepMs) {
    try {
      agreement(cluster, truth)
      return `settled within ${Math.max(5, Math.ceil(ms / 5_000) * 5)} s`
    } catch (cause) {
      if (ms >= boundMs) throw cause
      clock.advanceBy(settleStepMs)
    }
  }
}

function agreement(cluster: Cluster, truth: Truth): void {
  const expected = truth.expected(cluster).join('\n')
  for (const life of cluster.lives.values()) {
    const got = handedOut(life.state).sort().join('\n')
    if (got === expected) continue
    throw new Error(`${life.name} hands out\n${got}\ninstead of\n${expected}`)
  }
}

function report(cluster: Cluster, counters: Record<string, number>): Report {
  const { lost, duplicated, reordered, partitioned } = cluster.network.stats
  return {
    digest: cluster.network.traceDigest(),
    counters: { ...counters, ...cluster.counters, lost, duplicated, reordered, partitioned },
  }
}

export const scenarios: Scenarios = { registry: registryScenario() }
