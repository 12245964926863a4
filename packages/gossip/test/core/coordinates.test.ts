// Which acks are measurements, what is refused, and what becomes of a coordinate.
import type { Coordinate } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { member, members, nearest, rttMs } from '../../src/core/index.ts'
import { origin } from '../../src/core/vivaldi.ts'
import { decodeCoordinate, encodeCoordinate } from '../../src/wire/codec.ts'
import type { AckMessage } from '../../src/wire/message.ts'
import { addressOf, bytesOf, Core, dead, decodeStream, selfName } from './support.ts'

function at(first: number, changes: Partial<Coordinate> = {}): Coordinate {
  return { ...origin, vector: [first, 0, 0, 0, 0, 0, 0, 0], error: 0.1, ...changes }
}

/** Lets the next probe begin and answers it `rtt` milliseconds later. */
function answerProbe(
  core: Core,
  rtt: number,
  payload: Uint8Array | ((name: string) => Uint8Array),
): string {
  const before = core.sentOf('ping').length
  // A small ring has rounds in which it probes nobody.
  for (let ms = 0; ms <= 3000 && core.sentOf('ping').length === before; ms += 1) {
    core.advanceTo(core.now + 1)
  }
  const ping = core.sentOf('ping')[before]
  if (ping === undefined) throw new Error('no probe within three intervals')
  core.advanceTo(ping.at + rtt)
  const { sequenceNumber, node } = ping.message
  const carried = typeof payload === 'function' ? payload(node) : payload
  core.tell({ kind: 'ack', sequenceNumber, payload: carried })
  return node
}

/** The coordinate that our next ack carries. */
function told(core: Core, sequenceNumber = 7): Coordinate {
  core.tell({
    kind: 'ping',
    sequenceNumber,
    node: selfName,
    sourceAddress: bytesOf(addressOf('m')),
    sourcePort: 7946,
    sourceNode: 'm',
  })
  const coordinate = decodeCoordinate(
    core.sentOf('ack').at(-1)?.message.payload ?? new Uint8Array(),
  )
  if (typeof coordinate === 'string') throw new Error(coordinate)
  return coordinate
}

