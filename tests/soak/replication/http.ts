/** What is asked of a member, as any program outside of the cluster would. */
import type { OriginView } from './check.ts'
import type { Line } from './copy.ts'

const askMsMax = 5_000
const readMsMax = 120_000

export interface LogView {
  readonly member: string
  readonly logId: string
  readonly next: number
  readonly origins: readonly OriginView[]
}

export interface Appended {
  readonly origin: string
  readonly first: number
  readonly count: number
  readonly duplicate?: boolean
  readonly replicas?: { readonly acked: number; readonly timedOut: boolean }
}

/** An answer that is a refusal, with its code where it has one. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, text: string) {
    super(`${status}: ${text}`)
    this.name = 'Refusal'
    this.status = status
    this.code = /ERR_[A-Z_]+/.exec(text)?.[0] ?? ''
  }
}

async function ask(url: string, init: RequestInit, timeoutMs: number): Promise<Response> {
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(timeoutMs) })
  if (answer.ok) return answer
  throw new Refusal(answer.status, await answer.text())
}

export async function logOf(http: string): Promise<LogView> {
  return (await (await ask(`http://${http}/v1/log/status`, {}, askMsMax)).json()) as LogView
}

export interface AppendRequest {
  readonly body: string
  readonly producer: string
  readonly sequence: number
  /** Milliseconds to wait for one other member; 0 asks for none. */
  readonly replicasMs: number
}

export async function append(http: string, request: AppendRequest): Promise<Appended> {
  const { body, producer, sequence, replicasMs } = request
  const query = new URLSearchParams({ producer, producerSequence: String(sequence) })
  if (replicasMs > 0) {
    query.set('replicas', '1')
    query.set('timeoutMs', String(replicasMs))
  }
  const headers = { 'content-type': 'application/x-ndjson' }
  const url = `http://${http}/v1/log/records?${query}`
  const answer = await ask(url, { method: 'POST', body, headers }, replicasMs + askMsMax)
  return (await answer.json()) as Appended
}

/** Calls for every record from the offset on, in order. */
export async function readFrom(
  http: string,
  from: number,
  take: (line: Line) => void,
): Promise<void> {
  const answer = await ask(`http://${http}/v1/log/records?from=${from}`, {}, readMsMax)
  const text = answer.body?.pipeThrough(new TextDecoderStream())
  let rest = ''
  for await (const part of text ?? []) {
    const lines = (rest + part).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(JSON.parse(line) as Line)
  }
  if (rest !== '') throw new Error(`an answer of ${http} broke off`)
}

/** The member's own check of its store; a text where something is wrong. */
export async function verify(http: string): Promise<string | undefined> {
  const answer = await ask(`http://${http}/v1/log/verify`, { method: 'POST' }, readMsMax)
  const report = (await answer.json()) as { readonly ok: boolean }
  return report.ok ? undefined : JSON.stringify(report).slice(0, 500)
}
