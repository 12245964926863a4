/** How soon a crash is found, and whom else the members give up meanwhile. */
import type { GossipTimings, Input, Output } from '@kith/gossip/core'
import { Cluster } from './cluster.ts'
import type { Actor, Watcher } from './cluster.ts'

export interface DetectionOptions {
  readonly seed: number
  readonly members: number
  /** Of the member with this number. */
  readonly timings: (index: number) => GossipTimings
  /** A share of all packets is lost. */
  readonly loss?: number
  /** One member in ten stands still for so long, again and again, with a second between. */
  readonly blockedMs?: number
}

export interface Detection {
  /** Milliseconds from the crash to the first suspicion, the first failure, and the last one. */
  readonly suspectedMs: number
  readonly firstMs: number
  readonly lastMs: number
  /** Failures of members that never stood still. */
  readonly falseFailures: number
  readonly refutes: number
}

const blockings = 6
const limitMs = 120_000

class DetectionWatcher implements Watcher {
  falseFailures = 0
  refutes = 0
  suspectedAt = Infinity
  readonly failedAt = new Map<Actor, number>()
  readonly blocked = new Set<string>()
  victim: string | undefined

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    for (const output of outputs) {
      if (output.kind !== 'event') continue
      const { event } = output
      if (event.kind === 'refute') this.refutes += 1
      if (event.kind === 'suspect' && event.name === this.victim) {
        this.suspectedAt = Math.min(this.suspectedAt, now)
      }
      if (event.kind !== 'fail') continue
      const { name } = event.member
      if (name === this.victim) this.failedAt.set(actor, now)
      else if (!this.blocked.has(name)) this.falseFailures += 1
    }
  }
}

/** A cluster forms, suffers where it shall, and then one of its members crashes without a word. */
export function detection(options: DetectionOptions): Detection {
  const { seed, members, timings, loss = 0, blockedMs = 0 } = options
  const watcher = new DetectionWatcher()
  const cluster = new Cluster({
    seed,
    members,
    timings: timings(0),
    timingsOf: timings,
    watchers: [watcher],
  })
  const { clock, actors, random, network } = cluster
  network.setFaults({ latencyMs: 0.2, jitterMs: 2, straggler: 0.005 })
  for (const [index, actor] of actors.entries()) {
    clock.post((index * 3000) / members, () => {
      cluster.start(actor)
      cluster.join(actor, index === 0 ? [] : [actors[random.below(index)] ?? actor])
    })
  }
  clock.advanceTo(10_000)
  network.setFaults({ loss })
  const tenth = Math.ceil(members / 10)
  const blocked = blockedMs > 0 ? actors.slice(-tenth) : []
  for (const actor of blocked) watcher.blocked.add(actor.name)
  for (let left = blocked.length > 0 ? blockings : 0; left > 0; left -= 1) {
    for (const actor of blocked) cluster.pause(actor)
    clock.advanceBy(blockedMs)
    for (const actor of blocked) cluster.resume(actor)
    clock.advanceBy(1000)
  }
  clock.advanceBy(random.between(5000, 6000))
  const victim = actors[random.below(members - tenth)]
  if (victim === undefined) throw new Error('there is nobody to crash')
  watcher.victim = victim.name
  const crashedAt = clock.now()
  cluster.crash(victim, 'swallow')
  const live = cluster.live().length
  while (watcher.failedAt.size < live && clock.now() < crashedAt + limitMs) clock.advanceBy(20)
  const times = [...watcher.failedAt.values()]
  return {
    suspectedMs: watcher.suspectedAt - crashedAt,
    firstMs: Math.min(Infinity, ...times) - crashedAt,
    lastMs: times.length < live ? Infinity : Math.max(...times) - crashedAt,
    falseFailures: watcher.falseFailures,
    refutes: watcher.refutes,
  }
}
