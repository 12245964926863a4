// An agent that remembers what it was asked and answers what the test says.
import type { Unsubscribe } from '@kith/interface'
import type { SerfRpcHost } from '../../src/ports.ts'
import type {
  SerfHostEvent,
  SerfKeyReport,
  SerfLogLine,
  SerfMember,
  SerfQuery,
  SerfQueryAnswer,
} from '../../src/words.ts'

export function member(name: string, more: Partial<SerfMember> = {}): SerfMember {
  return {
    name,
    address: { host: '127.0.0.11', port: 7946 },
    tags: {},
    status: 'alive',
    protocol: { min: 1, max: 5, current: 2 },
    delegate: { min: 2, max: 5, current: 5 },
    ...more,
  }
}

export interface FakeHost extends SerfRpcHost {
  /** Calls in order: the name and what was given. */
  readonly calls: (readonly unknown[])[]
  tell(event: SerfHostEvent): void
  say(line: SerfLogLine): void
  /** Replaces one operation. */
  on<Name extends keyof SerfRpcHost>(name: Name, act: SerfRpcHost[Name]): void
}

const report: SerfKeyReport = { keys: {}, messages: {}, errors: 0, members: 2, responses: 2 }

export function createFakeHost(members: readonly SerfMember[] = []): FakeHost {
  const calls: (readonly unknown[])[] = []
  const listeners = new Set<(event: SerfHostEvent) => void>()
  const readers = new Set<(line: SerfLogLine) => void>()
  const lines: SerfLogLine[] = []
  const host: FakeHost = {
    calls,
    members: () => members,
    compile: (expression) => {
      try {
        const pattern = new RegExp(expression)
        return (text) => pattern.test(text)
      } catch {
        return undefined
      }
    },
    event: async (name, payload, options) => void calls.push(['event', name, payload, options]),
    async join(addresses, options) {
      calls.push(['join', addresses, options])
      return addresses.length
    },
    leave: async () => void calls.push(['leave']),
    shutdown: () => void calls.push(['shutdown']),
    forceLeave: async (name, options) => void calls.push(['forceLeave', name, options]),
    setTags: async (change) => void calls.push(['setTags', change]),
    async query(query: SerfQuery) {
      calls.push(['query', query])
      return answersOf([])
    },
    async keys(command, key) {
      calls.push(['keys', command, key])
      return report
    },
    stats: () => ({ agent: { name: 'ada' }, serf: { members: String(members.length) } }),
    coordinate: () => undefined,
    subscribe: (listener) => added(listeners, listener),
    logs: {
      history: () => lines.slice(-512),
      subscribe: (reader) => added(readers, reader),
    },
    tell(event) {
      for (const listener of [...listeners]) listener(event)
    },
    say(line) {
      lines.push(line)
      for (const reader of [...readers]) reader(line)
    },
    on: (name, act) => void Object.assign(host, { [name]: act }),
  }
  return host
}

function added<Item>(set: Set<Item>, item: Item): Unsubscribe {
  set.add(item)
  return () => void set.delete(item)
}

export async function* answersOf(
  answers: readonly SerfQueryAnswer[],
): AsyncGenerator<SerfQueryAnswer> {
  yield* answers
}
