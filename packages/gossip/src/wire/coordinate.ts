/** The payload of an ack: the answering member's coordinate behind a version byte. */
import type { Coordinate } from '@kith/interface'
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'

/** Serf's only version so far. */
const payloadVersion = 1
/** The eight of Serf, and room to tell another dimension from nonsense. */
const dimensionsMax = 64

/** Each kind is the name of a counter. */
export type CoordinateProblem = 'coordinateMalformed' | 'coordinateVersionUnknown'

export function encodeCoordinate(coordinate: Coordinate): Uint8Array {
  const { vector, error, adjustment, height } = coordinate
  const writer = new MsgpackWriter().byte(payloadVersion).map(4)
  writer.text('Adjustment').float(adjustment).text('Error').float(error)
  writer.text('Height').float(height).text('Vec').array(vector.length)
  for (const value of vector) writer.float(value)
  return writer.finish()
}

/** What was sent, not yet judged: it may be of any dimension and hold numbers that are none. */
export function decodeCoordinate(payload: Uint8Array): Coordinate | CoordinateProblem {
  if (payload[0] !== payloadVersion) return 'coordinateVersionUnknown'
  const reader = new MsgpackReader(payload, 1)
  const vector: number[] = []
  let [error, adjustment, height] = [0, 0, 0]
  reader.struct(['Vec', 'Error', 'Adjustment', 'Height'], (field) => {
    if (field === 'Vec') {
      vector.length = 0
      reader.array(() => void vector.push(reader.float()))
      if (vector.length > dimensionsMax) reader.reject()
    } else if (field === 'Error') error = reader.float()
    else if (field === 'Adjustment') adjustment = reader.float()
    else if (field === 'Height') height = reader.float()
    else reader.skip()
  })
  if (reader.failure !== undefined) return 'coordinateMalformed'
  // A copy is as long as it must be; a list that grew has room for more, for each member there is.
  return { vector: [...vector], error, adjustment, height }
}
