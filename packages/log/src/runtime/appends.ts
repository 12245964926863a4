/**
 * Appending: gate, limits, producers, and the wait for other logs (LOG-7, LOG-8, LOG-14 to
 * LOG-17).
 */
import type { AppendOptions, AppendRecord, AppendResult } from '@kith/interface'
import { describeProblems } from '@kith/interface'
import type { OptionProblem } from '@kith/interface'
import { lookUpAnswer } from '../core/producers.ts'
import { mayRotate } from '../core/rotation.ts'
import { validateRecords } from '../core/validate.ts'
import { LogError } from '../errors.ts'
import { mustRun, standingTables, refuseDamaged, rotateOrigin } from './parts.ts'
import type { LogParts } from './parts.ts'

const replicasMax = 1024
const replicasTimeoutMs = 10_000
const sequenceMax = 2 ** 48 - 1

export interface Appender {
  append(
    records: AppendRecord | readonly AppendRecord[],
    options?: AppendOptions,
  ): Promise<AppendResult>
}

export function createAppender(parts: LogParts): Appender {
  /** Appends of producers that are not answered yet, so that a retry meets its first attempt. */
  const pending = new Map<string, Promise<AppendResult>>()
  return {
    append(records, options = {}) {
      try {
        checkOptions(options)
        options.signal?.throwIfAborted()
        const list = Array.isArray(records) ? (records as readonly AppendRecord[]) : [records]
        const stored = appendOnce(parts, pending, list as readonly AppendRecord[], options)
        const { replicas = 0, signal } = options
        if (replicas === 0 && signal === undefined) return stored
        return withSignal(replicas === 0 ? stored : awaitReplicas(parts, stored, options), signal)
      } catch (cause) {
        return Promise.reject(cause as Error)
      }
    },
  }
}

function appendOnce(
  parts: LogParts,
  pending: Map<string, Promise<AppendResult>>,
  records: readonly AppendRecord[],
  options: AppendOptions,
): Promise<AppendResult> {
  const { producer } = options
  mayAppend(parts)
  if (producer === undefined) return pack(parts, records, options)
  refuseDamaged(parts, ['producer'])
  const key = `${producer.sequence}:${producer.id}`
  const underWay = pending.get(key)
  if (underWay !== undefined) return underWay.then((result) => again(parts, result, options))
  const known = parts.writer.head.producers.get(producer.id)
  const found = known && lookUpAnswer(known.answers, producer.sequence)
  if (found?.kind === 'stored') {
    const { sequence: _, ...answer } = found.answer
    return again(parts, answer, options)
  }
  if (found?.kind === 'stale') {
    throw new LogError(
      'ERR_LOG_PRODUCER_STALE',
      `producer ${producer.id} sent sequence ${producer.sequence}, but only ${found.oldest} and ` +
        'later are remembered: nobody can tell whether it was stored',
      { details: { producer: producer.id, oldest: found.oldest } },
    )
  }
  const stored = pack(parts, records, options)
  pending.set(key, stored)
  const forget = (): void => void pending.delete(key)
  stored.then(forget, forget)
  return stored
}

/**
 * The answer to a retry. The first attempt may have asked for less than this one: `disk` is flushed
 * before it is answered, whoever wrote it, and fails where that flush did (LOG-35, LOG-36).
 */
async function again(
  { writer }: LogParts,
  answer: Omit<AppendResult, 'duplicate'>,
  { durability = 'disk' }: AppendOptions,
): Promise<AppendResult> {
  const end = answer.offset + answer.count
  if (durability === 'disk' && end > writer.flushed.nextOffset) await writer.join()
  return { ...answer, duplicate: true }
}

