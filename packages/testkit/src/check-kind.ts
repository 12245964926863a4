/** The clauses of `CheckKind`, `packages/registry/SPEC.md` REG-19 to REG-23, as cases. */
import type { CheckKind, CheckResult, CheckStatus, CheckTarget, Clock } from '@kith/interface'
import { silentLogger } from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import { expectEqual, expectThat, within } from './expect.ts'

export interface CheckKindSubject<Options = never> {
  readonly kind: CheckKind<Options>
  /** The clock that the bounds are measured on, and that runs are given. */
  readonly clock: Clock
  /** Where the instance listens whose options name nothing else. */
  readonly target: CheckTarget
  /** Bad options, each with the field that the refusal must name. */
  readonly bad: readonly { readonly options: unknown; readonly field: string }[]
  /** Options whose run is to be passing; feature `passing`. */
  healthy(): Promise<unknown>
  /** Options whose run is to be critical or to reject. */
  sick(): Promise<unknown>
  /** Options whose run gets no answer until it is told to stop; feature `waiting`. */
  waiting(): Promise<unknown>
}

const statuses: readonly CheckStatus[] = ['passing', 'warning', 'critical']
const settleMs = 1_000

/** Features: `passing` (a run can find an instance well), `waiting` (a run can take long). */
export const checkKindCases: readonly ConformanceCase<CheckKindSubject>[] = [
  {
    id: 'REG-19',
    title: 'has a name of 1 to 32 of [a-z0-9-], starting with a letter',
    run: ({ kind }) => expectThat(/^[a-z][a-z0-9-]{0,31}$/.test(kind.kind), kind.kind),
  },
  {
    id: 'REG-20',
    title: 'refuses bad options with an Error that names the field, each time again',
    run({ kind, bad, target }) {
      for (const { options, field } of [...bad, ...bad]) {
        const cause = refusal(() => kind.parse(options, target))
        expectThat(cause instanceof Error, `${field}: accepted`)
        expectThat(cause.message.includes(field), `${cause.message} does not name ${field}`)
      }
    },
  },
  {
    id: 'REG-21',
    title: 'finds a healthy instance passing, run after run',
    needs: ['passing'],
    async run(subject) {
      const options = subject.kind.parse(await subject.healthy(), subject.target)
      for (let turn = 0; turn < 3; turn += 1) {
        const result = await runOnce(subject, options, new AbortController().signal)
        expectEqual(result.status, 'passing', `run ${turn} (${result.output})`)
      }
    },
  },
  {
    id: 'REG-21',
    title: 'finds a sick instance critical, or rejects with an Error that says why',
    async run(subject) {
      const options = subject.kind.parse(await subject.sick(), subject.target)
      for (let turn = 0; turn < 3; turn += 1) {
        const outcome = await settled(runOnce(subject, options, new AbortController().signal))
        if (outcome instanceof Error) expectThat(outcome.message !== '', 'an error without a text')
        else expectEqual(outcome.status, 'critical', `run ${turn}`)
      }
    },
  },
  {
    id: 'REG-22',
    title: 'settles within 1 s after its signal aborts, and can run again',
    needs: ['waiting'],
    async run(subject) {
      const options = subject.kind.parse(await subject.waiting(), subject.target)
      for (let turn = 0; turn < 2; turn += 1) {
        const abort = new AbortController()
        const run = settled(subject.kind.run(options, abort.signal, contextOf(subject)))
        const early = await Promise.race([run, Promise.resolve('waits')])
        expectThat(early === 'waits', 'a run that was to wait ended by itself')
        abort.abort(new Error('enough'))
        const outcome = await within(subject.clock, settleMs, run, 'the end of an aborted run')
        const passing = !(outcome instanceof Error) && outcome.status === 'passing'
        expectThat(!passing, 'an aborted run found the instance well')
      }
    },
  },
  {
    id: 'REG-23',
    title: 'does nothing under a signal that is aborted before',
    async run(subject) {
      const options = subject.kind.parse(await subject.sick(), subject.target)
      const run = settled(subject.kind.run(options, AbortSignal.abort(), contextOf(subject)))
      const outcome = await within(subject.clock, settleMs, run, 'the end of an aborted run')
      const passing = !(outcome instanceof Error) && outcome.status === 'passing'
      expectThat(!passing, 'an aborted run found the instance well')
    },
  },
]

function refusal(parse: () => unknown): unknown {
  try {
    parse()
    return undefined
  } catch (cause) {
    return cause
  }
}

async function settled(run: Promise<CheckResult>): Promise<CheckResult | Error> {
  try {
    return await run
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(`rejected with ${String(cause)}`)
  }
}

async function runOnce(
  subject: CheckKindSubject,
  options: never,
  signal: AbortSignal,
): Promise<CheckResult> {
  const result = await subject.kind.run(options, signal, contextOf(subject))
  expectThat(statuses.includes(result.status), `${result.status} is no status`)
  expectThat(typeof result.output === 'string', 'the output is no text')
  return result
}

function contextOf({ clock }: CheckKindSubject): Parameters<CheckKind['run']>[2] {
  const random = { uint32: () => 0, float: () => 0, below: () => 0 }
  return { clock, random, logger: silentLogger }
}
