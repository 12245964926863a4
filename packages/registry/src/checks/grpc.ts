/**
 * `grpc`: the standard health service, `grpc.health.v1.Health/Check`. It speaks through
 * `@grpc/grpc-js`, which whoever uses this kind installs; its two messages are written by hand.
 */
import { type CheckKind, type CheckResult, type CheckTarget, formatAddress } from '@kith/interface'
import { failure, isPort, isText, OptionReader } from './problems.ts'

export interface GrpcCheckOptions {
  /** Default: the instance's address. */
  readonly host: string
  /** Default: the instance's port. */
  readonly port: number
  /** The service asked about; default: the whole server. */
  readonly service: string
  /** Speak TLS, trusting the system's authorities; default false. */
  readonly tls: boolean
}

const method = '/grpc.health.v1.Health/Check'
const serving = 1
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

export function grpcCheck(): CheckKind<GrpcCheckOptions> {
  return {
    kind: 'grpc',
    parse(options: unknown, target: CheckTarget) {
      const reader = new OptionReader(options)
      const parsed = {
        host: reader.field('host', isText, 'a host name or IP address', target.address),
        port: reader.field('port', isPort, 'an integer from 1 to 65535', target.port),
        service: reader.field('service', isText, 'the full name of a service', ''),
        tls: reader.field('tls', isBoolean, 'true or false', false),
      }
      reader.done()
      return Object.freeze(parsed)
    },
    async run(options, signal) {
      signal.throwIfAborted()
      const grpc = await loadGrpc()
      signal.throwIfAborted()
      return await ask(grpc, options, signal)
    },
  }
}

type Grpc = typeof import('@grpc/grpc-js')

async function loadGrpc(): Promise<Grpc> {
  try {
    return await import('@grpc/grpc-js')
  } catch (cause) {
    throw failure('a grpc check needs the package @grpc/grpc-js: install it beside Kith', cause)
  }
}

function ask(grpc: Grpc, options: GrpcCheckOptions, signal: AbortSignal): Promise<CheckResult> {
  const { host, port, service, tls } = options
  const name = formatAddress({ host, port })
  const credentials = tls ? grpc.credentials.createSsl() : grpc.credentials.createInsecure()
  // Not the shared connection of this address: an old one would only prove that it still stands.
  const client = new grpc.Client(name, credentials, { 'grpc.use_local_subchannel_pool': 1 })
  return new Promise<CheckResult>((resolve, reject) => {
    const call = client.makeUnaryRequest(
      method,
      encodeRequest,
      (bytes: Buffer) => decodeResponse(bytes),
      service,
      (error, status) => {
        signal.removeEventListener('abort', stop)
        client.close()
        if (error !== null) reject(failure(`${name}: ${error.message}`, error))
        else resolve(judge(name, service, status ?? 0))
      },
    )
    const stop = (): void => call.cancel()
    signal.addEventListener('abort', stop, { once: true })
  })
}

function judge(name: string, service: string, status: number): CheckResult {
  const about = service === '' ? name : `${service} at ${name}`
  const word = statusNames[status] ?? `status ${status}`
  return { status: status === serving ? 'passing' : 'critical', output: `${about}: ${word}` }
}

/** `HealthCheckRequest { string service = 1 }`. */
function encodeRequest(service: string): Buffer {
  const text = Buffer.from(service, 'utf8')
  if (text.length === 0) return text
  return Buffer.concat([Buffer.from([0x0a, ...varint(text.length)]), text])
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]
}

/**
 * `HealthCheckResponse { ServingStatus status = 1 }`; absent is 0, and fields of later versions are
 * behind it. What cannot be read is UNKNOWN.
 */
function decodeResponse(bytes: Buffer): number {
  if (bytes.length < 2 || bytes[0] !== 0x08) return 0
  const status = bytes[1] ?? 0
  return status < 0x80 ? status : 0
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === 'boolean'
}
