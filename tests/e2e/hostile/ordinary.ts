/** What members of a healthy cluster say to each other all day, as the target hears it. */
import { compound, compressed, join, lzw, message, pack, serf, withCrc } from './wire.ts'

const ping = message(0, { SeqNo: 1, Node: 'target' })
const news = [
  serf(3, { LTime: 1, Name: 'deploy', Payload: new Uint8Array(100), CC: false }),
  serf(1, { LTime: 1, Node: 'witness' }),
  // About somebody who was forgotten, as it happens.
  message(3, { Incarnation: 1, Node: 'reaped', From: 'witness' }),
]

/** Probes with news that is known already, with and without compression. */
export const probes: readonly Uint8Array[] = [
  withCrc(compound([ping, ...news])),
  withCrc(compressed(lzw(compound([ping, ...news])))),
  ping,
]

const loopback = Uint8Array.of(127, 0, 0, 1)
const row = { Addr: loopback, Incarnation: 1, Meta: Uint8Array.of(0xff, 0x80), Port: 7946 }
const reaped = Array.from({ length: 4_000 }, (_, index) =>
  pack({ ...row, Name: `reaped-${index}`, State: 2, Vsn: [1, 5, 2, 2, 5, 4] }),
)
const userState = join(
  [2],
  pack({
    LTime: 1,
    StatusLTimes: { target: 1, witness: 1 },
    LeftMembers: [],
    EventLTime: 1,
    Events: [{ LTime: 1, Events: [{ Name: 'deploy', Payload: new Uint8Array(100) }] }],
    QueryLTime: 1,
  }),
)
const header = { Nodes: reaped.length, UserStateLen: userState.length, Join: false }
const plainExchange = Buffer.concat([join([6], pack(header)), ...reaped, userState])

/** A push/pull of a large cluster, compressed as memberlist does it. */
export const exchange: Uint8Array = compressed(lzw(plainExchange))
