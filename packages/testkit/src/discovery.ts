/** The clauses of `docs/protocol/discovery.md`, each as a case that any discovery can be run on. */
import type { Clock, Discovery, DiscoveryFactory, PluginContext } from '@kith/interface'
import { createRandom, parseAddress, silentLogger } from '@kith/interface'
import type { ConformanceCase } from './conformance.ts'
import { expectEqual, expectRejects, expectThat, pass, within } from './expect.ts'

export interface DiscoverySubject {
  /** A discovery over the same things, not started. */
  readonly factory: DiscoveryFactory
  /** The clock that bounds are measured on, and that the discovery is given. */
  readonly clock: Clock
  /** What it finds until something is changed, in any order. */
  readonly finds: readonly string[]
  /** Calls that make a factory with bad options, each with a field that the refusal must name. */
  readonly bad: readonly { readonly make: () => unknown; readonly field: string }[]
  /** Makes the next `find` answer these; feature `changes`. */
  provide(seeds: readonly string[]): Promise<void>
  /** Makes every `find` fail until something is provided; feature `failing`. */
  spoil(): Promise<void>
  /** Makes every `find` wait until something is provided; feature `slow`. */
  hold(): Promise<void>
}

const stopMsMax = 1000
/** Within this a change is noticed by those who notice. */
const noticeMsMax = 10_000
const quietMs = 100
const seedsMax = 1024

/**
 * Features: `changes` (what it finds can change), `notices` (it calls `changed` by itself),
 * `failing` (a look can fail), `slow` (a look can take long).
 */
