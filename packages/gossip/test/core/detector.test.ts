/** What is left of the detector where parts of it are left out, as comparisons do. */
import { describe, expect, it } from 'vitest'
import type { Detector } from '../../src/core/index.ts'
import { addressOf, bytesOf, Core, selfName, suspect } from './support.ts'

function without(detector: Detector, ...names: readonly string[]): Core {
  const core = new Core({ policy: { detector } })
  core.know(...names)
  return core
}

const five = ['a', 'b', 'c', 'd'] as const

/** Milliseconds until `a`, suspected by two members, is given up. */
function failsAfter(detector: Detector): number {
  const core = without(detector, ...five)
  core.tell(suspect('a', 'b'))
  core.advanceTo(1000)
  core.tell(suspect('a', 'c'))
  core.advanceTo(60_000)
  return (
    core.events.find(({ event }) => event.kind === 'fail' && event.member.name === 'a')?.at ?? 0
  )
}

/** The ping of the first probe after `a`, the only other member, was suspected. */
function pingsBesideSuspect(detector: Detector): boolean {
  const core = without(detector, 'a')
  core.tell(suspect('a', 'x'))
  core.advanceTo(1500)
  const probe = core.sent.find(({ messages }) => messages[0]?.kind === 'ping')
  // The news of it has gone out many times by then; what is beside the ping alone is the Buddy's.
  return probe?.messages.length === 2 && probe.messages[1]?.kind === 'suspect'
}

describe('the detector without', () => {
  it('GOS-201 awareness never doubts itself, and asks no helper for a nack', () => {
    for (const [awareness, doubt] of [
      [true, 2],
      [false, 0],
    ] as const) {
      const core = without({ awareness }, ...five)
      core.advanceTo(2500)
      const asked = core.sentOf('indirectPing').map(({ message }) => message.nack)
      expect(new Set(asked)).toEqual(new Set([awareness]))
      expect(core.state.awareness > 0 ? 2 : 0).toBe(doubt)
    }
  })

  it('GOS-201 confirmations gives a suspect the shortest time, however many speak', () => {
    // Our own probe is a third accuser, after a while.
    expect(failsAfter({})).toBeGreaterThan(7000)
    expect(failsAfter({ suspicion: false })).toBeCloseTo(4000, -2)
  })

  it('GOS-201 the Buddy System tells a suspect by gossip alone', () => {
    expect(pingsBesideSuspect({})).toBe(true)
    expect(pingsBesideSuspect({ buddy: false })).toBe(false)
  })

  it('GOS-201 what is ours it does as memberlist does', () => {
    for (const own of [true, false]) {
      const core = without({ own }, ...five)
      core.tell(suspect(selfName, 'a', core.state.incarnation))
      core.advanceTo(2000)
      core.state.broadcasts.byAbout.clear()
      core.tell(suspect(selfName, 'a', 1))
      expect(core.counter('accusationsStale')).toBe(own ? 1 : 0)
      core.tell(suspect('b', 'a'))
      core.advanceTo(40_000)
      expect(core.counter('lastWords') > 0).toBe(own)
      core.now = 100_000
      core.input({ kind: 'deadline' })
      expect(core.counter('pauses')).toBe(own ? 1 : 0)
      expect(ackTo(core, 'b').includes('suspect')).toBe(own)
    }
  })
})

/** What goes beside the ack to a member that was given up and is suspect or dead to us. */
function ackTo(core: Core, name: string): readonly string[] {
  core.now += 5000
  const { host, port } = addressOf(name)
  const entry = core.state.entries.get(name)
  if (entry !== undefined) entry.heard = core.state.incarnation
  const outputs = core.tell({
    kind: 'ping',
    sequenceNumber: 1,
    node: selfName,
    sourceAddress: bytesOf({ host, port }),
    sourcePort: port,
    sourceNode: name,
  })
  expect(outputs.length).toBeGreaterThan(0)
  return core.sent.at(-1)?.messages.map(({ kind }) => kind) ?? []
}
