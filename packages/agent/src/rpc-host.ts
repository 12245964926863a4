/** Our member as Serf's RPC wants an agent to be: gossip behind the words of Serf's commands. */
import type { Gossip, ReceivedQuery } from '@kith/gossip'
import { compilePattern, GossipError } from '@kith/gossip'
import type { Member, MemberEventKind } from '@kith/interface'
import type {
  SerfHostEvent,
  SerfLogSource,
  SerfMember,
  SerfMemberEventName,
  SerfQuery,
  SerfQueryAnswer,
  SerfRpcHost,
} from '@kith/serf-rpc'
import { ownTags } from './own-tags.ts'
import { agentStats } from './rpc-stats.ts'

export interface RpcHostOptions {
  readonly gossip: Gossip
  readonly logs: SerfLogSource
  /** Whether gossip is encrypted, as `serf info` tells. */
  readonly encrypted: boolean
  /** Drains and leaves, as the agent does when it is told to. */
  leave(): Promise<void>
  /** Ends the agent, after whoever asked for the leave has its answer. */
  shutdown(): void
}

/** Versions of memberlist's protocol that we speak; nobody tells theirs to Serf's callers. */
const protocol = Object.freeze({ min: 1, max: 5, current: 2 })
const delegateUnknown = Object.freeze({ min: 2, max: 5, current: 5 })
const queryTimeoutMsMax = 3_600_000
/** A tag of the agent itself, on which others rely. */
const agentTag = /^kith\./

export function createRpcHost(options: RpcHostOptions): SerfRpcHost {
  const { gossip, logs, encrypted } = options
  return {
    logs,
    members: () => gossip.members().map(serfMember),
    compile(expression) {
      const pattern = compilePattern(expression)
      return pattern === undefined ? undefined : (text) => pattern.test(text)
    },
    async event(name, payload, { coalesce }) {
      await gossip.emit(name, payload, { coalesce })
    },
    join: (addresses, { replay }) => gossip.join(addresses, { ignoreOld: !replay }),
    leave: () => options.leave(),
    shutdown: () => options.shutdown(),
    forceLeave: (name, { prune }) => gossip.forceLeave(name, { prune }),
    setTags: (change) => setTags(gossip, change),
    query: async (query, signal) => answersOf(gossip, query, signal),
    keys: (command, key) =>
      command === 'list' ? gossip.keys.list() : gossip.keys[command](key ?? ''),
    stats: () => agentStats(gossip, encrypted),
    coordinate: (name) => gossip.member(name)?.coordinate,
    subscribe: (listener) => subscribe(gossip, listener),
  }
}

export function serfMember(member: Member): SerfMember {
  const { name, address, tags, status, protocol: serf } = member
  const delegate =
    serf === undefined ? delegateUnknown : { min: serf.min, max: serf.max, current: serf.version }
  return { name, address, tags, status, protocol, delegate }
}

/** Serf's command changes some tags, gossip sets them all. */
async function setTags(
  gossip: Gossip,
  { set, remove }: Parameters<SerfRpcHost['setTags']>[0],
): Promise<void> {
  const own = [...Object.keys(set), ...remove].find((name) => agentTag.test(name))
  if (own !== undefined) throw new Error(`the tag ${own} is the agent's own`)
  const tags = { ...ownTags(gossip), ...set }
  for (const name of remove) if (!Object.hasOwn(set, name)) delete tags[name]
  try {
    await gossip.setTags(tags)
  } catch (cause) {
    const tooLong =
      cause instanceof GossipError &&
      cause.details?.problems?.some(({ field }) => field === 'tags') === true
    // In Serf's words: its callers know these.
    if (tooLong) throw new Error('Encoded length of tags exceeds limit of 512 bytes', { cause })
    throw cause
  }
}

/** Acks and answers as they come, in one row. Throws at once what gossip refuses. */
function answersOf(
  gossip: Gossip,
  query: SerfQuery,
  signal: AbortSignal,
): AsyncIterable<SerfQueryAnswer> {
  const { name, payload, filterMembers, filterTags, acks, relayFactor, timeoutMs } = query
  const running = gossip.query(name, payload, {
    ...(filterMembers.length === 0 ? {} : { members: filterMembers }),
    tags: filterTags,
    ack: acks,
    relayFactor,
    signal,
    ...(timeoutMs === 0
      ? {}
      : { timeoutMs: Math.min(queryTimeoutMsMax, Math.max(1, Math.round(timeoutMs))) }),
  })
  return merged([ackAnswers(running.acks), responseAnswers(running)])
}

const nothing = new Uint8Array(0)

async function* ackAnswers(acks: AsyncIterable<string>): AsyncGenerator<SerfQueryAnswer> {
  for await (const from of acks) yield { kind: 'ack', from, payload: nothing }
}

async function* responseAnswers(
  responses: AsyncIterable<{ readonly from: string; readonly payload: Uint8Array }>,
): AsyncGenerator<SerfQueryAnswer> {
  for await (const { from, payload } of responses) yield { kind: 'response', from, payload }
}

/** Whichever comes first, until all have ended. */
async function* merged<Item>(sources: readonly AsyncGenerator<Item>[]): AsyncGenerator<Item> {
  const step = async (source: AsyncGenerator<Item>) => ({ source, result: await source.next() })
  const waiting = new Map(sources.map((source) => [source, step(source)]))
  try {
    while (waiting.size > 0) {
      const { source, result } = await Promise.race(waiting.values())
      if (result.done === true) {
        waiting.delete(source)
        continue
      }
      waiting.set(source, step(source))
      yield result.value
    }
  } finally {
    // Who stopped listening wants no more of any of them.
    for (const source of waiting.keys()) void source.return(undefined)
  }
}

const eventNames: Readonly<Record<MemberEventKind, SerfMemberEventName>> = {
  join: 'member-join',
  leave: 'member-leave',
  fail: 'member-failed',
  update: 'member-update',
  reap: 'member-reap',
}

function subscribe(gossip: Gossip, listener: (event: SerfHostEvent) => void): () => void {
  const unsubscribe = [
    gossip.subscribe({
      memberChanged({ kind, member }) {
        listener({ kind: 'members', event: eventNames[kind], members: [serfMember(member)] })
      },
    }),
    gossip.on('event', ({ name, payload, lamportTime, coalesce }) => {
      listener({ kind: 'user', name, payload, lamportTime, coalesce })
    }),
    gossip.on('query', (query) => listener(queryEvent(query))),
  ]
  return () => {
    for (const stop of unsubscribe) stop()
  }
}

function queryEvent(query: ReceivedQuery): SerfHostEvent {
  const { name, payload, lamportTime, timeoutMs } = query
  const respond = async (answer: Uint8Array): Promise<void> => {
    try {
      await query.respond(answer)
    } catch (cause) {
      // Serf 0.9 says so of every query, not only of those about keys.
      const text = `failed to respond to key query: ${(cause as Error).message}`
      throw new Error(text, { cause })
    }
  }
  return { kind: 'query', name, payload, lamportTime, timeoutMs, respond }
}
