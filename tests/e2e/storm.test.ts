// Many members start at once on processors that are busy already: what grew into a storm with Serf.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { resolveOptions } from '@kith/gossip'
import { afterEach, describe, expect, it } from 'vitest'
import { atTier, evidence, tier } from '../support/tier.ts'
import { beatMs } from './storm/lines.ts'
import type { StormLine, StormOptions } from './storm/lines.ts'

const program = fileURLToPath(new URL('storm/member.ts', import.meta.url))
const profile = 'lan'
const { gossipFanout, gossipIntervalMs, probeIntervalMs } = resolveOptions(profile)
/** Rounds of gossip within a probe interval, and four. */
const packetsMax = (gossipFanout * probeIntervalMs) / gossipIntervalMs + 4

const running: ChildProcess[] = []

afterEach(async () => {
  const children = running.splice(0).filter((child) => child.exitCode === null)
  for (const child of children) child.kill('SIGKILL')
  await Promise.all(children.map((child) => once(child, 'exit')))
}, 120_000)

/** Uses one processor for as long as it lives. */
function burn(): void {
  running.push(spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }))
}

interface Storm {
  readonly names: readonly string[]
  /** Whom each sees. */
  readonly seen: ReadonlyMap<string, ReadonlySet<string>>
  readonly sent: ReadonlyMap<string, number>
  readonly falseFailures: () => number
  readonly mostInWindow: () => number
  /** How often the first member told what it sent. */
  readonly beats: () => number
  /** Resolves with the next line of any member. */
  readonly next: () => Promise<unknown>
}

/** Starts `size` members within `withinMs`, the first of them before. */
async function storm(size: number, withinMs: number): Promise<Storm> {
  const seen = new Map<string, Set<string>>()
  const sent = new Map<string, number>()
  let [falseFailures, mostInWindow, port, beats] = [0, 0, 0, 0]
  const waiting: (() => void)[] = []
  const take = (name: string, line: StormLine): void => {
    if (line.kind === 'ready') port ||= line.port
    else if (line.kind === 'join') seen.get(name)?.add(line.about)
    else if (line.kind === 'sent') {
      sent.set(name, line.sent)
      if (name === 'm0') beats += 1
      mostInWindow = Math.max(mostInWindow, line.mostInWindow)
    } else {
      seen.get(name)?.delete(line.about)
      falseFailures += 1
    }
    for (const go of waiting.splice(0)) go()
  }
  const next = (): Promise<void> => new Promise((resolve) => waiting.push(resolve))
  const begin = (index: number): string => {
    const name = `m${index}`
    seen.set(name, new Set([name]))
    const join = index === 0 ? [] : [`127.0.0.1:${port}`]
    const options: StormOptions = { name, profile, port: 0, join }
    // On the built packages: a start from the sources is mostly the work of reading them.
    const env = { ...process.env, NODE_OPTIONS: '' }
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env,
    })
    running.push(child)
    createInterface(child.stdout).on('line', (line) => take(name, JSON.parse(line) as StormLine))
    return name
  }
  const names = [begin(0)]
  while (port === 0) await next()
  const startedAt = performance.now()
  for (let index = 1; index < size; index += 1) {
    names.push(begin(index))
    await pause(Math.max(0, startedAt + (index * withinMs) / size - performance.now()))
  }
  return {
    names,
    seen,
    sent,
    next,
    falseFailures: () => falseFailures,
    mostInWindow: () => mostInWindow,
    beats: () => beats,
  }
}

const total = ({ sent }: Storm): number => [...sent.values()].reduce((sum, one) => sum + one, 0)

/** Lets the members go on until the first of them has beaten for that long. */
async function watch(of: Storm, forMs: number): Promise<void> {
  const until = of.beats() + forMs / beatMs
  while (of.beats() < until) await of.next()
}

/** Packets a second, of all together. */
async function rate(of: Storm, forMs: number): Promise<number> {
  const [before, at] = [total(of), performance.now()]
  await watch(of, forMs)
  return ((total(of) - before) / (performance.now() - at)) * 1000
}

/** News of the joins is told for a while; what comes then is a ping and an ack an interval. */
async function steadyRate(of: Storm): Promise<number> {
  await watch(of, 30_000)
  return rate(of, 10_000)
}

describe('a storm of joins', () => {
  const size = atTier(12, 60)
  const withinMs = atTier(2000, 10_000)

  it('GOS-154 converges, accuses almost nobody, and dies out', { timeout: 240_000 }, async () => {
    if (size === 60) for (let core = 0; core < 2; core += 1) burn()
    const members = await storm(size, withinMs)
    const startedAt = performance.now()
    const all = (): boolean => members.names.every((name) => members.seen.get(name)?.size === size)
    while (!all() && performance.now() - startedAt < 60_000) await members.next()
    const missing = members.names.map((name) => size - (members.seen.get(name)?.size ?? 0))
    const state = `${members.sent.size} up, ${members.falseFailures()} false failures, missing`
    expect(all(), `all know all within 60 s: ${state} ${missing.join(' ')}`).toBe(true)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    evidence(`${size} members, seconds until all knew all after the last start`, seconds)
    await watch(members, 10_000)
    const after = await rate(members, atTier(3000, 10_000))
    const steady = tier === 2 ? await steadyRate(members) : (2 * size * 1000) / probeIntervalMs
    evidence('packets a second, 10 s later and steady', `${after.toFixed(0)}, ${steady.toFixed(0)}`)
    evidence('most packets of one member in a probe interval', members.mostInWindow())
    evidence('false failures', members.falseFailures())
    expect(members.falseFailures()).toBeLessThanOrEqual(20)
    expect(members.mostInWindow()).toBeLessThanOrEqual(packetsMax)
    expect(after).toBeLessThanOrEqual(2 * steady)
  })
})
