/** How much is done in one turn of the event loop with what comes and what goes (REP-42). */
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import type { PullResponse, ReplicaLog, ReplicationSource } from '@kith/interface'
import { createLog } from '@kith/log'
import type { Log } from '@kith/log'
import { afterEach, describe, expect, it } from 'vitest'
import { readBody } from '../src/http/body.ts'
import { createReplicationHandler } from '../src/http/index.ts'
import { createReplicator } from '../src/index.ts'
import type { Replicator } from '../src/index.ts'
import { createCodec } from '../src/wire/codec.ts'
import { hello, joined, positions, until } from './support.ts'

const never = new AbortController().signal

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function openLog(batches = 0): Promise<Log> {
  const log = createLog()
  await log.start()
  cleanups.push(() => log.stop())
  for (let at = 0; at < batches; at += 1) await log.append({ value: new Uint8Array(60_000) })
  return log
}

async function replicatorOf(
  log: ReplicaLog,
  source: () => ReplicationSource | undefined = () => undefined,
): Promise<Replicator> {
  const replicator = createReplicator({ log, member: 'm', source })
  await replicator.start()
  cleanups.push(() => replicator.stop())
  return replicator
}

/** What was done in the turn of the event loop that is under way. */
class Turn {
  readonly done: Set<unknown> = new Set()

  note(what: unknown): void {
    this.done.add(what)
    setImmediate(() => this.done.delete(what))
  }
}

async function* bodyOf(bytes: Uint8Array, pieceBytes = bytes.length): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

describe('turns of the event loop', () => {
  it('REP-42 a body is taken over several, and nothing of it is lost', async () => {
    const sent = Uint8Array.from({ length: 3 * 1024 * 1024 }, (_, at) => at % 251)
    let taken = 0
    const memory = {
      take: (bytes: number): Uint8Array => new Uint8Array(bytes),
      done: ({ length }: Uint8Array): void => void (taken += length),
    }
    let over = false
    const body = bodyOf(sent, 65_536)
    const read = readBody(body, sent.length, sent.length, memory).finally(() => (over = true))
    const turns: number[] = []
    while (!over) {
      taken = 0
      await turnOfLoop()
      turns.push(taken)
    }
    expect(turns.length).toBeGreaterThanOrEqual(6)
    expect(Math.max(...turns)).toBeLessThanOrEqual(512 * 1024)
    expect(Buffer.compare(await read, sent)).toBe(0)
  })

  it('REP-42 what was read goes to the log in another, and a little at once', async () => {
    const [from, to] = [await openLog(40), await openLog()]
    const { local } = await replicatorOf(from)
    const turn = new Turn()
    const applied: { readonly bytes: number; readonly with: boolean }[] = []
    const source = (): ReplicationSource => ({
      ...local,
      async pull(request, signal) {
        const response = await local.pull(request, signal)
        for (const batch of response.batches) turn.note(batch)
        return response
      },
      close: async () => {},
    })
    const watched = Object.create(to) as ReplicaLog
    watched.applyBatches = async (batches, members) => {
      const bytes = batches.reduce((sum, { length }) => sum + length, 0)
      applied.push({ bytes, with: batches.some((batch) => turn.done.has(batch)) })
      return to.applyBatches(batches, members)
    }
    const replicator = await replicatorOf(watched, source)
    replicator.memberChanged(joined('a'))
    await until(() => positions(from) === positions(to), 'equal positions')
    const large = applied.filter(({ bytes }) => bytes > 200_000)
    expect(large.length).toBeGreaterThan(0)
    expect(large.filter((one) => one.with)).toEqual([])
    await from.append({ value: new Uint8Array(1_000) })
    await until(() => positions(from) === positions(to), 'equal positions again')
    expect(applied.at(-1)).toMatchObject({ with: true })
  })

  it('REP-42 an answer is read, written and sent in three', async () => {
    const turn = new Turn()
    const steps: string[] = []
    let batchBytes = 0
    const step = (what: string): void => {
      steps.push([what, ...turn.done].join(' with '))
      turn.note(what)
    }
    const source: ReplicationSource = {
      hello: async () => hello,
      async pull(): Promise<PullResponse> {
        step('read')
        const rest = { gaps: [], forks: [], more: false, vector: [], vectorVersion: 0 }
        const release = (): void => step('written')
        return { logId: hello.logId, batches: [new Uint8Array(batchBytes)], ...rest, release }
      },
      chainAt: async () => [],
      fetch: async () => undefined,
      close: async () => {},
    }
    const handler = createReplicationHandler({ source })
    cleanups.push(() => handler.stop())
    const wanted = { want: [], bytesMax: 1, maxWaitMs: 0, ack: new Map(), vectorVersion: 0 }
    const request = createCodec().pullRequest.encode({ logId: hello.logId, ...wanted })
    const ask = async (bytes: number): Promise<readonly string[]> => {
      batchBytes = bytes
      const reply = await handler.handle('pull', bodyOf(request), never)
      step('sent')
      reply.release()
      await turnOfLoop()
      return steps.splice(0)
    }
    expect(await ask(200_000)).toEqual(['read', 'written', 'sent'])
    const atOnce = ['read', 'written with read', 'sent with read with written']
    expect(await ask(1_000)).toEqual(atOnce)
  })
})