export const discoveryCases: readonly ConformanceCase<DiscoverySubject>[] = [
  {
    id: 'DIS-1',
    title: 'refuses bad options when the factory is made, and names the field',
    run({ bad }) {
      expectThat(bad.length > 0, 'no bad options are given')
      for (const { make, field } of bad) {
        const cause = thrown(make)
        expectThat(cause instanceof Error, `${field}: accepted`)
        expectThat(cause.message.includes(field), `${cause.message} does not name ${field}`)
      }
    },
  },
  {
    id: 'DIS-2',
    title: 'finds everything there is, each once, as addresses that can be joined',
    run: (subject) =>
      running(subject, async ({ discovery }) => {
        expectThat(discovery.name !== '' && discovery.name.length <= 300, discovery.name)
        expectFound(await discovery.find(), subject.finds)
        const [one, two] = await Promise.all([discovery.find(), discovery.find()])
        expectFound(one, subject.finds)
        expectFound(two, subject.finds)
      }),
  },
  {
    id: 'DIS-3',
    title: 'gives each caller a list of its own',
    run: (subject) =>
      running(subject, async ({ discovery }) => {
        const found = await discovery.find()
        found.length = 0
        found.push('nobody')
        expectFound(await discovery.find(), subject.finds)
      }),
  },
  {
    id: 'DIS-4',
    title: 'finds what has come and no more what has gone, down to nobody',
    needs: ['changes'],
    run: (subject) =>
      running(subject, async ({ discovery }) => {
        for (const seeds of [['10.9.8.7:7946', '10.9.8.8:7000'], ['10.9.8.8:7000'], []]) {
          await subject.provide(seeds)
          expectFound(await discovery.find(), seeds)
        }
      }),
  },
  {
    id: 'DIS-5',
    title: 'says so when something changed, and only then',
    needs: ['changes', 'notices'],
    run: (subject) =>
      running(subject, async ({ discovery, changes }) => {
        await discovery.find()
        await pass(subject.clock, quietMs)
        expectEqual(changes.count, 0, 'changes that there were not')
        const next = changes.next()
        await subject.provide(['10.9.8.7:7946'])
        await within(subject.clock, noticeMsMax, next, 'a change is noticed')
        expectFound(await discovery.find(), ['10.9.8.7:7946'])
      }),
  },
  {
    id: 'DIS-5',
    title: 'goes on noticing where a handler threw',
    needs: ['changes', 'notices'],
    run: (subject) =>
      running(subject, async ({ changes }) => {
        changes.throws = true
        for (const seeds of [['10.9.8.7:7946'], ['10.9.8.8:7946', '10.9.8.9:7946']]) {
          const next = changes.next()
          await subject.provide(seeds)
          await within(subject.clock, noticeMsMax, next, 'a change is noticed')
        }
      }),
  },
  {
    id: 'DIS-6',
    title: 'rejects with an Error that says why nothing can be told, and finds again after it',
    needs: ['failing', 'changes'],
    run: (subject) =>
      running(subject, async ({ discovery }) => {
        await subject.spoil()
        for (let turn = 0; turn < 2; turn += 1) {
          const cause = await expectRejects(discovery.find(), 'a look that cannot be')
          expectThat(
            cause instanceof Error && cause.message !== '',
            `rejected with ${String(cause)}`,
          )
        }
        await subject.provide(['10.9.8.7:7946'])
        expectFound(await discovery.find(), ['10.9.8.7:7946'])
      }),
  },
  {
    id: 'DIS-6',
    title: 'starts also where nothing can be told yet',
    needs: ['failing', 'changes'],
    async run(subject) {
      await subject.spoil()
      await running(subject, async ({ discovery }) => {
        await expectRejects(discovery.find(), 'a look that cannot be')
        await subject.provide(['10.9.8.7:7946'])
        expectFound(await discovery.find(), ['10.9.8.7:7946'])
      })
    },
  },
  {
    id: 'DIS-7',
    title: 'rejects a find whose signal is aborted, and disturbs no other',
    run: (subject) =>
      running(subject, async ({ discovery }) => {
        const other = discovery.find()
        const aborted = discovery.find(AbortSignal.abort(new Error('enough')))
        await expectRejects(aborted, 'a find that is aborted')
        expectFound(await other, subject.finds)
      }),
  },
  {
    id: 'DIS-7',
    title: 'rejects soon after its signal aborts, while it looks',
    needs: ['slow'],
    run: (subject) =>
      running(subject, async ({ discovery }) => {
        await subject.hold()
        const abort = new AbortController()
        const find = expectRejects(discovery.find(abort.signal), 'a find that is aborted')
        await pass(subject.clock, 1)
        abort.abort(new Error('enough'))
        await within(subject.clock, stopMsMax, find, 'the end of an aborted find')
      }),
  },
  {
    id: 'DIS-8',
    title: 'starts once, and not under an aborted signal',
    async run(subject) {
      await running(subject, async ({ discovery }) => {
        await expectRejects(discovery.start({ changed() {} }), 'a second start')
        expectFound(await discovery.find(), subject.finds)
      })
      const other = subject.factory(contextOf(subject.clock))
      const reason = new Error('not now')
      const start = other.start({ changed() {} }, { signal: AbortSignal.abort(reason) })
      expectThat((await expectRejects(start, 'an aborted start')) === reason, 'another reason')
      await other.stop()
    },
  },
  {
    id: 'DIS-8',
    title: 'finds nothing before the start',
    async run(subject) {
      const discovery = subject.factory(contextOf(subject.clock))
      await expectRejects(discovery.find(), 'a find before the start')
      await discovery.stop()
      await expectRejects(discovery.start({ changed() {} }), 'a start after the stop')
    },
  },
  {
    id: 'DIS-9',
    title: 'stops at any time, again and again, and finds nothing from then on',
    async run(subject) {
      const never = subject.factory(contextOf(subject.clock))
      await within(subject.clock, stopMsMax, never.stop(), 'the stop of one never started')
      const discovery = subject.factory(contextOf(subject.clock))
      await discovery.start({ changed() {} })
      const find = discovery.find().catch(() => {})
      await within(subject.clock, stopMsMax, discovery.stop(), 'the stop')
      await within(subject.clock, stopMsMax, find, 'the find under way')
      await within(subject.clock, stopMsMax, discovery.stop(), 'a second stop')
      const disposed = discovery[Symbol.asyncDispose]()
      await within(subject.clock, stopMsMax, disposed, 'disposing of it')
      await expectRejects(discovery.find(), 'a find after the stop')
    },
  },
  {
    id: 'DIS-9',
    title: 'ends a find that waits when it stops',
    needs: ['slow'],
    async run(subject) {
      await subject.hold()
      const discovery = subject.factory(contextOf(subject.clock))
      await discovery.start({ changed() {} })
      const find = expectRejects(discovery.find(), 'a find under a stop')
      await within(subject.clock, stopMsMax, discovery.stop(), 'the stop')
      await within(subject.clock, stopMsMax, find, 'the find under way')
    },
  },
  {
    id: 'DIS-9',
    title: 'notices nothing after its stop',
    needs: ['changes', 'notices'],
    async run(subject) {
      const changes = new Changes()
      const discovery = subject.factory(contextOf(subject.clock))
      await discovery.start(changes)
      await discovery.stop()
      const before = changes.count
      await running(subject, async ({ changes: others }) => {
        const next = others.next()
        await subject.provide(['10.9.8.7:7946'])
        await within(subject.clock, noticeMsMax, next, 'another one notices')
      })
      expectEqual(changes.count, before, 'changes noticed after the stop')
    },
  },
]

interface Run {
  readonly discovery: Discovery
  readonly changes: Changes
}

async function running(
  subject: DiscoverySubject,
  work: (run: Run) => Promise<void>,
): Promise<void> {
  const changes = new Changes()
  const discovery = subject.factory(contextOf(subject.clock))
  await discovery.start(changes)
  try {
    await work({ discovery, changes })
  } finally {
    await discovery.stop()
  }
}

class Changes {
  count = 0
  throws = false
  #waiting: (() => void)[] = []

  changed(): void {
    this.count += 1
    for (const wake of this.#waiting.splice(0)) wake()
    if (this.throws) throw new Error('a handler that throws')
  }

  next(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve))
  }
}

function expectFound(found: readonly string[], wanted: readonly string[]): void {
  expectThat(Array.isArray(found) && found.length <= seedsMax, 'no list, or too long a one')
  for (const seed of found) {
    expectThat(typeof seed === 'string', `${String(seed)} is no text`)
    const address = parseAddress(seed.slice(seed.lastIndexOf('/') + 1), 7946)
    expectThat(address !== undefined && address.port > 0, `${seed} is no address`)
  }
  expectEqual(sorted(found), sorted(wanted), 'what is found')
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...texts].sort((a, b) => (a < b ? -1 : 1))
}

function contextOf(clock: Clock): PluginContext {
  return { clock, random: createRandom(1), logger: silentLogger }
}

function thrown(make: () => unknown): unknown {
  try {
    make()
    return undefined
  } catch (cause) {
    return cause
  }
}
