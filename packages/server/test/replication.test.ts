/** When memory of a replication answer goes back: it is the route's until it was sent (REP-47). */
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { setImmediate as turnOfLoop } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type Bench, startServer } from './fakes.ts'

let bench: Bench
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
afterEach(async () => {
  agent.destroy()
  await bench.server.stop()
})

/** More than the system takes for a reader that does not read. */
const answerBytes = 16 * 1024 * 1024

interface Answer {
  readonly fill: number
  released: number
  readonly signal: AbortSignal
}

/** Answers the first call with ones, the next with twos; what went back is written over. */
async function lending(reads: 'body' | 'nothing' = 'body'): Promise<readonly Answer[]> {
  bench = await startServer()
  const answers: Answer[] = []
  bench.replication.handle = async (_, body, signal) => {
    if (reads === 'body') for await (const _part of body);
    const fill = answers.length + 1
    const answer: Answer = { fill, released: 0, signal }
    answers.push(answer)
    const memory = new Uint8Array(answerBytes).fill(fill)
    const release = (): void => {
      answer.released += 1
      memory.fill(0xff)
    }
    return { status: 200, headers: {}, body: memory, release }
  }
  return answers
}

function pull(headers: Record<string, string> = {}): ClientRequest {
  const url = `${bench.url}/v1/replication/pull`
  return httpRequest(url, { method: 'POST', agent, headers })
}

/** The answer once its head is there; nothing of it is read yet. */
async function headOf(request: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return response
}

/** Every value among the bytes of an answer, and how many they are. */
async function shown(response: IncomingMessage): Promise<readonly [number[], number]> {
  const values = new Set<number>()
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    // Equal to itself moved by one byte where all of it is alike.
    const alike = chunk.subarray(1).equals(chunk.subarray(0, -1))
    for (const value of alike ? [chunk[0] ?? 0] : chunk) values.add(value)
  }
  return [[...values], bytes]
}

async function waitFor(holds: () => boolean): Promise<void> {
  while (!holds()) await turnOfLoop()
}

/** A second time would be in the same turn or the next. */
async function backOnce(answer: Answer | undefined): Promise<void> {
  await waitFor(() => answer === undefined || answer.released > 0)
  await turnOfLoop()
  expect(answer?.released).toBe(1)
}

describe('memory of a replication answer', () => {
  it('REP-47 goes back once, when all of it was sent, and not before', async () => {
    const answers = await lending()
    for (const at of [0, 1]) {
      const response = await headOf(pull().end())
      expect(answers[at]?.released).toBe(0)
      expect(await shown(response)).toEqual([[at + 1], answerBytes])
      await backOnce(answers[at])
    }
    expect(answers.map(({ released }) => released)).toEqual([1, 1])
  })

  it('REP-47 also where the answer came before the end of the question', async () => {
    const answers = await lending('nothing')
    const request = pull({ 'content-length': '10' })
    request.write('half ')
    const response = await headOf(request)
    expect(answers[0]?.released).toBe(0)
    expect(await shown(response)).toEqual([[1], answerBytes])
    request.end('whole')
    await backOnce(answers[0])
  })

  it('REP-47 stays where the reader goes away in the middle, for the collector', async () => {
    // The port promises `release` for what was sent, and only for that.
    const answers = await lending()
    const response = await headOf(pull().end())
    const [part] = (await once(response, 'data')) as [Buffer]
    expect(part[0]).toBe(1)
    const signal = answers[0]?.signal
    response.on('error', () => {})
    response.destroy()
    await waitFor(() => signal?.aborted === true)
    await turnOfLoop()
    expect(answers[0]?.released).toBe(0)
    // And the next one has its own.
    expect(await shown(await headOf(pull().end()))).toEqual([[2], answerBytes])
    await backOnce(answers[1])
    expect(answers.map(({ released }) => released)).toEqual([0, 1])
  })
})
