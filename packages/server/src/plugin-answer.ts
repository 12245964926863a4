/** What a plugin answered, checked before any of it is sent. */
import { describeProblems, type OptionProblem, showValue } from '@kith/interface'
import { ServerError } from './errors.ts'
import type { PluginAnswer } from './plugin-routes.ts'

/** An answer as it is sent. */
export interface CheckedAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

const fields: readonly string[] = ['status', 'json', 'text', 'type', 'refusal', 'headers']
const kinds = ['json', 'text', 'refusal'] as const
const headersMax = 16
/** What says how an answer is framed is ours. */
const ours: readonly string[] = ['connection', 'content-length', 'content-type', 'date']
const framing: readonly string[] = [
  ...ours,
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** Throws an `Error` that names everything that is wrong with it. */
export function checkedAnswer(given: PluginAnswer | void, bytesMax: number): CheckedAnswer {
  if (given === undefined) return { status: 204, headers: {}, body: undefined }
  const problems = answerProblems(given)
  if (problems.length > 0) throw new Error(`its answer is none: ${describeProblems(problems)}`)
  const { json, text, type = 'text/plain; charset=utf-8', refusal, headers = {} } = given
  const body = refusal === undefined ? (text ?? jsonText(json)) : undefined
  if (body !== undefined && Buffer.byteLength(body) > bytesMax) {
    throw new Error(`its answer has ${Buffer.byteLength(body)} bytes; at most ${bytesMax} are sent`)
  }
  if (refusal !== undefined) {
    const { status = 400 } = given
    const { code, detail } = refusal
    const problem = { title: 'A plugin refuses this', status, detail: detail.slice(0, 2_000), code }
    const own = { ...headers, 'content-type': 'application/problem+json' }
    return { status, headers: own, body: JSON.stringify(problem) }
  }
  if (body === undefined) return { status: given.status ?? 204, headers, body }
  const own = { ...headers, 'content-type': text === undefined ? 'application/json' : type }
  return { status: given.status ?? 200, headers: own, body }
}

function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw new Error(`its answer is no JSON: ${(cause as Error).message}`, { cause })
  }
}

function answerProblems(given: PluginAnswer): readonly OptionProblem[] {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    const want = '{ status?, json | text | refusal, type?, headers? } or nothing'
    return [{ field: 'answer', got: showValue(given), want }]
  }
  const problems: OptionProblem[] = []
  const need = (holds: boolean, field: string, value: unknown, want: string): void => {
    if (!holds) problems.push({ field, got: showValue(value), want })
  }
  const { status, text, type, refusal, headers = {} } = given
  const [from, to] = refusal === undefined ? [200, 299] : [400, 599]
  const inRange = Number.isInteger(status) && Number(status) >= from && Number(status) <= to
  need(status === undefined || inRange, 'status', status, `an integer from ${from} to ${to}`)
  const said = kinds.filter((kind) => given[kind] !== undefined)
  need(said.length <= 1, 'answer', said, 'one of json, text and refusal')
  need(text === undefined || typeof text === 'string', 'text', text, 'text')
  need(type === undefined || (text !== undefined && isHeader(type)), 'type', type, 'that of a text')
  need(refusal === undefined || isRefused(refusal), 'refusal', refusal, '{ code, detail }')
  const listed = Object.entries(typeof headers === 'object' && headers !== null ? headers : {})
  const fit = listed.every(([name, value]) => {
    return /^[a-z][a-z0-9-]{0,63}$/.test(name) && !framing.includes(name) && isHeader(value)
  })
  need(fit && listed.length <= headersMax, 'headers', headers, `at most ${headersMax}, not framing`)
  for (const [field, value] of Object.entries(given)) {
    need(fields.includes(field), field, value, 'absent')
  }
  return problems
}

function isHeader(value: unknown): boolean {
  return typeof value === 'string' && /^[\x20-\x7e]{1,1024}$/.test(value)
}

function isRefused(refusal: unknown): boolean {
  const { code, detail } = (refusal ?? {}) as { code?: unknown; detail?: unknown }
  return (
    typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) && typeof detail === 'string'
  )
}

/** What the caller hears of a handler that failed: the log has the rest. */
export function failedPlugin(plugin: string, cause: unknown): ServerError {
  const text = `the plugin ${plugin} failed; the log of the member has why`
  return new ServerError('ERR_SERVER_PLUGIN', text, { cause })
}
