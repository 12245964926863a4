/** What a flood of packets that mean nothing costs a member, and what it does to its answers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { javaScriptOf, keep, port, startAgent } from './agents.ts'
import type { Kind } from './agents.ts'
import type { FloodingSpec } from './flooding.ts'
import { privateSpace, usageOf } from './network.ts'
import { Observer } from './observer.ts'

export type Target = Kind | 'socket'

export interface Flooded {
  /** Packets a second that were handed to the system. */
  readonly perSecond: number
  /** Share of one processor that the target used. */
  readonly share: number
  /** How long each ping took to be answered, milliseconds; 2,000 for one that never was. */
  readonly answersMs: readonly number[]
}

const host = '127.10.0.1'
/** A Kith member answers this many of somebody who is no member. */
const asksPerSecond = 3
const startsMs = 3000

/** One target in a namespace of its own, and who floods and asks it. */
export async function flood(target: Target, perSecond: number, lastsMs: number): Promise<Flooded> {
  const space = privateSpace(`f${target}`)
  const name = `${target}-0`
  const of = { host, port, name, lastsMs }
  const pid = start(target, space, { ...of, role: 'sink', perSecond })
  await pause(startsMs)
  const before = { cpu: usageOf(pid).cpuSeconds, at: performance.now() }
  const asking =
    target === 'socket' ? undefined : run(space, { ...of, role: 'ask', perSecond: asksPerSecond })
  const sent = Number(await run(space, { ...of, role: 'pour', perSecond }).output)
  const seconds = (performance.now() - before.at) / 1000
  const share = (usageOf(pid).cpuSeconds - before.cpu) / seconds
  const answersMs = JSON.parse((await asking?.output) ?? '[]') as readonly number[]
  return { perSecond: sent / (lastsMs / 1000), share, answersMs }
}

function start(target: Target, space: string, spec: FloodingSpec): number {
  if (target === 'socket') return run(space, spec).pid
  const members = [{ name: spec.name, host, space }]
  const observer = new Observer()
  return startAgent(target, { members, profile: 'lan', join: [], observer, quiet: true }).pid
}

function run(
  space: string,
  spec: FloodingSpec,
): { readonly pid: number; readonly output: Promise<string> } {
  const args = ['netns', 'exec', space, process.execPath, javaScriptOf('flooding.ts')]
  const child = spawn('ip', [...args, JSON.stringify(spec)], { stdio: ['pipe', 'pipe', 'inherit'] })
  void keep(child)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  return { pid: child.pid ?? 0, output: once(child, 'close').then(() => text) }
}