/** Throws where the gate, damage or an owed rotation forbids appends. */
function mayAppend(parts: LogParts): void {
  mustRun(parts)
  refuseDamaged(parts, standingTables)
  if (parts.gate.kind === 'waiting') {
    throw new LogError(
      'ERR_LOG_NOT_READY',
      'appends wait until a member was heard from, because it may know more of this log than its ' +
        'own disk; try again shortly',
      { details: { gateMs: parts.options.gateMs } },
    )
  }
  const { rotationOwed, rotatedAt } = parts.writer.head.meta
  if (rotationOwed === '') return
  if (mayRotate(rotatedAt, parts.clock.wallNow())) {
    parts.writer.admit(0)
    rotateOrigin(parts, rotationOwed)
    parts.writer.schedule()
    return
  }
  throw new LogError(
    'ERR_LOG_ROTATION_RATE',
    `the log needs a new origin (${rotationOwed}) but had one within the hour: something keeps ` +
      'taking its history away',
    { details: { why: rotationOwed, rotatedAt } },
  )
}

function pack(
  parts: LogParts,
  records: readonly AppendRecord[],
  options: AppendOptions,
): Promise<AppendResult> {
  const { writer, clock } = parts
  const { recordBytesMax, appendBytesMax } = parts.options
  const bytes = validateRecords(records, recordBytesMax, appendBytesMax)
  writer.admit(bytes)
  const place = writer.current(bytes).addRecords(records, clock.wallNow(), bytes)
  const { producer, durability = 'disk' } = options
  return new Promise((resolve, reject) => {
    const append = { place, count: records.length, producer, resolve, reject }
    writer.enqueue(append, durability === 'disk')
  })
}

async function awaitReplicas(
  parts: LogParts,
  stored: Promise<AppendResult>,
  options: AppendOptions,
): Promise<AppendResult> {
  const { replicas: needed = 0, timeoutMs = replicasTimeoutMs, signal } = options
  const result = await stored
  const { origin, first, count } = result
  const range = { from: first, next: first + count }
  return new Promise((resolve) => {
    const finish = (acked: number, timedOut: boolean): void => {
      stopWaiting()
      stopTimer()
      signal?.removeEventListener('abort', giveUp)
      resolve({ ...result, replicas: { needed, acked, timedOut } })
    }
    const giveUp = (): void => finish(parts.replicas.ackedBy(origin, range), true)
    const stopTimer = parts.clock.after(timeoutMs, giveUp)
    signal?.addEventListener('abort', giveUp)
    let stopWaiting = (): void => {}
    let early = false
    const stop = parts.replicas.wait(origin, range, needed, (acked) => {
      early = true
      finish(acked, false)
    })
    if (early) stop()
    else stopWaiting = stop
  })
}

function withSignal<Result>(
  promise: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function checkOptions({ durability, replicas, timeoutMs, producer }: AppendOptions): void {
  const problems: OptionProblem[] = []
  const report = (field: string, got: unknown, want: string): void => {
    problems.push({ field, got: String(got).slice(0, 80), want })
  }
  if (durability !== undefined && !['disk', 'os', 'memory'].includes(durability)) {
    report('durability', durability, "'disk', 'os' or 'memory'")
  }
  if (replicas !== undefined && !isIntegerIn(replicas, 0, replicasMax)) {
    report('replicas', replicas, `an integer from 0 to ${replicasMax}`)
  }
  if (timeoutMs !== undefined && !isIntegerIn(timeoutMs, 1, 3_600_000)) {
    report('timeoutMs', timeoutMs, 'an integer from 1 to 3600000')
  }
  if (producer !== undefined) {
    const { id, sequence } = producer
    if (typeof id !== 'string' || id.length < 1 || id.length > 128) {
      report('producer.id', id, 'a string of 1 to 128 characters')
    }
    if (!isIntegerIn(sequence, 0, sequenceMax)) {
      report('producer.sequence', sequence, `an integer from 0 to ${sequenceMax}`)
    }
  }
  if (problems.length === 0) return
  throw new LogError('ERR_LOG_OPTIONS', describeProblems(problems), { details: problems })
}

function isIntegerIn(value: unknown, low: number, high: number): boolean {
  return Number.isInteger(value) && (value as number) >= low && (value as number) <= high
}
