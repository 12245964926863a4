/**
 * What requests may hold. The text of each schema says what would be right. Zod is loaded for the
 * first request that has something to check: a member that starts does not wait for it.
 */
import { createRequire } from 'node:module'
import {
  type CheckStatus,
  describeProblems,
  type Durability,
  type OptionProblem,
  type ReadFrom,
  schemaProblems,
  type SchemaIssue,
} from '@kith/interface'
import type * as Zod from 'zod'
import { ServerError } from './errors.ts'

export interface AppendQuery {
  readonly durability?: Durability | undefined
  readonly replicas?: number | undefined
  readonly timeoutMs?: number | undefined
  readonly producer?: string | undefined
  readonly producerSequence?: number | undefined
}

export interface ReadQuery {
  readonly from?: ReadFrom | undefined
  readonly limit?: number | undefined
  readonly follow?: boolean | undefined
}

export interface ResolveQuery {
  readonly passing?: boolean | undefined
  readonly tag?: string[] | undefined
  readonly limit?: number | undefined
  readonly near?: string | undefined
  readonly follow?: boolean | undefined
}

export interface RecordLine {
  readonly key?: string | undefined
  readonly keyBase64?: string | undefined
  readonly value?: string | undefined
  readonly valueBase64?: string | undefined
  readonly headers?: Record<string, string> | undefined
}

export interface ServiceBody {
  readonly service: string
  readonly address?: string | undefined
  readonly port: number
  readonly tags?: string[] | undefined
  readonly meta?: Record<string, string> | undefined
  readonly checks?: { kind: string }[] | undefined
}

const require = createRequire(import.meta.url)

function z(): typeof Zod {
  return require('zod') as typeof Zod
}

export interface Schema<Value> {
  safeParse(
    input: unknown,
  ): { success: true; data: Value } | { success: false; error: { issues: SchemaIssue[] } }
}

/** Made when it is first asked. */
function later<Value>(make: () => Schema<Value>): Schema<Value> {
  let made: Schema<Value> | undefined
  return { safeParse: (input) => (made ??= make()).safeParse(input) }
}

/** The checked value; throws `ERR_SERVER_BAD_REQUEST` that names every field at fault. */
export function parse<Value>(schema: Schema<Value>, input: unknown, whole: string): Value {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  throw badRequest(schemaProblems(result.error.issues, input, whole))
}

export function badRequest(problems: readonly OptionProblem[]): ServerError {
  return new ServerError('ERR_SERVER_BAD_REQUEST', describeProblems(problems.slice(0, 20)), {
    details: { problems },
  })
}

/** Half a surrogate pair has no UTF-8: it would be stored as something else. */
function isWellFormed(value: string): boolean {
  return !/\p{Surrogate}/u.test(value)
}

/** A whole number in a query: digits only, so that nothing is rounded on the way. */
function wholeText(from: number, to: number) {
  const error = `an integer from ${from} to ${to}`
  return z()
    .string({ error })
    .regex(/^\d{1,16}$/, { error })
    .transform(Number)
    .refine((value) => value >= from && value <= to, { error })
}

function flagText() {
  return z()
    .enum(['true', 'false'], { error: '"true" or "false"' })
    .transform((x) => x === 'true')
}

/** A time with its zone, so that it means the same to whoever asks and to whoever answers. */
function timeText() {
  return z()
    .iso.datetime({ offset: true })
    .transform((value) => ({ time: Date.parse(value) }))
}

function text(from: number, to: number) {
  const error = `text of ${from} to ${to} characters`
  return z()
    .string({ error })
    .min(from, { error })
    .max(to, { error })
    .refine((value) => isWellFormed(value), { error: 'well-formed Unicode' })
}

const wholeMax = Number.MAX_SAFE_INTEGER

export const appendQuery: Schema<AppendQuery> = later(() =>
  z()
    .strictObject({
      durability: z()
        .enum(['memory', 'os', 'disk'], { error: '"disk", "os" or "memory"' })
        .optional(),
      replicas: wholeText(0, 1000).optional(),
      timeoutMs: wholeText(0, 600_000).optional(),
      producer: text(1, 128).optional(),
      producerSequence: wholeText(0, 2 ** 48 - 1).optional(),
    })
    .refine(
      ({ producer, producerSequence: sequence }) =>
        (producer === undefined) === (sequence === undefined),
      {
        path: ['producerSequence'],
        error: 'given exactly when producer is given',
      },
    ),
)

