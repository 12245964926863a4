/** From a question and what is known to the records of an answer. Pure: no socket, no time. */
import { isIP } from 'node:net'
import {
  addressBytes,
  type Member,
  type Random,
  type ServiceInstance,
  toHex,
} from '@kith/interface'
import type { Answer } from 'dns-packet'
import type { Query, Reply } from './message.ts'
import { type Asked, readName } from './names.ts'
import type { ResolvedDnsOptions } from './options.ts'

type Passed<Value> = Value | Promise<Value>

const codes = { well: 0, failed: 2, noName: 3, notImplemented: 4, refused: 5, ednsVersion: 16 }
const textBytesMax = 255
/** Texts of one TXT record. */
const textsMax = 16
/** Refresh, retry, expire: nobody transfers this zone, so that they mean nothing. */
const soaTimes = { refresh: 3_600, retry: 600, expire: 86_400 }

/** Asynchronous only where the registry is. Rejects where it does. */
export function answer(query: Query, options: ResolvedDnsOptions): Passed<Reply> {
  if ((query.edns?.version ?? 0) > 0) return refusal(codes.ednsVersion)
  if (query.opcode !== 0) return refusal(codes.notImplemented)
  const asked = readName(query.name, options.domain)
  if (!query.inClass || asked.kind === 'foreign') return refusal(codes.refused)
  switch (asked.kind) {
    case 'service':
      return answerService(query, asked, options)
    case 'node':
      return answerMember(query, asked.member, options)
    case 'address':
      return records(query, options, addressRecords(query, [asked.address], options))
    case 'zone':
      return records(query, options, query.type === 'SOA' ? [soa(options)] : [])
    case 'empty':
      return records(query, options, [])
    case 'nothing':
      return negative(options, codes.noName)
  }
}

function refusal(code: number): Reply {
  return { code, authoritative: false, answers: [], authorities: [], additionals: [] }
}

/** What is asked again at once would be as futile: the SOA says for how long (RFC 2308). */
function negative(options: ResolvedDnsOptions, code: number): Reply {
  const authorities = [soa(options)]
  return { code, authoritative: true, answers: [], authorities, additionals: [] }
}

function records(
  query: Query,
  options: ResolvedDnsOptions,
  answers: readonly Answer[],
  additionals: readonly Answer[] = [],
): Reply {
  // RFC 8482: whoever asks for everything gets a word instead.
  const given =
    query.type === 'ANY'
      ? [record(query.name, 'HINFO', { cpu: 'RFC8482', os: '' }, options)]
      : answers
  if (given.length === 0) return negative(options, codes.well)
  return { code: codes.well, authoritative: true, answers: given, authorities: [], additionals }
}

function record(name: string, type: string, data: unknown, options: ResolvedDnsOptions): Answer {
  return { name, type, class: 'IN', ttl: options.ttlSeconds, data } as Answer
}

function soa(options: ResolvedDnsOptions): Answer {
  const { domain, ttlSeconds } = options
  const data = { mname: `ns.${domain}`, rname: `hostmaster.${domain}`, serial: 1, ...soaTimes }
  return record(domain, 'SOA', { ...data, minimum: ttlSeconds }, options)
}

type AskedService = Extract<Asked, { kind: 'service' }>

function answerService(
  query: Query,
  asked: AskedService,
  options: ResolvedDnsOptions,
): Passed<Reply> {
  const reply = (all: readonly ServiceInstance[]): Reply => {
    const tagged = all.filter((one) => hasTag(one, asked.tag))
    if (tagged.length === 0) return negative(options, codes.noName)
    return serviceRecords(query, tagged, options)
  }
  const { registry } = options
  const found = registry.resolve(asked.service, { passing: false })
  const again = (all: readonly ServiceInstance[]): Passed<Reply> => {
    const lower = asked.service.toLowerCase()
    if (all.length > 0 || lower === asked.service) return reply(all)
    // Resolvers that mix the case of names to be harder to fool ask for the same name.
    const other = registry.resolve(lower, { passing: false })
    return isPromise(other) ? other.then(reply) : reply(other)
  }
  return isPromise(found) ? found.then(again) : again(found)
}

function isPromise<Value>(value: Passed<Value>): value is Promise<Value> {
  return typeof (value as Partial<Promise<Value>>).then === 'function'
}

