/**
 * One member of a mesh as a process of its own: a log in a directory, a replicator, and its log
 * served over HTTP. Whoever forked it says what happens.
 */
import type { Socket } from 'node:net'
import { hrtime } from 'node:process'
import { setTimeout as pause } from 'node:timers/promises'
import type { Member } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'
import { createReplicator } from '@kith/replicator'
import type { Replicator } from '@kith/replicator'
import { httpSource } from '@kith/replicator/http'
import { serve } from './serve.ts'

export interface Peer {
  readonly name: string
  readonly port: number
}

export interface Appends {
  readonly count: number
  readonly recordBytes: number
  readonly perAppend: number
  /** Appends are spread evenly over this time; 0 for one after another without a pause. */
  readonly gapMs: number
}

export type Command =
  /** `fail` cuts them off as well: nothing reaches them until they join again. */
  | { readonly kind: 'join' | 'fail'; readonly peers: readonly Peer[] }
  | { readonly kind: 'append'; readonly appends: Appends }
  | { readonly kind: 'until'; readonly records: number }
  | { readonly kind: 'figures' }

export interface Figures {
  /** Seconds of processor of this process, all threads. */
  readonly cpuSeconds: number
  readonly records: number
  /** Bytes of batches that came, and of those that were new. */
  readonly receivedBytes: number
  readonly storedBytes: number
  /** All bytes of its HTTP server, both directions. */
  readonly wireBytes: number
  readonly pulls: number
  /** Milliseconds from an append elsewhere until the record was read here, since the last time. */
  readonly latenciesMs: readonly number[]
}

export interface Reply {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

interface Running {
  readonly log: Log
  readonly replicator: Replicator
  readonly sockets: Set<Socket>
  readonly cutOff: Set<string>
  /** Bytes of connections that were closed. */
  gone: number
  latenciesMs: number[]
}

/** The same clock in all processes of a machine. */
const nowMs = (): number => Number(hrtime.bigint()) / 1e6

/** The port of the server, whose bytes are counted. */
function serveCounted(running: Running): Promise<number> {
  const { replicator, sockets } = running
  return serve(replicator.local, (socket) => {
    sockets.add(socket)
    socket.once('close', () => {
      sockets.delete(socket)
      running.gone += socket.bytesRead + socket.bytesWritten
    })
  })
}

function memberOf({ name, port }: Peer, status: 'alive' | 'failed'): Member {
  return { name, address: { host: '127.0.0.1', port }, tags: {}, status, incarnation: 1 }
}

/** Each record begins with the moment of its append. */
async function append(log: Log, appends: Appends): Promise<void> {
  const { count, recordBytes, perAppend, gapMs } = appends
  let dueAt = nowMs()
  for (let done = 0; done < count; done += perAppend) {
    if (gapMs > 0) await pause(Math.max(0, dueAt - nowMs()))
    dueAt += gapMs
    const records = Array.from({ length: Math.min(perAppend, count - done) }, () => {
      const value = Buffer.alloc(recordBytes, 'x')
      value.writeDoubleLE(nowMs())
      return { value }
    })
    await log.append(records)
  }
}

async function watch(running: Running): Promise<void> {
  const { log } = running
  for await (const { origin, value } of log.tail()) {
    const at = Buffer.from(value.buffer, value.byteOffset, value.byteLength).readDoubleLE()
    if (origin !== log.origin) running.latenciesMs.push(nowMs() - at)
  }
}

/** Resolves with the moment at which so many records are held. */
async function until(log: Log, records: number): Promise<number> {
  while (log.status().records < records) await pause(2)
  return nowMs()
}

function figures(running: Running): Figures {
  const { log, replicator, sockets } = running
  const { user, system } = process.cpuUsage()
  const { counters, members } = replicator.status()
  const { latenciesMs } = running
  running.latenciesMs = []
  const sum = (pick: (one: (typeof members)[number]) => number): number =>
    members.reduce((total, member) => total + pick(member), 0)
  const open = [...sockets].reduce((bytes, one) => bytes + one.bytesRead + one.bytesWritten, 0)
  return {
    cpuSeconds: (user + system) / 1e6,
    records: log.status().records,
    receivedBytes: sum((member) => member.counters.bytes),
    storedBytes: counters.bytes,
    wireBytes: running.gone + open,
    pulls: sum((member) => member.counters.pulls),
    latenciesMs,
  }
}

async function carryOut(running: Running, command: Command): Promise<unknown> {
  switch (command.kind) {
    case 'join':
    case 'fail': {
      for (const peer of command.peers) {
        if (command.kind === 'fail') running.cutOff.add(peer.name)
        else running.cutOff.delete(peer.name)
        const member = memberOf(peer, command.kind === 'fail' ? 'failed' : 'alive')
        running.replicator.memberChanged({ kind: command.kind, member })
      }
      return nowMs()
    }
    case 'append':
      return append(running.log, command.appends)
    case 'until':
      return until(running.log, command.records)
    default:
      return figures(running)
  }
}

async function main(name: string, directory: string, watches: boolean): Promise<void> {
  const log = createLog({ directory, member: name })
  await log.start()
  const cutOff = new Set<string>()
  const replicator = createReplicator({
    log,
    member: name,
    source: (member) =>
      cutOff.has(member.name) ? undefined : httpSource({ address: member.address }),
  })
  await replicator.start()
  const running: Running = {
    ...{ log, replicator, cutOff },
    ...{ sockets: new Set<Socket>(), gone: 0, latenciesMs: [] },
  }
  const port = await serveCounted(running)
  if (watches) void watch(running)
  process.on('disconnect', () => process.exit(0))
  process.on('message', ({ id, command }: { readonly id: number; readonly command: Command }) => {
    void carryOut(running, command).then(
      (result) => process.send?.({ id, result } satisfies Reply),
      (cause: unknown) => process.send?.({ id, error: String(cause) } satisfies Reply),
    )
  })
  process.send?.(port)
}

const [, , name = '', directory = '', watches = ''] = process.argv
await main(name, directory, watches === 'watches')
