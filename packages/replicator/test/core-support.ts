/** Drives the bare core: inputs in, outputs kept by kind. */
import { createRandom } from '@kith/interface'
import type {
  ApplyOutcome,
  HelloMessage,
  OriginId,
  OriginState,
  PullRequest,
  PullResponse,
} from '@kith/interface'
import { createState, nextDeadline, step } from '../src/core/index.ts'
import type { Input, Output, ReplicatorEvents, State } from '../src/core/index.ts'
import { resolveTuning } from '../src/options.ts'
import type { ReplicatorTuning } from '../src/options.ts'

export const originA: OriginId = 'aa'.repeat(16)
export const originB: OriginId = 'bb'.repeat(16)
export const originX: OriginId = 'ee'.repeat(16)
export const logOf = (name: string): string => name.codePointAt(0)!.toString(16).repeat(16)
export const chain = (label: number): string => label.toString(16).padStart(2, '0').repeat(32)

export function stateOf(
  origin: OriginId,
  next: number,
  more: Partial<OriginState> = {},
): OriginState {
  return {
    origin,
    member: '',
    floor: 1,
    next,
    chain: chain(next),
    status: 'live',
    holes: [],
    own: false,
    ...more,
  }
}

/** The bytes of a batch as far as replication reads them. */
export function batchOf(origin: OriginId, first: number, count: number, bytes = 64): Uint8Array {
  const batch = Buffer.alloc(bytes)
  batch.write('KB')
  batch.writeUInt32LE(count, 16)
  batch.writeUIntLE(first, 20, 6)
  batch.write(origin, 28, 'hex')
  return batch
}

type Of<Kind extends Output['kind']> = Extract<Output, { kind: Kind }>

export class Core {
  readonly state: State
  now = 1_000
  readonly outputs: Output[] = []
  readonly #sessions = new Map<string, number>()

  constructor(tuning: Partial<ReplicatorTuning> = {}, local: readonly OriginState[] = []) {
    this.state = createState({
      tuning: resolveTuning(tuning),
      random: createRandom(1),
      clusterId: 'kith',
      member: 'me',
    })
    this.local([stateOf(originA, 1, { own: true }), ...local])
    this.input({ kind: 'start', logId: logOf('m'), durable: true, expected: true })
  }

  /** Takes an input and returns only what it caused. */
  input(input: Input): readonly Output[] {
    const outputs = step(this.state, input, this.now)
    this.outputs.push(...outputs)
    for (const output of outputs) {
      if (output.kind === 'dial') this.#sessions.set(output.member, output.session)
    }
    return outputs
  }

  local(states: readonly OriginState[]): void {
    step(this.state, { kind: 'local', states }, this.now)
  }

  of<Kind extends Output['kind']>(kind: Kind): Of<Kind>[] {
    return this.outputs.filter((output): output is Of<Kind> => output.kind === kind)
  }

  events<Kind extends keyof ReplicatorEvents>(kind: Kind): ReplicatorEvents[Kind][] {
    return this.of('event').flatMap(({ event }) =>
      event.kind === kind ? [event.detail as ReplicatorEvents[Kind]] : [],
    )
  }

  forget(): void {
    this.outputs.length = 0
  }

  up(member: string, locator: string | undefined = member): readonly Output[] {
    return this.input({ kind: 'member', member, standing: 'up', locator })
  }

  session(member: string): number {
    return this.#sessions.get(member) ?? -1
  }

  hello(member: string, vector: readonly OriginState[], more: Partial<HelloMessage> = {}): void {
    const hello: HelloMessage = {
      versions: [1],
      clusterId: 'kith',
      logId: logOf(member),
      member,
      origin: vector.find((state) => state.own)?.origin ?? '',
      durable: true,
      vector,
      vectorVersion: 1,
      ...more,
    }
    this.input({ kind: 'hello', member, session: this.session(member), hello })
  }

  /** Up and greeted. */
  meet(member: string, vector: readonly OriginState[], more: Partial<HelloMessage> = {}): void {
    this.up(member)
    this.hello(member, vector, more)
  }

  /** The last pull sent to a member. */
  lastPull(member: string): Of<'pull'> {
    const pull = this.of('pull').findLast((output) => output.member === member)
    if (pull === undefined) throw new Error(`no pull to ${member}`)
    return pull
  }

  /** Ids of the pulls in flight to a member. */
  pulls(member: string): readonly number[] {
    return [...(this.state.sessions.get(member)?.pulls.keys() ?? [])]
  }

  wants(member: string): PullRequest['want'] {
    return this.lastPull(member).request.want
  }

  answer(member: string, more: Partial<PullResponse>, pull = this.lastPull(member).pull): void {
    const response: PullResponse = {
      logId: logOf(member),
      batches: [],
      gaps: [],
      forks: [],
      more: false,
      vector: [],
      vectorVersion: 1,
      ...more,
    }
    this.input({ kind: 'pulled', member, session: this.session(member), pull, response })
  }

  applied(outcomes: readonly ApplyOutcome[], states: readonly OriginState[]): void {
    this.local([stateOf(originA, 1, { own: true }), ...states])
    const report = { outcomes, records: 0, bytes: 0, duplicateBytes: 0 }
    const apply = this.state.applying?.id ?? -1
    this.input({ kind: 'applied', apply, report, reason: '' })
  }

  /** Moves time on, one deadline after another. */
  pass(ms: number): void {
    const until = this.now + ms
    for (;;) {
      const deadline = nextDeadline(this.state)
      if (deadline === undefined || deadline > until) break
      if (deadline < this.now) throw new Error('a deadline in the past')
      this.now = Math.max(this.now, deadline)
      const before = nextDeadline(this.state)
      this.input({ kind: 'deadline' })
      if (nextDeadline(this.state) === before) throw new Error('a deadline that does not move')
    }
    this.now = until
  }
}
