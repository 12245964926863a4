/** Queries of DNS, from the bytes of a packet to the bytes of its answer. */
import { decode, encode, type Packet } from 'dns-packet'
import { answer } from '../../../packages/dns/src/answer.ts'
import {
  answerBytesMax,
  decodeQuery,
  encodeReply,
  type Query,
  type Reply,
} from '../../../packages/dns/src/message.ts'
import { resolveOptions } from '../../../packages/dns/src/options.ts'
import type { Member, Random, ServiceInstance } from '@kith/interface'
import { ascii, holds, sameBytes } from '../target.ts'
import type { FuzzTarget, Mutator } from '../target.ts'

const tcpBytesMax = 65_535

function instance(id: string, address: string, tags: readonly string[]): ServiceInstance {
  const meta = { zone: 'eu', note: 'ü'.repeat(200) }
  const status = id === 'sick' ? 'critical' : 'passing'
  return {
    service: 'web',
    id,
    member: 'ada',
    address,
    port: 80,
    tags,
    meta,
    checks: [],
    status,
    version: 1,
  }
}

const services: Readonly<Record<string, readonly ServiceInstance[]>> = {
  web: [
    instance('w1', '10.0.0.1', ['eu']),
    instance('w2', '2001:db8::1', ['us']),
    instance('sick', '10.0.0.2', ['eu']),
  ],
  many: Array.from({ length: 100 }, (_, at) => instance(`m${at}`, `10.0.1.${at}`, [])),
  alias: [instance('a1', 'one.example', []), instance('a2', 'two.example', [])],
}
const ada: Member = {
  name: 'ada',
  address: { host: '192.0.2.7', port: 7946 },
  tags: { role: 'web' },
  status: 'alive',
  incarnation: 1,
}
const options = resolveOptions({
  registry: { resolve: (name) => (Object.hasOwn(services, name) ? (services[name] ?? []) : []) },
  members: { member: (name) => (name === 'ada' ? ada : undefined) },
})

const names = ['web.service', 'eu.web.service', '_web._tcp.service', 'many.service']
  .concat(['alias.service', 'none.service', 'ada.node', '0a000001.addr', 'addr', 'service'])
  .map((name) => `${name}.kith`)
  .concat(['kith', 'example.com', 'WeB.sErViCe.kItH'])
const types = ['A', 'AAAA', 'SRV', 'TXT', 'SOA', 'ANY', 'CNAME'] as const

function question(name: string, type: string, more: Partial<Packet> = {}): Uint8Array {
  const questions = [{ name, type: type as 'A' }]
  return new Uint8Array(encode({ type: 'query', id: 1, flags: 256, questions, ...more }))
}

const opt = (version: number, size: number): Partial<Packet> => ({
  additionals: [
    { type: 'OPT', name: '.', udpPayloadSize: size, ednsVersion: version, options: [] } as never,
  ],
})

/** Another name is asked for, with what stands behind it. */
const renamed: Mutator = (bytes, random) => {
  const name = names[random.below(names.length)] ?? ''
  const type = types[random.below(types.length)] ?? 'A'
  const whole = question(name, type)
  const old = bytes.indexOf(0, 12)
  const behind = old < 0 ? [] : bytes.subarray(old + 5)
  return Uint8Array.from([...bytes.subarray(0, 12), ...whole.subarray(12), ...behind])
}

/** What is made of an answer: its code, after everything that must hold of it. */
function answered(query: Query, bytesMax: number, random: Random): string {
  const reply = answer(query, { ...options, random }) as Reply
  const { udpBytesMax, recordBytes } = options
  const { bytes, truncated } = encodeReply(query, reply, bytesMax, udpBytesMax, recordBytes)
  holds(bytes.length <= bytesMax, 'an answer is too long')
  holds(bytes.readUInt16BE(0) === query.id, 'an answer has another id')
  holds((bytes.readUInt16BE(2) & 0x8000) !== 0, 'an answer is none')
  holds(((bytes.readUInt16BE(2) & 0x0200) !== 0) === truncated, 'a mark of truncation is wrong')
  holds(
    sameBytes(bytes.subarray(12, 12 + query.question.length), query.question),
    'another question',
  )
  const read = decode(bytes)
  holds(read.questions?.[0]?.name === query.name, 'a name is not read back')
  const answers = read.answers ?? []
  holds(answers.length <= reply.answers.length, 'records came from nowhere')
  holds(truncated || answers.length === reply.answers.length, 'records went without a mark')
  const asked = query.name.toLowerCase()
  const named = answers.every(({ name }) => name.toLowerCase() === asked)
  holds(named, 'a record has another name')
  const opts = (read.additionals ?? []).filter(({ type }) => type === 'OPT').length
  holds(opts === (query.edns === undefined ? 0 : 1), 'OPT for whoever has none, or none')
  return truncated ? 'truncated' : String(reply.code)
}

export const dns: FuzzTarget = {
  bytesMax: 1_400,
  seeds: () => [
    ...names.flatMap((name) => types.map((type) => question(name, type))),
    question('many.service.kith', 'SRV', opt(0, 4_096)),
    question('many.service.kith', 'TXT', opt(0, 1)),
    question('web.service.kith', 'A', opt(1, 1_232)),
    question('web.service.kith', 'A', { flags: 2 << 11 }),
  ],
  words: [
    ...names.map((name) => question(name, 'A').subarray(12)),
    ...['\u0003web', '\u0007service\u0004kith\u0000', '\u0001_'].map(ascii),
    ...[[0xc0, 0x0c], [0, 41, 16, 0, 0, 1], [0, 255], [0, 33], [0, 65], [0x40], [0, 0, 0]].map(
      (bytes) => Uint8Array.from(bytes),
    ),
  ],
  mutators: [renamed],
  // Dropped, well, no such name, not implemented, refused, BADVERS.
  ends: ['dropped', '0', '3', '4', '5', '16', 'truncated'],
  check(bytes, random) {
    const query = decodeQuery(bytes, options.queryBytesMax)
    if (query === undefined) return 'dropped'
    const whole = answered(query, tcpBytesMax, random)
    holds(whole !== 'truncated', 'an answer over TCP is truncated')
    return answered(query, answerBytesMax(query, options.udpBytesMax), random)
  },
}