describe('coordinates', () => {
  it('GOS-134 a direct ack in time moves us, and says where its sender is', () => {
    const core = new Core()
    core.know('m')
    expect(told(core)).toEqual(origin)
    expect(member(core.state, 'm')?.coordinate).toBeUndefined()
    expect(rttMs(core.state, selfName, 'm')).toBeUndefined()
    const list = members(core.state)
    answerProbe(core, 40, encodeCoordinate(at(0.5)))
    const own = told(core)
    expect(own.vector).not.toEqual(origin.vector)
    expect(members(core.state)).not.toBe(list)
    expect(member(core.state, 'm')?.coordinate).toEqual(at(0.5))
    expect(member(core.state, selfName)?.coordinate).toEqual(own)
    expect(rttMs(core.state, 'm', selfName)).toBeGreaterThan(40)
    expect(core.counter('coordinateRefused')).toBe(0)
  })

  it('GOS-134 late acks, relayed acks, acks over streams and empty ones measure nothing', () => {
    const core = new Core()
    core.know('m', 'h')
    answerProbe(core, 700, encodeCoordinate(at(0.5)))
    answerProbe(core, 10, new Uint8Array(0))
    expect(told(core)).toEqual(origin)
    // An ack passed on for somebody else is without payload.
    const { host, port } = addressOf('h')
    core.tell({
      kind: 'indirectPing',
      sequenceNumber: 900,
      target: bytesOf({ host, port }),
      port,
      node: 'h',
      nack: false,
      sourceAddress: bytesOf(addressOf('m')),
      sourcePort: 7946,
      sourceNode: 'm',
    })
    const asked = core.sentOf('ping').at(-1)?.message.sequenceNumber ?? 0
    core.tell({ kind: 'ack', sequenceNumber: asked, payload: encodeCoordinate(at(1)) })
    const passed = core.sentOf('ack').at(-1)?.message
    expect(passed).toMatchObject({ sequenceNumber: 900, payload: new Uint8Array(0) })
    expect(told(core)).toEqual(origin)
    const ping = { kind: 'ping', sequenceNumber: 5, node: selfName } as const
    const source = { sourceAddress: new Uint8Array(0), sourcePort: 0, sourceNode: '' }
    core.input({
      kind: 'streamMessage',
      id: 1,
      from: addressOf('m'),
      message: { ...ping, ...source },
    })
    const respond = core.outputs.find((output) => output.kind === 'respond')
    const answer = decodeStream(
      respond?.kind === 'respond' ? (respond.bytes ?? new Uint8Array()) : new Uint8Array(),
    )
    expect((answer as AckMessage).payload).toHaveLength(0)
  })

  it('GOS-131 the median of the last three round trips counts', () => {
    const [steady, hiccup] = [new Core(), new Core()]
    for (const core of [steady, hiccup]) {
      core.know('m')
      answerProbe(core, 20, encodeCoordinate(at(0.02)))
      answerProbe(core, 20, encodeCoordinate(at(0.02)))
    }
    answerProbe(steady, 20, encodeCoordinate(at(0.02)))
    answerProbe(hiccup, 480, encodeCoordinate(at(0.02)))
    expect(told(hiccup)).toEqual(told(steady))
  })

  const refused: readonly (readonly [string, Uint8Array, string])[] = [
    ['another version', Uint8Array.of(2, 0x80), 'coordinateVersionUnknown'],
    ['no msgpack', Uint8Array.of(1, 0xc1), 'coordinateMalformed'],
    ['a truncated vector', encodeCoordinate(at(1)).subarray(0, 100), 'coordinateMalformed'],
    [
      'text for a number',
      Uint8Array.of(1, 0x81, 0xa5, 69, 114, 114, 111, 114, 0xa1, 65),
      'coordinateMalformed',
    ],
    ['nothing in the map', Uint8Array.of(1, 0x80), 'coordinateRefused'],
    ['not a number', encodeCoordinate(at(Number.NaN)), 'coordinateRefused'],
    ['infinity', encodeCoordinate(at(0, { height: Infinity })), 'coordinateRefused'],
    ['a negative height', encodeCoordinate(at(0, { height: -1 })), 'coordinateRefused'],
    [
      'seven dimensions',
      encodeCoordinate({ ...origin, vector: [0, 0, 0, 0, 0, 0, 0] }),
      'coordinateRefused',
    ],
    [
      '65 dimensions',
      encodeCoordinate({ ...origin, vector: Array(65).fill(0) }),
      'coordinateMalformed',
    ],
    ['an absurd place', encodeCoordinate(at(1e300)), 'coordinateRefused'],
  ]
  it.each(refused)('GOS-132 %s is refused and counted, and is an ack all the same', (...row) => {
    const [, payload, counter] = row
    const core = new Core()
    core.know('m')
    answerProbe(core, 10, payload)
    expect(core.counter(counter)).toBe(1)
    expect(told(core)).toEqual(origin)
    expect(member(core.state, 'm')?.coordinate).toBeUndefined()
    expect(core.counter('probesFailed')).toBe(0)
  })

  it('GOS-132 a round trip below zero or above ten seconds is refused', () => {
    const core = new Core({
      profile: 'wan',
      timings: { probeTimeoutMs: 20_000, probeIntervalMs: 30_000 },
    })
    core.know('m')
    core.advanceTo(30_000)
    const [ping] = core.sentOf('ping')
    core.advanceTo((ping?.at ?? 0) + 10_001)
    const payload = encodeCoordinate(at(0))
    core.tell({ kind: 'ack', sequenceNumber: ping?.message.sequenceNumber ?? 0, payload })
    expect(core.counter('rttRefused')).toBe(1)
    expect(told(core)).toEqual(origin)
  })

  it('GOS-133 a place of ours where nobody can be is given up, not passed on', () => {
    const core = new Core()
    core.know('m')
    core.state.coordinates.own = at(Number.NaN)
    answerProbe(core, 10, encodeCoordinate(at(0.01)))
    expect(core.counter('coordinateResets')).toBe(1)
    expect(told(core)).toEqual(origin)
    expect(core.state.coordinates.samples.every((sample) => sample === 0)).toBe(true)
    answerProbe(core, 10, encodeCoordinate(at(0.01)))
    expect(told(core)).not.toEqual(origin)
    expect(core.counter('coordinateResets')).toBe(1)
  })

  it('GOS-135 the nearest come first, the unmeasured last, the dead not at all', () => {
    const core = new Core()
    core.know('far', 'near', 'unknown', 'mute', 'gone')
    const places: Readonly<Record<string, Coordinate>> = {
      far: at(0.2),
      near: at(0.01),
      gone: at(0.001),
    }
    for (let round = 0; round < 12; round += 1) {
      answerProbe(core, 5, (name) => {
        const place = places[name]
        return place === undefined ? new Uint8Array(0) : encodeCoordinate(place)
      })
    }
    core.tell(dead('gone', 'near'))
    const names = nearest(core.state, selfName).map(({ name }) => name)
    expect(names).toEqual(['near', 'far', 'mute', 'unknown'])
    expect(nearest(core.state, 'far').map(({ name }) => name)[2]).toBe('mute')
    expect(nearest(core.state, 'nobody').map(({ name }) => name)).toContain(selfName)
    // Its place is remembered as long as the member is, and no longer.
    expect(rttMs(core.state, 'gone', 'near')).toBeCloseTo(9.02, 9)
    core.command({ kind: 'forceLeave', id: 1, name: 'gone', prune: true })
    expect(rttMs(core.state, 'gone', 'near')).toBeUndefined()
    expect(placed(core)).toBe(2)
  })
})

/** Members of whom a place is remembered. */
function placed(core: Core): number {
  return [...core.state.members.values()].filter(({ rtts }) => rtts.length > 0).length
}
