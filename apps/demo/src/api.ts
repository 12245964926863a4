/** What the demo asks of its members over HTTP, as any program outside the cluster would. */
import type { AppendResult, MemberStatus, OriginState, ServiceInstance } from '@kith/interface'

export interface MemberView {
  readonly name: string
  readonly status: MemberStatus
}

export interface LogView {
  readonly records: number
  readonly next: number
  readonly origins: readonly (OriginState & { readonly lag: number | 'unknown' })[]
}

export interface ReadRecord {
  readonly offset: number
  readonly origin: string
  readonly sequence: number
  readonly key?: string
  readonly value?: string
}

/** An answer that is a refusal; `passing` where asking again may help. */
export class Refusal extends Error {
  readonly status: number

  constructor(status: number, text: string) {
    super(text)
    this.name = 'Refusal'
    this.status = status
  }

  get passing(): boolean {
    return this.status >= 500 || this.status === 429
  }
}

async function ask(url: string, init: RequestInit = {}, timeoutMs = 5000): Promise<Response> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) })
  if (response.ok) return response
  throw new Refusal(response.status, `${url} answered ${response.status}: ${await response.text()}`)
}

export async function membersOf(http: string): Promise<readonly MemberView[]> {
  const response = await ask(`http://${http}/v1/members`)
  return ((await response.json()) as { members: MemberView[] }).members
}

export async function logOf(http: string): Promise<LogView> {
  return (await (await ask(`http://${http}/v1/log/status`)).json()) as LogView
}

export interface ServiceView {
  readonly service: string
  readonly instances: number
  /** Those of them that are handed out. */
  readonly passing: number
}

export async function servicesOf(http: string): Promise<readonly ServiceView[]> {
  const response = await ask(`http://${http}/v1/services`)
  return ((await response.json()) as { services: ServiceView[] }).services
}

export async function register(
  http: string,
  service: string,
  definition: { readonly port: number; readonly tags: readonly string[] },
): Promise<void> {
  const body = JSON.stringify({ service, ...definition })
  const headers = { 'content-type': 'application/json' }
  await ask(`http://${http}/v1/services/${service}`, { method: 'PUT', body, headers })
}

export async function resolve(http: string, service: string): Promise<readonly ServiceInstance[]> {
  const response = await ask(`http://${http}/v1/services/${encodeURIComponent(service)}`)
  return ((await response.json()) as { instances: ServiceInstance[] }).instances
}

export async function append(
  http: string,
  body: string,
  producer: { readonly id: string; readonly sequence: number },
): Promise<AppendResult> {
  const query = new URLSearchParams({
    producer: producer.id,
    producerSequence: String(producer.sequence),
  })
  const headers = { 'content-type': 'application/x-ndjson' }
  const url = `http://${http}/v1/log/records?${query}`
  return (await (await ask(url, { method: 'POST', body, headers }, 20_000)).json()) as AppendResult
}

/** Every record of one member's log, in its order. */
export async function readAll(http: string): Promise<ReadRecord[]> {
  const response = await ask(`http://${http}/v1/log/records`, {}, 60_000)
  const text = await response.text()
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReadRecord)
}

export async function verify(http: string): Promise<{ readonly ok: boolean }> {
  const url = `http://${http}/v1/log/verify`
  return (await (await ask(url, { method: 'POST' }, 60_000)).json()) as { ok: boolean }
}
