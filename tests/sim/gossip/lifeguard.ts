/**
 * The experiment of the Lifeguard paper on our core: some members stand still for `blockedMs` and
 * run for `openMs`, over and over, and everybody else is well. What is counted are failures of
 * members that were never stopped, whoever reports them, and those that such members report.
 */
import { resolveOptions } from '@kith/gossip/core'
import type { Detector, Input, Output } from '@kith/gossip/core'
import { Cluster } from './cluster.ts'
import type { Actor, Watcher } from './cluster.ts'
import { serfCosts } from './machine.ts'

/** The columns: plain SWIM, each part of Lifeguard alone, all of it, and what Kith ships. */
export const detectors = {
  'plain SWIM': { awareness: false, suspicion: false, buddy: false, own: false },
  'probe only': { awareness: true, suspicion: false, buddy: false, own: false },
  'suspicion only': { awareness: false, suspicion: true, buddy: false, own: false },
  'buddy only': { awareness: false, suspicion: false, buddy: true, own: false },
  Lifeguard: { awareness: true, suspicion: true, buddy: true, own: false },
  Kith: { awareness: true, suspicion: true, buddy: true, own: true },
} as const satisfies Readonly<Record<string, Detector>>

export type Column = keyof typeof detectors

/**
 * What is held up: whole `processes`, as by SIGSTOP, or only the `messages` that a member sends and
 * receives, while its timers and all that it decides go on.
 */
export type Blocking = 'processes' | 'messages'

export interface Cell {
  /** Default `processes`. */
  readonly blocking?: Blocking
  /** Members that are stopped, all at the same moments. */
  readonly blocked: number
  readonly blockedMs: number
  readonly openMs: number
  readonly column: Column
  readonly seed: number
  /** Default 128. */
  readonly members?: number
}

export interface Found {
  /** Failures of healthy members, at all members. */
  readonly falseAll: number
  /** Of these, those reported by healthy members. */
  readonly falseHealthy: number
  /** Failures of blocked members, which are true as long as those stand still. */
  readonly failures: number
  readonly packets: number
  readonly bytes: number
}

/** Virtual times: until all know all, of the experiment, and for what began in it to end. */
const formMs = 15_000
export const lastsMs = 120_000
const drainMs = 60_000
/** What a socket of the usual size holds: 212,992 bytes, of which a small packet takes 768. */
const socketPackets = 277

class FailureWatcher implements Watcher {
  falseAll = 0
  falseHealthy = 0
  failures = 0
  readonly #blocked: ReadonlySet<string>

  constructor(blocked: ReadonlySet<string>) {
    this.#blocked = blocked
  }

  transition(actor: Actor, _input: Input, outputs: readonly Output[]): void {
    for (const output of outputs) {
      if (output.kind !== 'event' || output.event.kind !== 'fail') continue
      if (this.#blocked.has(output.event.member.name)) this.failures += 1
      else {
        this.falseAll += 1
        if (!this.#blocked.has(actor.name)) this.falseHealthy += 1
      }
    }
  }
}

/** One cell of the grid in one column; the seed is the same in each column. */
export function runCell(cell: Cell): Found {
  const { blocking = 'processes', blocked, blockedMs, openMs, column, seed, members = 128 } = cell
  const stopped = new Set<string>()
  const failures = new FailureWatcher(stopped)
  const cluster = new Cluster({
    seed,
    members,
    timings: resolveOptions('lan'),
    watchers: [failures],
    policy: { detector: detectors[column] },
    heldInboundMax: socketPackets,
    // A processor for each: whoever runs again has a queue to work off, at the pace of a process.
    machine: { processors: members, costs: serfCosts, timersFirst: true },
  })
  const { clock, network, actors, random } = cluster
  network.setFaults({ latencyMs: 0.2, jitterMs: 0.6 })
  const [first] = actors
  for (const [index, actor] of actors.entries()) {
    clock.post((index * 3000) / members, () => {
      cluster.start(actor)
      cluster.join(actor, first === undefined || first === actor ? [] : [first])
    })
  }
  clock.advanceTo(formMs)
  const chosen = random.shuffle(actors).slice(0, blocked)
  for (const { name } of chosen) stopped.add(name)
  const before = { packets: network.stats.packetsSent, bytes: network.stats.bytesSent }
  const endsAt = formMs + lastsMs
  const [block, unblock] =
    blocking === 'messages' ? (['hold', 'release'] as const) : (['pause', 'resume'] as const)
  while (clock.now() < endsAt) {
    for (const actor of chosen) cluster[block](actor)
    clock.advanceTo(Math.min(endsAt, clock.now() + blockedMs))
    for (const actor of chosen) cluster[unblock](actor)
    clock.advanceTo(Math.min(endsAt, clock.now() + openMs))
  }
  clock.advanceBy(drainMs)
  return {
    falseAll: failures.falseAll,
    falseHealthy: failures.falseHealthy,
    failures: failures.failures,
    packets: network.stats.packetsSent - before.packets,
    bytes: network.stats.bytesSent - before.bytes,
  }
}
