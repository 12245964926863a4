/** Reading flags: each refusal names the flag and says what would be right. */
import { type Address, parseAddress, showValue } from '@kith/interface'
import { InvalidArgumentError } from 'commander'

/** A text that is refused, in the words of problems as well as in those of a command line. */
export class RefusedText extends InvalidArgumentError {
  readonly got: string
  readonly want: string

  constructor(got: string, want: string) {
    super(`It must be ${want}, got ${got}.`)
    this.got = got
    this.want = want
  }
}

/** `HOST:PORT`; port 0 only where a free one may be picked. */
export function addressFlag(options: { anyPort: boolean }): (text: string) => Address {
  return (text) => {
    const address = parseAddress(text)
    if (address && (options.anyPort || address.port > 0)) return address
    const ports = options.anyPort
      ? 'a port from 0 (any free one) to 65535'
      : 'a port from 1 to 65535'
    return refuse(text, `HOST:PORT with ${ports}`)
  }
}

/** Where an RPC is: an address, with TLS or without, or the path of a socket. */
export type RpcPlace =
  | { readonly address: Address; readonly tls: boolean }
  | { readonly path: string }

/** `HOST:PORT`, the same behind `tls:`, or `unix:` and a path. */
export function rpcPlace(options: { anyPort: boolean }): (text: string) => RpcPlace {
  const readAddress = addressFlag(options)
  return (text) => {
    const tls = text.startsWith('tls:')
    if (!text.startsWith('unix:')) return { address: readAddress(tls ? text.slice(4) : text), tls }
    const path = text.slice('unix:'.length)
    return path === '' ? refuse(text, 'HOST:PORT, tls:HOST:PORT or unix:PATH') : { path }
  }
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of `1.5s`, `500ms`, `2m`: as Serf's command takes them. */
export function durationFlag(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text) ?? []
  const ms = Number(number) * (durationUnits[unit] ?? 0)
  return number !== '' && ms >= 1 ? ms : refuse(text, 'a time as 500ms, 1.5s or 2m')
}

export function integerFlag(from: number, to: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
    if (value >= from && value <= to) return value
    return refuse(text, `an integer from ${from} to ${to}`)
  }
}

export function textFlag(want: string, fits: (text: string) => boolean): (text: string) => string {
  return (text) => (fits(text) ? text : refuse(text, want))
}

export function oneOfFlag(values: readonly string[]): (text: string) => string {
  return textFlag(`one of ${values.join(', ')}`, (text) => values.includes(text))
}

/** What is on or off, for a variable: a flag of this kind has no text. */
export function switchFlag(text: string): boolean {
  if (text !== 'true' && text !== 'false') refuse(text, 'true or false')
  return text === 'true'
}

/** JSON that may hold secrets: what is refused is not shown. */
export function jsonFlag(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new RefusedText(`${text.length} characters`, 'JSON')
  }
}

/** A key of the cluster. What is refused is not shown: it may be most of a key. */
export function keyFlag(text: string): string {
  const bytes = Buffer.from(text, 'base64')
  if ([16, 24, 32].includes(bytes.length) && bytes.toString('base64') === text) return text
  const want = 'base64 of 16, 24 or 32 bytes, as kith keygen prints'
  throw new RefusedText(`${text.length} characters`, want)
}

export function labelFlag(text: string): string {
  const bytes = Buffer.byteLength(text)
  return bytes >= 1 && bytes <= 255 ? text : refuse(text, 'text of 1 to 255 bytes')
}

export function addAddress(text: string, earlier: readonly string[] = []): string[] {
  // Serf's form NAME/HOST:PORT is taken as well: the name says who is expected there.
  const slash = text.indexOf('/')
  addressFlag({ anyPort: false })(text.slice(slash + 1))
  if (slash === 0) refuse(text, 'HOST:PORT or NAME/HOST:PORT')
  return [...earlier, text]
}

export function addTag(
  text: string,
  earlier: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) refuse(text, 'NAME=VALUE')
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) }
}

/** A bound of retention, `NAME=NUMBER`; which names there are is the log's to say. */
export function addBound(
  text: string,
  earlier: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const [, name = '', digits = ''] = /^([A-Za-z]+)=(\d{1,16})$/.exec(text) ?? []
  const value = Number(digits)
  if (name === '' || !Number.isSafeInteger(value)) refuse(text, 'BOUND=NUMBER')
  return { ...earlier, [name]: value }
}

/** Where reading begins: an offset, an end, or a time, which gets the zone of this machine. */
export function fromFlag(text: string): number | string {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) return integerFlag(0, Number.MAX_SAFE_INTEGER)(text)
  const time = /^\d{4}-\d{2}-\d{2}(T|$)/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) {
    return refuse(text, 'an offset, earliest, latest or a time as 2026-01-31T12:00')
  }
  return new Date(time).toISOString()
}

export function addText(text: string, earlier: readonly string[] = []): string[] {
  return [...earlier, text]
}

/** The name of a service, or a tag of one. */
export const nameFlag: (text: string) => string = textFlag(
  'text of 1 to 128 characters',
  (text) => text.length >= 1 && text.length <= 128,
)

export function addServiceTag(text: string, earlier?: readonly string[]): string[] {
  return addText(nameFlag(text), earlier)
}

export interface ServiceFlag {
  readonly service: string
  readonly port: number
}

export function addService(text: string, earlier: readonly ServiceFlag[] = []): ServiceFlag[] {
  const at = text.lastIndexOf(':')
  const service = text.slice(0, Math.max(at, 0))
  const digits = text.slice(at + 1)
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : 0
  if (service === '' || port < 1 || port > 65_535) {
    refuse(text, 'NAME:PORT with a port from 1 to 65535')
  }
  return [...earlier, { service, port }]
}

export interface HandlerFlag {
  readonly on: string
  readonly command: readonly string[]
}

/** `EVENTS=PROGRAM`, or a program for all events; further words are its arguments. */
export function addHandler(text: string, earlier: readonly HandlerFlag[] = []): HandlerFlag[] {
  const at = text.indexOf('=')
  const on = at < 0 ? '*' : text.slice(0, at)
  const command = text
    .slice(at + 1)
    .split(' ')
    .filter(Boolean)
  if (on === '' || command.length === 0) refuse(text, 'EVENTS=PROGRAM')
  return [...earlier, { on, command }]
}

/** What can be a place of HTTP, as it was written. */
export function httpPlace(text: string): string {
  httpUrl(text)
  return text
}

/** `http://host:port` for what `--http-addr` or the environment named. */
export function httpUrl(text: string, scheme: 'http' | 'https' = 'http'): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return new URL(text).origin
  const address = parseAddress(text)
  if (!address || address.port === 0) {
    return refuse(text, 'HOST:PORT or a URL, as http://127.0.0.1:7947')
  }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${scheme}://${host}:${address.port}`
}

function refuse(text: string, want: string): never {
  throw new RefusedText(showValue(text), want)
}
