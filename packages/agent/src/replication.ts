/** Where this member says that its records are, and how it asks others for theirs. */
import type { Gossip } from '@kith/gossip'
import {
  type Address,
  formatAddress,
  type Member,
  parseAddress,
  type ReplicationSource,
  type Unsubscribe,
} from '@kith/interface'
import { httpSource } from '@kith/replicator/http'
import type { HttpFindings } from './http-findings.ts'
import { isLoopback, isWildcard } from './hosts.ts'
import type { ResolvedAgentOptions } from './options.ts'
import { ownTags } from './own-tags.ts'

/** Where a member's HTTP interface is told to the others: `host:port`, or `https://host:port`. */
const HTTP_TAG = 'kith.http'
const secure = 'https://'
const nothingShown = Object.freeze({})
/** Milliseconds; less than the 5 s that a greeting may take, so that this is what is met. */
const connectTimeoutMs = 4_000

/**
 * The tag that says so, where there is something to say. Where gossip is still to find out at which
 * address it is reached, `followGossip` says it.
 */
export function toldHttp(
  options: ResolvedAgentOptions,
  bound: Address,
): Readonly<Record<string, string>> {
  warnOfPlainHttp(options, bound)
  const { advertise, bind } = options
  return advertise === 'auto' ? {} : httpTag(options, bound, (advertise ?? bind).host)
}

/** From a start on: the tag stays right wherever this member is reached. Returns what ends that. */
export function followGossip(
  gossip: Gossip,
  options: ResolvedAgentOptions,
  bound: Address,
): Unsubscribe {
  const { name, advertise, bind, logger } = options
  let host = advertise === 'auto' ? undefined : (advertise ?? bind).host
  const tell = (): void => {
    const { [HTTP_TAG]: before, ...others } = ownTags(gossip)
    const tag = httpTag(options, bound, gossip.self.address.host)
    if (tag[HTTP_TAG] === before) return
    gossip.setTags({ ...others, ...tag }).catch((cause: unknown) => {
      logger.warn({ cause }, 'the others were not told where the HTTP interface is')
    })
  }
  const look = (now: string, run: (action: () => void) => void): void => {
    if (now === host) return
    host = now
    run(tell)
  }
  look(gossip.self.address.host, (action) => action())
  return gossip.subscribe({
    memberChanged({ member }) {
      // Later: whoever else is told of this change may set tags of its own.
      if (member.name === name) look(member.address.host, queueMicrotask)
    },
  })
}

function httpTag(
  options: ResolvedAgentOptions,
  bound: Address,
  gossipHost: string,
): Readonly<Record<string, string>> {
  const told = toldHttpAddress(options, bound, gossipHost)
  if (told === undefined) return {}
  return { [HTTP_TAG]: `${options.tls === undefined ? '' : secure}${formatAddress(told)}` }
}

/**
 * Where others should ask for our records, who reach our gossip at `gossipHost`; undefined where
 * only this machine can reach us although gossip reaches further: a loopback address would lead
 * each of them to itself.
 */
export function toldHttpAddress(
  { httpAdvertise, logger }: Pick<ResolvedAgentOptions, 'httpAdvertise' | 'logger'>,
  bound: Address,
  gossipHost: string,
): Address | undefined {
  if (httpAdvertise) return { ...httpAdvertise, port: httpAdvertise.port || bound.port }
  if (isWildcard(bound.host)) return { host: gossipHost, port: bound.port }
  if (isLoopback(bound.host) && !isLoopback(gossipHost)) {
    const text = 'the HTTP interface is on loopback: no other member can copy our records'
    logger.warn({ http: formatAddress(bound), gossip: gossipHost }, text)
    return undefined
  }
  return bound
}

/** The key is gossip's: whoever set one may think that it covers the other door as well. */
function warnOfPlainHttp({ keyring, tls, logger }: ResolvedAgentOptions, bound: Address): void {
  if (keyring === undefined || tls !== undefined || isLoopback(bound.host)) return
  const text = 'the key encrypts gossip only: HTTP, with the records copied over it, is plaintext'
  logger.warn({ http: formatAddress(bound) }, text)
}

interface Told {
  readonly address: Address
  readonly encrypted: boolean
}

/** A tag is whatever another member says: what is no address is no source. */
function toldBy({ tags }: Member): Told | undefined {
  const text = tags[HTTP_TAG] ?? ''
  const encrypted = text.startsWith(secure)
  const address = parseAddress(encrypted ? text.slice(secure.length) : text)
  return address && address.port > 0 ? { address, encrypted } : undefined
}

function urlOf({ address, encrypted }: Told): string {
  return `${encrypted ? secure : 'http://'}${formatAddress(address)}`
}

/** Where a member says that its HTTP interface is; undefined where it says nothing that is one. */
export function toldUrl(member: Member): string | undefined {
  const told = toldBy(member)
  return told === undefined ? undefined : urlOf(told)
}

/**
 * Undefined for a member without an address, and for one that we do not ask: with certificates of
 * our own nothing is copied in plaintext, from whoever says that it is there. Who does not answer
 * is noted in `found`.
 */
export function replicationSource(
  member: Member,
  { httpToken, tls, logger }: ResolvedAgentOptions,
  found: HttpFindings,
): ReplicationSource | undefined {
  const told = toldBy(member)
  if (told === undefined) return undefined
  const { address, encrypted } = told
  if (tls !== undefined && !encrypted) {
    const http = formatAddress(address)
    logger.warn({ member: member.name, http }, 'a member without TLS: its records are not copied')
    found.plain(member.name, urlOf(told))
    return undefined
  }
  const source = httpSource({
    address,
    connectTimeoutMs,
    ...(httpToken === undefined ? {} : { token: httpToken }),
    ...(encrypted ? { tls: () => tls?.client ?? nothingShown } : {}),
  })
  return found.watched(member, urlOf(told), source)
}
