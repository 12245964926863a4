/**
 * How long does an agent take to be ready, and how much memory has one that has nothing to do? Cold
 * processes of the command as it is built, in turns with `node -e 0`, which no program in Node.js
 * can undercut, and with the real `serf agent` where there is one. Linux only.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: ready within 400 ms
 * (median), memory of an idle agent with HTTP and the thread of its log at most 130 MiB, of gossip
 * alone at most 70 MiB. Memory is what the kernel calls RSS. More than 30 MiB of it are pages of
 * the program Node.js itself, which all processes share. The kernel maps more of them than are
 * used, the more the larger the pieces were in which that file once came into memory, up to 25 MiB:
 * a copy of it that was just written has the same pages in every run. Bare Node.js stands beside.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Figure, quantile, tell } from '../registry/support/figures.ts'
import { type Program, start } from './support/program.ts'

const rounds = Number(process.env['KITH_BENCH_ROUNDS'] ?? 15)
const idleMs = Number(process.env['KITH_BENCH_IDLE_MS'] ?? 5_000)
const copies = 3
const readyMsMax = 400
const agentMiBMax = 130
const gossipMiBMax = 70

const folder = mkdtempSync(join(tmpdir(), 'kith-bench-start-'))
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
const kith = path('../../packages/cli/bin/kith.js')
const anyPorts = ['--bind', '--http', '--rpc'].flatMap((flag) => [flag, '127.0.0.1:0'])
const node = join(folder, 'node')
copyFileSync(process.execPath, node)

function agent(name: string, more: () => readonly string[]): Program {
  const args = (): string[] => [kith, 'agent', '--log-format', 'json', ...anyPorts, ...more()]
  return { name, file: node, args, ready: /"event":"ready"/ }
}

const bare: Program = { name: 'node -e 0', file: node, args: () => ['-e', '0'] }
const inMemory = agent('kith agent', () => [])
const onDisk = agent('kith agent --data', () => ['--data', mkdtempSync(join(folder, 'data-'))])
const serf: Program = {
  name: 'serf agent',
  file: 'serf',
  args: () => ['agent', '-bind=127.0.0.1:17946', '-rpc-addr=127.0.0.1:17373'],
  ready: /Serf agent running/,
}
const idleNode: Program = {
  name: 'node',
  file: node,
  args: () => ['-e', 'console.log("ready"); setInterval(() => {}, 2 ** 30)'],
  ready: /ready/,
}
/** No file, because one in TypeScript would have its types taken off first, in 15 MiB. */
const gossipAlone = `
  import { createGossip } from '${import.meta.resolve('@kith/gossip')}'
  import { tcpTransport } from '${import.meta.resolve('@kith/transport-tcp')}'
  import { udpTransport } from '${import.meta.resolve('@kith/transport-udp')}'
  const at = { host: '127.0.0.1', port: 0 }
  await createGossip({ packets: udpTransport(at), streams: tcpTransport(at) }).start()
  console.log('ready')
  setInterval(() => {}, 2 ** 30)`
const gossip: Program = {
  name: 'gossip alone',
  file: node,
  args: () => ['--input-type=module', '-e', gossipAlone],
  ready: /ready/,
}
const hasSerf = spawnSync('serf', ['version'], { stdio: 'ignore' }).status === 0

/**
 * Milliseconds of every round, by program. One round goes before them and counts for nothing: it
 * ends in order, so that what it compiled is kept, as by whoever starts an agent again.
 */
async function startUp(programs: readonly Program[]): Promise<ReadonlyMap<Program, number[]>> {
  const times = new Map(programs.map((program) => [program, [] as number[]]))
  for (let round = -1; round < rounds; round += 1) {
    for (const program of programs) {
      const started = await start(program, folder)
      await started.end(round < 0 ? 'SIGTERM' : 'SIGKILL')
      if (round >= 0) times.get(program)?.push(started.ms)
    }
  }
  return times
}

/** The median of several; of `serf`, which wants its own ports, of one. */
async function memory(programs: readonly Program[]): Promise<ReadonlyMap<Program, number>> {
  const all = programs.flatMap((program) =>
    Array.from({ length: copiesOf(program) }, () => program),
  )
  const started = await Promise.all(
    all.map(async (program) => ({ program, process: await start(program, folder) })),
  )
  await delay(idleMs)
  const found = started.map(({ program, process }) => ({ program, value: process.rssMiB() }))
  await Promise.all(started.map(({ process }) => process.end()))
  const of = (wanted: Program): number[] =>
    found.filter(({ program }) => program === wanted).map(({ value }) => value)
  return new Map(programs.map((program) => [program, quantile(of(program), 0.5)]))
}

function copiesOf(program: Program): number {
  return program === serf ? 1 : copies
}

function readyFigures(times: ReadonlyMap<Program, number[]>): Figure[] {
  const median = (program: Program): number => quantile(times.get(program) ?? [], 0.5)
  return [...times].flatMap(([program, values]) => {
    const figure = `${program.name}: ready after`
    // With a log on disk a thread and a database come to it, which is told beside.
    const bounded = program === inMemory ? { most: readyMsMax } : {}
    const spread = { low: quantile(values, 0.2), high: quantile(values, 0.8) }
    const ratio = { ofNode: Math.round((median(program) / median(bare)) * 10) / 10 }
    const around = { low: Math.round(spread.low), high: Math.round(spread.high), ...ratio }
    return [{ figure, value: median(program), unit: 'ms', ...around, ...bounded }]
  })
}

try {
  const peers = hasSerf ? [serf] : []
  const times = await startUp([bare, ...peers, inMemory, onDisk])
  const held = await memory([idleNode, ...peers, gossip, inMemory, onDisk])
  const bounds = new Map([
    [onDisk, agentMiBMax],
    [gossip, gossipMiBMax],
  ])
  const resident = [...held].map(([program, value]): Figure => {
    const most = bounds.get(program)
    const figure = `${program.name}: memory after ${idleMs / 1000} s of nothing`
    return { figure, value, unit: 'MiB', ...(most === undefined ? {} : { most }) }
  })
  tell([...readyFigures(times), ...resident])
} finally {
  rmSync(folder, { recursive: true, force: true })
}
