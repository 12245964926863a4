/** Carries out what the core decides, and brings the results back as inputs. */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { isKithError } from '@kith/interface'
import type {
  CorruptRun,
  Emitter,
  Logger,
  Member,
  RepairOutcome,
  ReplicaLog,
  ReplicationSource,
} from '@kith/interface'
import type { Input, Output, ReplicatorEvents, Verdict } from '../core/messages.ts'
import { isReplicatorCode, ReplicatorError } from '../errors.ts'
import type { ReplicatorErrorCode } from '../errors.ts'
import { readBatchHead } from '../wire/head.ts'
import { askBoundaries } from './boundaries.ts'
import { Leases } from './leases.ts'
import { atOnceBytesMax, bytesOf } from './turns.ts'

export interface EffectsOptions {
  readonly log: ReplicaLog
  readonly logger: Logger
  readonly events: Emitter<ReplicatorEvents>
  readonly source: (member: Member) => ReplicationSource | undefined
  /** The vector changed without a commit. */
  readonly changed: () => void
  readonly dispatch: (input: Input) => void
}

export interface Effects {
  readonly events: Emitter<ReplicatorEvents>
  remember(member: Member): void
  forget(name: string): void
  run(output: Output): void
  /** Ends every call and waits for what the log still does. */
  stop(): Promise<void>
}

interface Connection {
  readonly session: number
  readonly source: ReplicationSource
  readonly controller: AbortController
}

interface Work {
  readonly options: EffectsOptions
  readonly members: Map<string, Member>
  readonly connections: Map<string, Connection>
  /** The call that looks where two histories part. */
  readonly searches: Map<number, AbortController>
  readonly leases: Leases
  /** Everything under way: calls, transactions, sources that close. */
  readonly pending: Set<Promise<void>>
  stopped: boolean
}

export function createEffects(options: EffectsOptions): Effects {
  const work: Work = {
    options,
    members: new Map(),
    connections: new Map(),
    searches: new Map(),
    leases: new Leases(),
    pending: new Set(),
    stopped: false,
  }
  return {
    events: options.events,
    remember: (member) => void work.members.set(member.name, member),
    forget: (name) => void work.members.delete(name),
    run: (output) => run(work, output),
    async stop() {
      work.stopped = true
      for (const name of work.connections.keys()) disconnect(work, name)
      await Promise.allSettled(work.pending)
    },
  }
}

function run(work: Work, output: Output): void {
  const { options } = work
  switch (output.kind) {
    case 'dial':
      return dial(work, output)
    case 'pull':
      return pull(work, output)
    case 'fetch':
      return fetchRun(work, output)
    case 'locate':
      return locate(work, output)
    case 'askChains':
      return askChains(work, output)
    case 'endLocate':
      return work.searches.get(output.locate)?.abort()
    case 'close':
      if (work.connections.get(output.member)?.session === output.session) {
        disconnect(work, output.member)
      }
      return
    case 'openGate':
      return options.log.openGate()
    case 'event':
      return emit(work, output)
    case 'apply':
    case 'compare':
    case 'recordGap':
    case 'quarantine':
    case 'note':
    case 'retire':
    case 'rotate':
    case 'repair':
      return track(work, askLog(work, output))
  }
}

function track(work: Work, promise: Promise<void>): void {
  const entry = promise
    .catch((cause: unknown) => work.options.logger.error({ cause }, 'a replicator task failed'))
    .finally(() => work.pending.delete(entry))
  work.pending.add(entry)
}

function emit(work: Work, output: Extract<Output, { kind: 'event' }>): void {
  const { kind, detail } = output.event
  work.options.logger.debug(detail, `replicator ${kind}`)
  work.options.events.emit(kind, detail)
}

function dial(work: Work, output: Extract<Output, { kind: 'dial' }>): void {
  const { member, session, hello } = output
  disconnect(work, member)
  const known = work.members.get(member)
  const source = known === undefined ? undefined : makeSource(work, known)
  if (source === undefined) {
    answered(work, { kind: 'noSource', member, session })
    return
  }
  const controller = new AbortController()
  work.connections.set(member, { session, source, controller })
  track(
    work,
    source.hello(hello, controller.signal).then(
      (answer) => answered(work, { kind: 'hello', member, session, hello: answer }),
      (cause: unknown) =>
        answered(work, { kind: 'helloFailed', member, session, ...failureOf(cause) }),
    ),
  )
}