export const readQuery: Schema<ReadQuery> = later(() =>
  z().strictObject({
    from: z()
      .union([z().enum(['earliest', 'latest']), wholeText(0, wholeMax), timeText()], {
        error: `"earliest", "latest", a time as 2026-01-31T12:00:00Z or an integer up to ${wholeMax}`,
      })
      .optional(),
    limit: wholeText(1, wholeMax).optional(),
    follow: flagText().optional(),
  }),
)

const tagText = () => text(1, 128)

export const resolveQuery: Schema<ResolveQuery> = later(() =>
  z().strictObject({
    passing: flagText().optional(),
    tag: z()
      .union([tagText().transform((tag) => [tag]), z().array(tagText()).max(32)], {
        error: 'at most 32 tags of 1 to 128 characters',
      })
      .optional(),
    limit: wholeText(1, 10_000).optional(),
    near: text(1, 128).optional(),
    follow: flagText().optional(),
  }),
)

export const servicesQuery: Schema<{ readonly follow?: boolean | undefined }> = later(() =>
  z().strictObject({
    follow: flagText().optional(),
  }),
)

export const noQuery: Schema<object> = later(() => z().strictObject({}))

function headerTexts() {
  return z().record(z().string(), z().string({ error: 'text' }), { error: 'an object of texts' })
}

/** One line of an append. */
export const recordLine: Schema<RecordLine> = later(() =>
  z()
    .strictObject(
      {
        key: z().string({ error: 'text' }).optional(),
        keyBase64: base64().optional(),
        value: z().string({ error: 'text' }).optional(),
        valueBase64: base64().optional(),
        headers: headerTexts().optional(),
      },
      { error: 'an object { key?, value | valueBase64, headers? }' },
    )
    .refine((line) => (line.value === undefined) !== (line.valueBase64 === undefined), {
      path: ['value'],
      error: 'given, unless valueBase64 is',
    })
    .refine((line) => line.key === undefined || line.keyBase64 === undefined, {
      path: ['key'],
      error: 'absent when keyBase64 is given',
    })
    .refine((line) => isWellFormed(line.key ?? '') && isWellFormed(line.value ?? ''), {
      error: 'well-formed Unicode (use valueBase64 for other bytes)',
    }),
)

function base64() {
  return z().base64({ error: 'base64 with padding' })
}

const portWant = 'an integer from 1 to 65535'

export const serviceBody: Schema<ServiceBody> = later(() =>
  z().strictObject(
    {
      service: text(1, 128),
      address: text(1, 253).optional(),
      port: z()
        .int({ error: portWant })
        .min(1, { error: portWant })
        .max(65_535, { error: portWant }),
      tags: z()
        .array(tagText(), { error: 'a list of texts' })
        .max(32, { error: 'at most 32 tags' })
        .optional(),
      meta: headerTexts().optional(),
      checks: z()
        .array(z().looseObject({ kind: text(1, 64) }, { error: 'an object with a kind' }), {
          error: 'a list of checks',
        })
        .max(16, { error: 'at most 16 checks' })
        .optional(),
    },
    { error: 'an object { service, address?, port, tags?, meta?, checks? }' },
  ),
)

export const checkBody: Schema<{ readonly output?: string | undefined }> = later(() =>
  z().strictObject({ output: text(0, 4096).optional() }, { error: 'an object { output? }' }),
)

export const maintenanceBody: Schema<{ readonly reason: string }> = later(() =>
  z().strictObject({ reason: text(1, 256) }, { error: 'an object { reason }' }),
)

export const originId: Schema<string> = later(() =>
  z()
    .string()
    .regex(/^[0-9a-f]{32}$/, { error: '32 hex digits, in small letters' }),
)

export const checkStatus: Schema<CheckStatus> = later(() =>
  z().enum(['passing', 'warning', 'critical'], {
    error: '"passing", "warning" or "critical"',
  }),
)
