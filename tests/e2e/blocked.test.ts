// Members as processes, one of which blocks its event loop: whom does it accuse afterwards?
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'

const childPath = fileURLToPath(new URL('blocked-child.ts', import.meta.url))

interface Line {
  readonly event: string
  readonly about?: string
  readonly from?: string
  readonly port?: number
  readonly lateMs?: number
  readonly awareness?: number
  readonly longestStallMs?: number
  readonly found?: readonly string[]
}

interface MemberProcess {
  readonly name: string
  readonly child: ChildProcess
  readonly lines: readonly Line[]
  line(fits: (line: Line) => boolean): Promise<Line>
}

const running = new Set<ChildProcess>()

afterEach(async () => {
  const children = [...running]
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(
    children.map(async (child) => {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    }),
  )
})

function startMember(name: string, profile: string, seed = ''): MemberProcess {
  const args = ['--conditions=@kith/source', childPath, name, profile, '0', seed]
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const lines: Line[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: child.stdout }).on('line', (printed) => {
    lines.push(JSON.parse(printed) as Line)
    for (const wake of waiting) wake()
  })
  const line = (fits: (line: Line) => boolean): Promise<Line> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = lines.find(fits)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { name, child, lines, line }
}

/** Members of one profile that all know each other. */
async function members(names: readonly string[], profile: string): Promise<MemberProcess[]> {
  const [firstName = '', ...others] = names
  const first = startMember(firstName, profile)
  const { port } = await first.line(({ event }) => event === 'ready')
  const all = [first, ...others.map((name) => startMember(name, profile, String(port)))]
  await Promise.all(
    all.flatMap((member) =>
      names.map((name) => member.line(({ event, about }) => event === 'join' && about === name)),
    ),
  )
  return all
}

/** What anybody said of members that were never blocked. */
function accusations(all: readonly MemberProcess[], blocked: string): readonly string[] {
  return all.flatMap(({ name, lines }) =>
    lines.flatMap(({ event, about, from = '' }) =>
      (event === 'suspect' || event === 'fail') && about !== blocked
        ? [`${name}: ${event} ${about} ${from}`]
        : [],
    ),
  )
}

describe('a member whose event loop is blocked', () => {
  const cases = [
    ...atTier([], [{ profile: 'lan', ms: 3000, times: 2 }]),
    { profile: 'lan', ms: 1200, times: atTier(2, 3) },
    { profile: 'local', ms: 1200, times: atTier(2, 3) },
  ] as const
  for (const { profile, ms, times } of cases) {
    const how = `${profile}, ${times} times ${ms} ms`
    it(`GOS-173 accuses nobody: ${how}`, { timeout: 90_000 }, async () => {
      const all = await members(['m1', 'm2', 'm3', 'm4'], profile)
      const blocked = all.pop()
      if (blocked === undefined) throw new Error('there is nobody to block')
      for (let time = 1; time <= times; time += 1) await blockOnce(blocked, all, ms)
      const end = blocked.lines.findLast(({ event }) => event === 'blocked')
      const lost = blocked.lines.flatMap(({ lateMs }) => (lateMs === undefined ? [] : [lateMs]))
      blocked.child.stdin?.write('wait 3000\n')
      await blocked.line(({ event }) => event === 'waited')
      evidence(`blocked ${profile} ${ms} ms`, JSON.stringify({ lost, end }))
      expect(accusations([...all, blocked], 'm4')).toEqual([])
      // It noticed each time, and doubts itself.
      expect(lost.length).toBeGreaterThanOrEqual(times)
      expect(end?.longestStallMs).toBeGreaterThanOrEqual(ms - 250)
      expect(end?.found).toEqual(['loopLate'])
      expect(end?.awareness).toBeGreaterThanOrEqual(1)
    })
  }
})

/**
 * The others stand still until the ping has left, and answer it then: the ack comes in time, and
 * while nothing runs that could read it. No other probe runs meanwhile, and so they stand still for
 * less than a second.
 */
async function blockOnce(
  blocked: MemberProcess,
  others: readonly MemberProcess[],
  ms: number,
): Promise<void> {
  const before = blocked.lines.length
  const next = (event: string): Promise<Line> =>
    blocked.line((line) => line.event === event && blocked.lines.indexOf(line) >= before)
  blocked.child.stdin?.write(`block ${ms}\n`)
  await next('armed')
  for (const { child } of others) child.kill('SIGSTOP')
  await next('pinged')
  for (const { child } of others) child.kill('SIGCONT')
  await next('blocked')
}
