/** The event loop as the engine sees it: a clock by hand, whose timers may run late. */
import { createRandom } from '@kith/interface'
import type { Clock } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import { createState, nextDeadline, resolveOptions } from '../../src/core/index.ts'
import type { GossipEvent, Input, State } from '../../src/core/index.ts'
import { createEngine } from '../../src/runtime/engine.ts'
import type { Engine } from '../../src/runtime/engine.ts'
import { encodeMessage, encodePacket } from '../../src/wire/codec.ts'
import type { PacketMessage } from '../../src/wire/message.ts'
import { addressOf, alive, selfAddress, selfName, suspect } from '../core/support.ts'

interface Timer {
  readonly at: number
  readonly callback: () => void
}

/** A loop with a socket: its timers run first, then up to 32 packets are read, as Node.js does. */
class Loop {
  now = 0
  readonly clock: Clock
  readonly state: State
  readonly engine: Engine
  readonly events: GossipEvent[] = []
  readonly socket: PacketMessage[][] = []
  readonly timers = new Set<Timer>()

  constructor() {
    this.clock = {
      now: () => this.now,
      wallNow: () => this.now,
      after: (delayMs, callback) => {
        // Timers of Node.js take a millisecond at the least.
        const timer = { at: this.now + Math.max(1, delayMs), callback }
        this.timers.add(timer)
        return () => void this.timers.delete(timer)
      },
    }
    const timings = resolveOptions('lan')
    const given = { name: selfName, address: selfAddress, tags: {}, timings, digests: nodeDigests }
    this.state = createState(given, createRandom(1))
    this.engine = createEngine({
      state: this.state,
      clock: this.clock,
      execute: (output) => {
        if (output.kind === 'event') this.events.push(output.event)
      },
      broken: (cause) => {
        throw cause
      },
    })
    this.engine.run({ kind: 'command', command: { kind: 'start' } })
  }

  receive(...messages: readonly PacketMessage[]): void {
    this.engine.run(packet(messages))
  }

  /** One turn: timers that are due, then what lies in the socket. */
  turn(): void {
    for (const timer of [...this.timers].sort((a, b) => a.at - b.at)) {
      if (timer.at > this.now || !this.timers.delete(timer)) continue
      timer.callback()
    }
    for (const messages of this.socket.splice(0, 32)) this.receive(...messages)
  }

  /** Runs until then, turn by turn. */
  runTo(ms: number): void {
    while (this.now < ms) {
      const next = Math.min(ms, ...[...this.timers].map(({ at }) => at))
      this.now = this.socket.length > 0 ? Math.min(next, this.now + 0.1) : next
      this.turn()
    }
  }

  count(kind: string): number {
    return this.events.filter((event) => event.kind === kind).length
  }
}

function packet(messages: readonly PacketMessage[]): Input {
  const bytes = encodePacket(messages.map((message) => encodeMessage(message)))
  return { kind: 'packet', from: addressOf('x'), bytes }
}

/** A loop whose member suspects `m`, the shortest suspicion of which ends at `endsAt`. */
function suspecting(): { readonly loop: Loop; readonly endsAt: number } {
  const loop = new Loop()
  loop.receive(alive('m'), alive('a'), alive('b'), alive('c'))
  loop.receive(suspect('m', 'a'), suspect('m', 'b'), suspect('m', 'c'))
  return { loop, endsAt: 4000 }
}

const refutation = alive('m', { incarnation: 2 })

describe('the engine and its event loop', () => {
  it('GOS-172 reads what waits in the socket before a deadline that comes late', () => {
    const { loop, endsAt } = suspecting()
    loop.runTo(endsAt - 30)
    // A block that ends ten milliseconds after the verdict was due, behind which 150 packets wait.
    for (let number = 0; number < 149; number += 1) loop.socket.push([alive('a')])
    loop.socket.push([refutation])
    loop.now = endsAt + 10
    loop.turn()
    loop.runTo(endsAt + 1000)
    expect(loop.count('fail')).toBe(0)
    expect(loop.state.entries.get('m')?.state).toBe('alive')
  })

  it('GOS-172 fails whom nobody defends, as soon as the socket is empty', () => {
    const { loop, endsAt } = suspecting()
    loop.runTo(endsAt - 30)
    loop.socket.push([alive('a')])
    loop.now = endsAt + 10
    loop.turn()
    expect(loop.count('fail')).toBe(0)
    loop.runTo(endsAt + 20)
    expect(loop.count('fail')).toBe(1)
  })

  it('GOS-172 lets no flood put its deadlines off for longer than 100 ms', () => {
    const { loop, endsAt } = suspecting()
    loop.runTo(endsAt - 30)
    loop.now = endsAt + 10
    while (loop.count('fail') === 0 && loop.now < endsAt + 1000) {
      loop.socket.push([alive('a')])
      loop.now += 1
      loop.turn()
    }
    expect(loop.now).toBeGreaterThan(endsAt + 100)
    expect(loop.now).toBeLessThan(endsAt + 130)
  })

  it('GOS-172 tells the core of lost time first of all, and once', () => {
    for (const first of ['packet', 'timer'] as const) {
      const { loop, endsAt } = suspecting()
      loop.runTo(3000)
      loop.now = 6000
      if (first === 'packet') loop.receive(alive('a'))
      loop.turn()
      loop.runTo(6100)
      const lost = loop.events.flatMap((event) => (event.kind === 'paused' ? [event.lateMs] : []))
      expect(lost, first).toHaveLength(1)
      // It looks at the loop every 125 ms, and so knows no better than that.
      expect(lost[0]).toBeLessThanOrEqual(3000)
      expect(lost[0]).toBeGreaterThanOrEqual(2875)
      expect(loop.count('fail')).toBe(0)
      loop.runTo(endsAt + 3000 + 200)
      expect(loop.count('fail')).toBe(1)
    }
  })

  it('GOS-172 says nothing of a loop that turns', () => {
    const { loop } = suspecting()
    loop.receive(refutation)
    loop.runTo(60_000)
    expect(loop.count('paused')).toBe(0)
    expect(loop.state.health.stalls).toEqual([])
  })

  it('GOS-172 leaves no timer when it stops, not even while it reads first', () => {
    const { loop, endsAt } = suspecting()
    loop.runTo(endsAt - 30)
    loop.socket.push([alive('a')])
    loop.now = endsAt + 10
    loop.turn()
    expect(nextDeadline(loop.state)).toBeLessThan(loop.now)
    loop.engine.stop()
    expect(loop.timers.size).toBe(0)
  })
})