function hasTag({ tags }: ServiceInstance, wanted: string | undefined): boolean {
  if (wanted === undefined) return true
  return tags.includes(wanted) || tags.some((tag) => tag.toLowerCase() === wanted.toLowerCase())
}

function serviceRecords(
  query: Query,
  all: readonly ServiceInstance[],
  options: ResolvedDnsOptions,
): Reply {
  const passing = all.filter(({ status }) => status === 'passing')
  const some = shuffled(passing, options.random).slice(0, options.answersMax)
  const addresses = some.map(({ address }) => address)
  switch (query.type) {
    case 'A':
    case 'AAAA':
      return records(query, options, addressRecords(query, addresses, options))
    case 'SRV': {
      const answers = some.map(({ address, port }) => {
        const data = { priority: 1, weight: 1, port, target: targetOf(address, options) }
        return record(query.name, 'SRV', data, options)
      })
      return records(query, options, answers, targetRecords(addresses, options))
    }
    case 'TXT': {
      const answers = some.map((one) => record(query.name, 'TXT', textsOf(one), options))
      return records(query, options, answers)
    }
    default:
      return records(query, options, [])
  }
}

/**
 * Addresses of the family that is asked for. A host name is an alias, of which a name has one at
 * most, and nothing else beside it.
 */
function addressRecords(
  { name, type }: Query,
  addresses: readonly string[],
  options: ResolvedDnsOptions,
): readonly Answer[] {
  const family = type === 'A' ? 4 : type === 'AAAA' ? 6 : undefined
  if (family === undefined) return []
  const different = [...new Set(addresses)]
  const fitting = different.filter((address) => isIP(address) === family)
  if (fitting.length > 0) return fitting.map((address) => record(name, type, address, options))
  const [host] = different.filter((address) => isIP(address) === 0 && isHostName(address))
  return host === undefined ? [] : [record(name, 'CNAME', host, options)]
}

function isHostName(text: string): boolean {
  return text.length <= 253 && text.split('.').every((label) => /^[A-Za-z0-9_-]{1,63}$/.test(label))
}

/** A name that leads to the address: itself where it is a name. */
function targetOf(address: string, { domain }: ResolvedDnsOptions): string {
  const bytes = addressBytes(address)
  if (bytes !== undefined) return `${toHex(bytes)}.addr.${domain}`
  return isHostName(address) ? address : `nothing.addr.${domain}`
}

/** Saves whoever asked for SRV the next question. */
function targetRecords(
  addresses: readonly string[],
  options: ResolvedDnsOptions,
): readonly Answer[] {
  return [...new Set(addresses)].flatMap((address) => {
    const family = isIP(address)
    if (family === 0) return []
    return [record(targetOf(address, options), family === 4 ? 'A' : 'AAAA', address, options)]
  })
}

function textsOf({ id, member, tags, meta }: ServiceInstance): readonly string[] {
  const described = Object.entries(meta).map(([key, value]) => `${key}=${value}`)
  const texts = [`id=${id}`, `member=${member}`, ...tags.map((tag) => `tag=${tag}`), ...described]
  return texts.slice(0, textsMax).map(cut)
}

/** At most 255 bytes, and never half a character. */
function cut(text: string): string {
  let short = text.slice(0, textBytesMax)
  while (Buffer.byteLength(short) > textBytesMax) short = short.slice(0, -1)
  return short.replace(/[\uD800-\uDBFF]$/, '')
}

function answerMember(query: Query, name: string, options: ResolvedDnsOptions): Reply {
  const { members } = options
  const member = members.member(name) ?? members.member(name.toLowerCase())
  if (member === undefined || member.status !== 'alive') return negative(options, codes.noName)
  if (query.type === 'TXT') {
    return records(query, options, [record(query.name, 'TXT', memberTexts(member), options)])
  }
  return records(query, options, addressRecords(query, [member.address.host], options))
}

function memberTexts({ name, tags }: Member): readonly string[] {
  const described = Object.entries(tags).map(([key, value]) => `${key}=${value}`)
  return [`member=${name}`, ...described].slice(0, textsMax).map(cut)
}

function shuffled<Value>(values: readonly Value[], random: Random): Value[] {
  const mixed = [...values]
  for (let at = mixed.length - 1; at > 0; at -= 1) {
    const other = random.below(at + 1)
    const held = mixed[at] as Value
    mixed[at] = mixed[other] as Value
    mixed[other] = held
  }
  return mixed
}
