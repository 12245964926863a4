/**
 * `http`: one request on a fresh connection. 200 to 299 is passing, 429 a warning, everything else
 * critical; redirects are not followed. `status` and `bodyIncludes` ask for something narrower.
 */
import type { IncomingMessage } from 'node:http'
import { type CheckKind, type CheckResult, type CheckTarget, formatAddress } from '@kith/interface'
import { failure, isText, OptionReader } from './problems.ts'

export interface HttpCheckOptions {
  /** Absolute `http:` or `https:` URL; default: `/` at the instance's address and port. */
  readonly url: string
  /** Default GET. */
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  /** The one status that passes; default: any of 200 to 299. */
  readonly status: number | undefined
  /** Text that the first 64 KiB of the body must hold; default: anything. */
  readonly bodyIncludes: string | undefined
  /** For https: what the certificate is checked against; default: the system's authorities. */
  readonly tls: HttpCheckTls | undefined
}

export interface HttpCheckTls {
  /** Certificates of the authorities to trust instead, in PEM. */
  readonly ca?: string
  /** The name that the certificate must bear, where it is not the URL's. */
  readonly serverName?: string
  /** False takes any certificate; default true. */
  readonly verify?: boolean
}

const bodyBytesMax = 65_536

export function httpCheck(): CheckKind<HttpCheckOptions> {
  return {
    kind: 'http',
    parse(options: unknown, target: CheckTarget) {
      const own = `http://${formatAddress({ host: target.address, port: target.port })}/`
      const reader = new OptionReader(options)
      const parsed = {
        url: reader.field('url', isUrl, 'an absolute http or https URL', own),
        method: reader.field('method', isMethod, 'GET, HEAD, POST, PUT or OPTIONS', 'GET'),
        headers: reader.field('headers', isHeaders, 'an object of header texts', {}),
        status: reader.field('status', isStatus, 'an integer from 200 to 599', undefined),
        bodyIncludes: reader.field(
          'bodyIncludes',
          isText,
          'text of 1 to 2048 characters',
          undefined as never,
        ),
        tls: reader.field(
          'tls',
          isTls,
          'an object of ca (PEM), serverName and verify (true or false)',
          undefined as never,
        ),
      }
      reader.done()
      return Object.freeze(parsed)
    },
    run: (options, signal) =>
      new Promise<CheckResult>((resolve, reject) => {
        signal.throwIfAborted()
        const fail = (cause: Error): void => {
          reject(failure(`${options.method} ${options.url}: ${cause.message}`, cause))
        }
        // Not imported: that reads every export of `node:http`, some of which load undici, 9 MiB.
        const secure = options.url.startsWith('https:')
        const send = process.getBuiltinModule(secure ? 'node:https' : 'node:http').request
        const { method, headers } = options
        // A kept connection would only prove that an old one still stands.
        const asked = { method, headers, signal, agent: false, ...tlsOptions(options.tls) }
        const request = send(options.url, asked, (response) => {
          readBody(response).then((body) => resolve(judge(options, response, body)), fail)
        })
        request.on('error', fail)
        request.end()
      }),
  }
}

function tlsOptions({ ca, serverName, verify }: HttpCheckTls = {}): object {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(verify === undefined ? {} : { rejectUnauthorized: verify }),
  }
}

function judge(options: HttpCheckOptions, response: IncomingMessage, body: string): CheckResult {
  const code = response.statusCode ?? 0
  const output = `${options.method} ${options.url}: ${code} ${response.statusMessage ?? ''}\n${body}`
  const fine = options.status === undefined ? code >= 200 && code <= 299 : code === options.status
  if (!fine) return { status: code === 429 ? 'warning' : 'critical', output }
  if (options.bodyIncludes === undefined || body.includes(options.bodyIncludes)) {
    return { status: 'passing', output }
  }
  const missing = `body lacks ${JSON.stringify(options.bodyIncludes)}\n`
  return { status: 'critical', output: missing + output }
}

/** The beginning of the body; the rest is not waited for. */
async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes >= bodyBytesMax) break
  }
  return Buffer.concat(chunks).subarray(0, bodyBytesMax).toString('utf8')
}

function isUrl(value: unknown): value is string {
  if (!isText(value) || !URL.canParse(value)) return false
  const { protocol } = new URL(value)
  return protocol === 'http:' || protocol === 'https:'
}

function isMethod(value: unknown): value is string {
  return ['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS'].includes(value as string)
}

function isHeaders(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const pairs = Object.entries(value as Record<string, unknown>)
  const fits = ([name, text]: [string, unknown]): boolean =>
    /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(name) &&
    typeof text === 'string' &&
    /^[\t\x20-\x7e\x80-\xff]{0,2048}$/.test(text)
  return pairs.length <= 64 && pairs.every(fits)
}

function isTls(value: unknown): value is HttpCheckTls {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const { ca, serverName, verify, ...others } = value as Record<string, unknown>
  return (
    Object.keys(others).length === 0 &&
    (ca === undefined || (typeof ca === 'string' && ca.length <= 65_536 && isPem(ca))) &&
    (serverName === undefined || isText(serverName)) &&
    (verify === undefined || typeof verify === 'boolean')
  )
}

function isPem(text: string): boolean {
  return text.includes('-----BEGIN CERTIFICATE-----')
}

function isStatus(value: unknown): value is number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 200 && value <= 599
}