function makeSource(work: Work, member: Member): ReplicationSource | undefined {
  try {
    return work.options.source(member)
  } catch (cause) {
    work.options.logger.warn({ cause, member: member.name }, 'no source could be made')
    return undefined
  }
}

function pull(work: Work, output: Extract<Output, { kind: 'pull' }>): void {
  const { member, session, pull: id, request } = output
  const connection = work.connections.get(member)
  if (connection?.session !== session) return
  track(
    work,
    connection.source.pull(request, connection.controller.signal).then(
      (response) => {
        work.leases.hold(response)
        answered(work, { kind: 'pulled', member, session, pull: id, response })
      },
      (cause: unknown) =>
        answered(work, { kind: 'pullFailed', member, session, pull: id, ...failureOf(cause) }),
    ),
  )
}

/** What a run may have in bytes: more is no run of ours. */
const runBytesMax = 64 * 1024 * 1024

function fetchRun(work: Work, output: Extract<Output, { kind: 'fetch' }>): void {
  const { kind: _, ...call } = output
  const connection = work.connections.get(call.member)
  if (connection?.session !== call.session) {
    const reason = 'the session was closed'
    const failure = { code: 'ERR_REPLICATOR_STOPPED', reason } as const
    // Never within the step that asked: its outputs are carried out one by one.
    return track(
      work,
      Promise.resolve().then(() => answered(work, { kind: 'fetchFailed', ...call, ...failure })),
    )
  }
  track(
    work,
    fetchAll(connection, call.run).then(
      (batches) => answered(work, { kind: 'fetched', ...call, batches }),
      (cause: unknown) => answered(work, { kind: 'fetchFailed', ...call, ...failureOf(cause) }),
    ),
  )
}

/** Batch by batch; nothing where one is not there, or does not follow the one before. */
async function fetchAll(
  { source, controller }: Connection,
  { origin, from, to }: CorruptRun,
): Promise<readonly Uint8Array[]> {
  const batches: Uint8Array[] = []
  let bytes = 0
  for (let next = from; next < to;) {
    const batch = await source.fetch(origin, next, controller.signal)
    const head = batch === undefined ? undefined : readBatchHead(batch)
    if (batch === undefined || head?.origin !== origin || head.next <= next) return []
    bytes += batch.length
    if (bytes > runBytesMax) return []
    batches.push(batch)
    next = head.next
  }
  return batches
}

/** Beside everything else: its own signal ends it where nobody waits for the answer any more. */
function locate(work: Work, output: Extract<Output, { kind: 'locate' }>): void {
  const { locate: id, member, session } = output
  const connection = work.connections.get(member)
  const search = new AbortController()
  work.searches.set(id, search)
  const asked = async (): Promise<Input> => {
    if (connection?.session !== session) return { kind: 'locateFailed', locate: id }
    const signal = AbortSignal.any([connection.controller.signal, search.signal])
    const found = await askBoundaries(work.options.log, connection.source, output, signal)
    return { kind: 'located', locate: id, ...found }
  }
  const failed = (cause: unknown): Input => {
    work.options.logger.debug({ member, cause }, 'where a fork begins was not answered')
    return { kind: 'locateFailed', locate: id }
  }
  track(
    work,
    // Never within the step that asked: its outputs are carried out one by one.
    Promise.resolve()
      .then(asked)
      .catch(failed)
      .then((input) => {
        work.searches.delete(id)
        answered(work, input)
      }),
  )
}

/** What the member does not answer it is not asked again in this session. */
function askChains(work: Work, output: Extract<Output, { kind: 'askChains' }>): void {
  const { kind: _, ...call } = output
  const connection = work.connections.get(call.member)
  if (connection?.session !== call.session) return
  track(
    work,
    connection.source.chainAt(call.origin, call.sequences, connection.controller.signal).then(
      (chains) => answered(work, { kind: 'chainsAsked', ...call, chains }),
      () => answered(work, { kind: 'chainsAsked', ...call, chains: [] }),
    ),
  )
}

function answered(work: Work, input: Input): void {
  if (!work.stopped) work.options.dispatch(input)
}

function disconnect(work: Work, member: string): void {
  const connection = work.connections.get(member)
  if (connection === undefined) return
  work.connections.delete(member)
  const reason = new ReplicatorError('ERR_REPLICATOR_STOPPED', 'the session was closed')
  connection.controller.abort(reason)
  track(work, connection.source.close())
}

