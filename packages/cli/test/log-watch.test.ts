import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { type Io, runCli } from '../src/index.ts'
import { type Progress, ProgressMeter, type StatusAnswer } from '../src/progress.ts'
import { fakeAgent, kith, type RunOptions } from './support.ts'

interface Given {
  readonly origin?: string
  readonly next: number
  readonly lag: number | 'unknown'
  readonly own?: boolean
  readonly status?: 'live' | 'quarantined'
}

function answer(origins: readonly Given[], more: Partial<StatusAnswer> = {}): StatusAnswer {
  return {
    ...{ logId: 'l'.repeat(32), durable: true, records: 1000, bytes: 200_000, floor: 0, next: 9 },
    ...more,
    origins: origins.map(({ origin = 'a'.repeat(32), own = false, status = 'live', ...one }) => ({
      ...{ origin, member: own ? 'me' : 'ada', floor: 1, chain: 'c'.repeat(64), holes: [] },
      ...{ own, status },
      ...one,
    })),
  }
}

describe('the meter of a catch-up', () => {
  it('knows no pace at first, then how fast records come and how long it will take', () => {
    const meter = new ProgressMeter()
    const first = meter.take(answer([{ next: 1, lag: 10_000 }]), 5000)
    expect(first).toMatchObject({ lag: 10_000, recordsPerSecond: null, secondsLeft: null })
    expect(first.lagBytesEstimate).toBe(2_000_000)
    const second = meter.take(answer([{ next: 2001, lag: 8000 }]), 7000)
    const pace = { recordsPerSecond: 1000, secondsLeft: 8 }
    expect(second).toMatchObject({ ...pace, bytesPerSecondEstimate: 200_000 })
    expect(second.origins).toEqual([expect.objectContaining({ ...pace, lag: 8000, next: 2001 })])
  })

  it('goes by the pace at which the lag shrinks, where others go on appending', () => {
    const meter = new ProgressMeter()
    meter.take(answer([{ next: 1, lag: 1000 }]), 0)
    const shrinks = meter.take(answer([{ next: 1001, lag: 900 }]), 1000)
    expect(shrinks).toMatchObject({ recordsPerSecond: 1000, secondsLeft: 9 })
    const grows = meter.take(answer([{ next: 1301, lag: 1100 }]), 2000)
    expect(grows).toMatchObject({ recordsPerSecond: 650, secondsLeft: null })
  })

  it('looks at the last ten seconds only, however often it is told', () => {
    const meter = new ProgressMeter()
    for (let at = 0; at <= 60_000; at += 100) meter.take(answer([{ next: 1, lag: 5000 }]), at)
    let last: Progress | undefined
    for (let at = 100; at <= 10_000; at += 100) {
      last = meter.take(answer([{ next: 1 + at / 10, lag: 5000 - at / 10 }]), 60_000 + at)
    }
    expect(last).toMatchObject({ recordsPerSecond: 100, secondsLeft: 40 })
  })

  it('never calls an unknown lag 0, and says of how many origins it is unknown', () => {
    const meter = new ProgressMeter()
    const unknown = { origin: 'b'.repeat(32), next: 5, lag: 'unknown' } as const
    const none = meter.take(answer([{ next: 9, lag: 0 }, unknown]), 0)
    expect(none).toMatchObject({ lag: 'unknown', unknownOrigins: 1, lagBytesEstimate: null })
    expect(none.secondsLeft).toBeNull()
    const some = meter.take(answer([{ next: 9, lag: 7 }, unknown]), 1000)
    expect(some).toMatchObject({ lag: 7, unknownOrigins: 1 })
    // That it is known now is no record that came.
    const known = meter.take(answer([{ next: 9, lag: 7 }]), 2000)
    expect(known).toMatchObject({ lag: 7, unknownOrigins: 0, secondsLeft: null })
  })

  it('counts what is copied, not what this member wrote', () => {
    const meter = new ProgressMeter()
    const own = { origin: 'b'.repeat(32), own: true, lag: 0 } as const
    meter.take(
      answer([
        { next: 1, lag: 4 },
        { ...own, next: 1 },
      ]),
      0,
    )
    const later = meter.take(
      answer([
        { next: 3, lag: 2 },
        { ...own, next: 1001 },
      ]),
      1000,
    )
    expect(later).toMatchObject({ recordsPerSecond: 2, secondsLeft: 1 })
    expect(later.origins[1]).toMatchObject({ recordsPerSecond: 1000, secondsLeft: 0 })
  })

  it('begins anew with another log, and with an origin that it had not seen', () => {
    const meter = new ProgressMeter()
    meter.take(answer([{ next: 1001, lag: 4 }]), 0)
    const other = meter.take(answer([{ next: 1, lag: 2 }], { logId: 'm'.repeat(32) }), 1000)
    expect(other).toMatchObject({ recordsPerSecond: null, secondsLeft: null })
    const late = { origin: 'b'.repeat(32), next: 500, lag: 10 }
    const later = meter.take(answer([{ next: 1, lag: 2 }, late], { logId: 'm'.repeat(32) }), 2000)
    expect(later.origins[1]).toMatchObject({ recordsPerSecond: null, secondsLeft: null })
  })
})

