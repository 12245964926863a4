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
import type { Prepared, PreparedRecord } from './prepared.ts'

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
    const make = (): Prepared => prepare(query, all, asked.tag, options)
    const prepared = options.prepared.of(all, query.type, query.name, make)
    if (!prepared.exists) return negative(options, codes.noName)
    return drawn(query, prepared, options)
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

/** All records that an answer may have; which it has is drawn. */
function prepare(
  query: Query,
  all: readonly ServiceInstance[],
  tag: string | undefined,
  options: ResolvedDnsOptions,
): Prepared {
  const { name, type } = query
  const tagged = all.filter((one) => hasTag(one, tag))
  const exists = tagged.length > 0
  const passing = tagged.filter(({ status }) => status === 'passing')
  const aloneOf = (answers: readonly Answer[]): readonly PreparedRecord[] =>
    answers.map((answer) => ({ answer, beside: undefined }))
  if (type === 'A' || type === 'AAAA') {
    const found = addressRecords(
      query,
      passing.map(({ address }) => address),
      options,
    )
    const aliases = found.filter((answer) => answer.type === 'CNAME')
    return { exists, records: aliases.length > 0 ? [] : aloneOf(found), aliases }
  }
  if (type === 'TXT') {
    const answers = passing.map((one) => record(name, 'TXT', textsOf(one), options))
    return { exists, records: aloneOf(answers), aliases: [] }
  }
  if (type !== 'SRV') return { exists, records: [], aliases: [] }
  const targets = new Map<string, Answer | undefined>()
  for (const { address } of passing) {
    if (!targets.has(address)) targets.set(address, targetRecord(address, options))
  }
  const records = passing.map(({ address, port }) => {
    const data = { priority: 1, weight: 1, port, target: targetOf(address, options) }
    return { answer: record(name, 'SRV', data, options), beside: targets.get(address) }
  })
  return { exists, records, aliases: [] }
}

function drawn(
  query: Query,
  { records: all, aliases }: Prepared,
  options: ResolvedDnsOptions,
): Reply {
  const { random, answersMax } = options
  const some = draw(all, answersMax, random)
  if (some.length === 0) return records(query, options, draw(aliases, 1, random))
  const beside = new Set<Answer>()
  for (const one of some) if (one.beside !== undefined) beside.add(one.beside)
  return records(
    query,
    options,
    some.map(({ answer }) => answer),
    [...beside],
  )
}

/**
 * Addresses of the family that is asked for. A host name is an alias, and nothing else beside it;
 * of several one has to be drawn, since a name has one alias at most.
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
  const hosts = different.filter((address) => isIP(address) === 0 && isHostName(address))
  return hosts.map((host) => record(name, 'CNAME', host, options))
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
function targetRecord(address: string, options: ResolvedDnsOptions): Answer | undefined {
  const family = isIP(address)
  if (family === 0) return undefined
  return record(targetOf(address, options), family === 4 ? 'A' : 'AAAA', address, options)
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

/** At most so many of `values`, each as likely as any other, in an order drawn anew. */
function draw<Value>(values: readonly Value[], most: number, random: Random): readonly Value[] {
  const mixed = [...values]
  const count = Math.min(most, mixed.length)
  for (let at = 0; at < count; at += 1) {
    const other = at + random.below(mixed.length - at)
    const held = mixed[at] as Value
    mixed[at] = mixed[other] as Value
    mixed[other] = held
  }
  return count < mixed.length ? mixed.slice(0, count) : mixed
}
