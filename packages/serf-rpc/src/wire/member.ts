/** A member as answers and records carry it. */
import type { MsgpackReader, MsgpackWriter } from '@kith/msgpack'
import { readFields, readMap, shownText, writeTexts } from './fields.ts'
import type { WireMember } from './message.ts'

const nobody: Uint8Array = new Uint8Array(0)

export function readMembers(reader: MsgpackReader): readonly WireMember[] {
  const members: WireMember[] = []
  reader.array(() => void members.push(readMember(reader)))
  return members
}

function readMember(reader: MsgpackReader): WireMember {
  const fields = { name: '', address: nobody, port: 0, status: '' }
  const protocol = { min: 0, max: 0, current: 0 }
  const delegate = { min: 0, max: 0, current: 0 }
  let tags: ReadonlyMap<string, string> | undefined
  readFields(reader, {
    Name: () => (fields.name = reader.shownText()),
    Addr: () => (fields.address = reader.bytes()),
    Port: () => (fields.port = reader.uint(0xffff)),
    Tags: () => (tags = readMap(reader, shownText)),
    Status: () => (fields.status = reader.shownText()),
    ProtocolMin: () => (protocol.min = reader.uint(0xff)),
    ProtocolMax: () => (protocol.max = reader.uint(0xff)),
    ProtocolCur: () => (protocol.current = reader.uint(0xff)),
    DelegateMin: () => (delegate.min = reader.uint(0xff)),
    DelegateMax: () => (delegate.max = reader.uint(0xff)),
    DelegateCur: () => (delegate.current = reader.uint(0xff)),
  })
  return { ...fields, tags: tags ?? new Map<string, string>(), protocol, delegate }
}

export function writeMembers(writer: MsgpackWriter, members: readonly WireMember[]): void {
  writer.array(members.length)
  for (const member of members) writeMember(writer, member)
}

function writeMember(writer: MsgpackWriter, member: WireMember): void {
  const { protocol, delegate } = member
  writer.map(11).text('Addr').bytes(member.address)
  writer.text('DelegateCur').uint(delegate.current).text('DelegateMax').uint(delegate.max)
  writer.text('DelegateMin').uint(delegate.min).text('Name').text(member.name)
  writer.text('Port').uint(member.port).text('ProtocolCur').uint(protocol.current)
  writer.text('ProtocolMax').uint(protocol.max).text('ProtocolMin').uint(protocol.min)
  writeTexts(writer.text('Status').text(member.status).text('Tags'), member.tags)
}