type LogOutput = Extract<
  Output,
  {
    kind: 'apply' | 'compare' | 'recordGap' | 'quarantine' | 'note' | 'retire' | 'rotate' | 'repair'
  }
>

async function askLog(work: Work, output: LogOutput): Promise<void> {
  const { log, changed } = work.options
  switch (output.kind) {
    case 'apply': {
      const { apply } = output
      // The log looks at the first megabyte as it is called, and this turn may have looked at
      // another, or read an answer.
      if (bytesOf(output.batches) > atOnceBytesMax) await turnOfLoop()
      const report = await log.applyBatches(output.batches, output.members).catch(reasonOf)
      const failed = typeof report === 'string'
      const result = failed ? { report: undefined, reason: report } : { report, reason: '' }
      answered(work, { kind: 'applied', apply, ...result })
      // The core, which counts their bytes, has had them by now.
      return work.leases.done(output.batches)
    }
    case 'compare': {
      const verdict = await compare(log, output).catch((): Verdict => 'unknown')
      return answered(work, { kind: 'compared', compare: output.compare, verdict })
    }
    case 'recordGap': {
      const { origin, resume, chainBefore, why } = output
      const reason = await log.recordGap(origin, resume, chainBefore, why).catch(reasonOf)
      changed()
      return answered(work, { kind: 'gapRecorded', origin, reason: reason ?? undefined })
    }
    case 'quarantine': {
      const { origin, why } = output
      const reason = await log.quarantine(origin, why).catch(reasonOf)
      if (reason !== undefined) work.options.logger.error({ origin, reason }, 'no quarantine')
      changed()
      return answered(work, { kind: 'quarantined', origin })
    }
    case 'note': {
      const { origin, why } = output
      const reason = await log.quarantine(origin, why).catch(reasonOf)
      if (reason !== undefined) work.options.logger.debug({ origin, reason }, 'not noted')
      return
    }
    case 'retire': {
      const { origin, next, why } = output
      const reason = await log.retire(origin, next, why).catch(reasonOf)
      if (reason !== undefined) work.options.logger.debug({ origin, reason }, 'not retired')
      changed()
      return answered(work, { kind: 'retired', origin })
    }
    case 'repair': {
      const { repair, run, batches } = output
      const result = await mend(log, run, batches)
      changed()
      return answered(work, { kind: 'repaired', repair, ...result })
    }
    case 'rotate': {
      const result = await log.rotate(output.why).then(
        (to) => ({ to, reason: '' }),
        (cause: unknown) => ({ to: undefined, reason: reasonOf(cause) }),
      )
      const appended = log.appended?.(output.origin) ?? false
      changed()
      return answered(work, { kind: 'rotated', ...result, appended })
    }
  }
}

async function mend(
  log: ReplicaLog,
  run: CorruptRun,
  batches: readonly Uint8Array[],
): Promise<{ readonly outcome: RepairOutcome | undefined; readonly reason: string }> {
  try {
    return { outcome: await log.repair?.(run, batches), reason: 'this log repairs nothing' }
  } catch (cause) {
    return { outcome: undefined, reason: reasonOf(cause) }
  }
}

/** How a chain that somebody claims at `sequence` stands to the one this log has there. */
async function compare(
  log: ReplicaLog,
  claim: { readonly origin: string; readonly sequence: number; readonly chain: string },
): Promise<Verdict> {
  const { origin, sequence, chain } = claim
  const known = await log.chainAt(origin, sequence)
  if (known !== undefined) return known === chain ? 'equal' : 'fork'
  // No boundary of ours: inside a batch proves a fork, dropped or unknown proves nothing.
  const run = await log.readBatches(origin, sequence, 1)
  if (run.kind === 'inside') return 'fork'
  if (run.kind === 'batches') return run.previousChain === chain ? 'equal' : 'fork'
  return 'unknown'
}

/** What went wrong in a call, as the core wants it. */
function failureOf(cause: unknown): {
  readonly code: ReplicatorErrorCode
  readonly reason: string
} {
  const known = isKithError(cause) && isReplicatorCode(cause.code) ? cause.code : undefined
  return { code: known ?? 'ERR_REPLICATOR_UNAVAILABLE', reason: reasonOf(cause) }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
