/** The parts of a push/pull: its header, its rows, and how all of it is written. */
import { messageType, readVersions, uint32Max, portMax } from './memberlist.ts'
import type { PushPullMessage, PushPullRow, SwimState, Versions } from './message.ts'
import { MsgpackWriter } from './msgpack.ts'
import type { Dialect, MsgpackReader } from './msgpack.ts'

export interface PushPullHeader {
  readonly join: boolean
  readonly rowCount: bigint
  readonly userStateLength: bigint
}

const states: readonly SwimState[] = ['alive', 'suspect', 'dead', 'left']

export function readHeader(reader: MsgpackReader): PushPullHeader {
  let [join, rowCount, userStateLength] = [false, 0n, 0n]
  reader.struct(['Nodes', 'UserStateLen', 'Join'], (field) => {
    if (field === 'Nodes') rowCount = reader.i64()
    else if (field === 'UserStateLen') userStateLength = reader.i64()
    else if (field === 'Join') join = reader.bool()
    else reader.skip()
  })
  return { join, rowCount, userStateLength }
}

const rowFields = ['Name', 'Addr', 'Port', 'Meta', 'Incarnation', 'State', 'Vsn']

/** Undefined for a row without a usable name or state, which costs nobody else their rows. */
export function readRow(reader: MsgpackReader): PushPullRow | undefined {
  let [name, port, incarnation, state]: [string | undefined, number, number, bigint] = [
    '',
    0,
    0,
    0n,
  ]
  let address: Uint8Array = new Uint8Array(0)
  let meta: Uint8Array = new Uint8Array(0)
  let versions: Versions | undefined
  reader.struct(rowFields, (field) => {
    if (field === 'Name') name = reader.textOrInvalid()
    else if (field === 'Addr') address = reader.bytes()
    else if (field === 'Port') port = reader.uint(portMax)
    else if (field === 'Meta') meta = reader.bytes()
    else if (field === 'Incarnation') incarnation = reader.uint(uint32Max)
    else if (field === 'State') state = reader.i64()
    else if (field === 'Vsn') versions = readVersions(reader)
    else reader.skip()
  })
  const known = state >= 0n && state < states.length ? states[Number(state)] : undefined
  if (name === undefined || name === '' || known === undefined) return undefined
  return { name, address, port, meta, incarnation, state: known, versions }
}

export function encodePushPull(message: PushPullMessage, dialect: Dialect): Uint8Array {
  const writer = new MsgpackWriter(dialect).byte(messageType.pushPull)
  writer.map(3).text('Join').bool(message.join).text('Nodes').int(message.rows.length)
  writer.text('UserStateLen').int(message.userState.length)
  for (const row of message.rows) writeRow(writer, row)
  return writer.append(message.userState).finish()
}

function writeRow(writer: MsgpackWriter, row: PushPullRow): void {
  writer.map(7).text('Addr').bytes(row.address).text('Incarnation').uint(row.incarnation)
  writer.text('Meta').bytesOrNil(row.meta).text('Name').text(row.name)
  writer.text('Port').uint(row.port).text('State').int(states.indexOf(row.state))
  writer.text('Vsn')
  // Fewer than six bytes would crash old members, so a row without versions says nil.
  if (row.versions === undefined) writer.nil()
  else writer.bytes(Uint8Array.from(row.versions))
}