/** Gives one answer after the other, and the signal when the last one was asked for again. */
async function watching(
  args: readonly string[],
  answers: readonly StatusAnswer[],
  options: RunOptions = {},
): Promise<{ out: string; code: number; err: string; asked: number }> {
  let interrupt = (): void => {}
  const left = [...answers]
  await using agent = await fakeAgent(() => {
    const next = left.shift()
    if (next === undefined) interrupt()
    return next ?? answers.at(-1)
  })
  const given = ['log', 'status', '--watch', '--interval', '100ms', ...args]
  const run = await kith([...given, '--http-addr', agent.address], {
    ...options,
    onStart: (_io, signal) => {
      interrupt = () => signal('SIGINT')
    },
  })
  return { ...run, asked: agent.asked.length }
}

describe('kith log status --watch', () => {
  const answers = [
    answer([{ next: 1, lag: 3000 }]),
    answer([{ next: 1001, lag: 2000 }]),
    answer([{ next: 1001, lag: 2000 }]),
    answer([{ next: 3001, lag: 0 }]),
    answer([{ next: 3001, lag: 'unknown', status: 'quarantined' }]),
    answer([]),
  ]

  it('prints a JSON object a line for each look, until a signal', async () => {
    const { out, code, err, asked } = await watching(['--format', 'json'], answers)
    expect([code, err]).toEqual([0, ''])
    const lines = out.trimEnd().split('\n')
    const told = lines.map((line) => JSON.parse(line) as Progress)
    expect(told.map(({ lag }) => lag)).toEqual([3000, 2000, 2000, 0, 'unknown', 0])
    expect(told[1]?.recordsPerSecond).toBeGreaterThan(0)
    expect(told[1]?.secondsLeft).toBeGreaterThan(0)
    expect(told[3]?.secondsLeft).toBe(0)
    expect(asked).toBe(answers.length + 1)
  })

  it('prints a line for each origin that changed where there is no terminal', async () => {
    const { out, code, err } = await watching([], answers)
    expect([code, err]).toEqual([0, ''])
    const plain = out
      .replaceAll(/^\S+/gm, 'TIME')
      .replaceAll(/[\d.]+ records\/s/g, 'N records/s')
      .replaceAll(/\d+s left/g, 'T left')
    expect(plain.split('\n')).toEqual([
      'TIME  ada  aaaaaaaaaaaa  behind 3000 records  live',
      'TIME  ada  aaaaaaaaaaaa  behind 2000 records, N records/s, T left  live',
      'TIME  ada  aaaaaaaaaaaa  level  live',
      'TIME  ada  aaaaaaaaaaaa  lag unknown  quarantined',
      'TIME  -  aaaaaaaaaaaa  not shown any more',
      '',
    ])
  })

  it('draws a terminal again in place, and obeys nothing that others called themselves', async () => {
    const many = Array.from({ length: 40 }, (_, at) => ({ origin: `${at}`, next: 1, lag: 1 }))
    const evil = answer([{ next: 2, lag: 1 }])
    const named = { ...evil, origins: evil.origins.map((one) => ({ ...one, member: '\u001b[2J' })) }
    const { out, code } = await watching([], [named, answer(many)], { isTTY: true })
    expect(code).toBe(0)
    const [, first = '', last = ''] = out.split('\u001b[H')
    expect(first).toContain('log llllllllllll')
    expect(first).toContain('on disk: 1000 records, 195.3 KiB')
    expect(first).toContain('behind 1 records (about 200 bytes)')
    expect(first).toContain('\\u001b[2J')
    expect(last).toContain('lines more')
    expect(last.split('\n')).toHaveLength(24)
  })

  it('ends well when nobody reads any more, also while an answer is waited for', async () => {
    const stdout = new PassThrough().resume()
    const io: Io = {
      ...{ stdin: new PassThrough(), stdout, stderr: new PassThrough(), env: {} },
      ...{ onSignal: () => () => {}, exit: () => expect.fail('it would have ended the process') },
    }
    await using agent = await fakeAgent(() => {
      if (agent.asked.length === 1) return answers[0]
      stdout.destroy()
      return undefined
    })
    const args = ['log', 'status', '--watch', '--interval', '100ms', '--format', 'json']
    expect(await runCli([...args, '--http-addr', agent.address], io)).toBe(0)
    expect(agent.asked).toHaveLength(2)
  })

  it('exits 3 when the agent stops, and 1 when it is none', async () => {
    await using agent = await fakeAgent((_asked, response) => {
      if (agent.asked.length === 1) return answers[0]
      return void response.destroy()
    })
    const args = ['log', 'status', '--watch', '--interval', '100ms', '--http-addr']
    const run = await kith([...args, agent.address])
    expect([run.code, run.err]).toEqual([3, expect.stringContaining('no agent answers')])
    await using other = await fakeAgent(() => ({ hello: 'world' }))
    const wrong = await kith([...args, other.address])
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('something else')])
  })
})
