// One cluster of real agents and one of ours, and both commands asked of both kinds: `serf` and
// `kith`, each line four times. Exit codes are the same and the output is.
import { execFile } from 'node:child_process'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { kithHere } from './support/commands.ts'
import type { Crew } from './support/crew.ts'
import type { KithParty } from './support/kith.ts'
import { allAlive, allSee } from './support/party.ts'
import { within } from './support/process.ts'
import type { SerfParty } from './support/serf.ts'

interface Ran {
  readonly code: number
  /** Both streams, without what each command puts before the words of an agent. */
  readonly out: string
}

const prefixes = /^(?:kith: |Error [a-z ]+: |Failed to gather member keys: )/gm

async function serf(rpc: string, [verb = '', ...flags]: readonly string[]): Promise<Ran> {
  return await new Promise((resolve) => {
    const args = [verb, `-rpc-addr=${rpc}`, ...flags]
    execFile('serf', args, { timeout: 60_000 }, (cause, stdout, stderr) => {
      const { code } = (cause ?? { code: 0 }) as { code?: unknown }
      resolve(ran(typeof code === 'number' ? code : -1, stdout, stderr))
    })
  })
}

async function kith(rpc: string, [verb = '', ...flags]: readonly string[]): Promise<Ran> {
  const { code, out, err } = await kithHere([verb, '--rpc-addr', rpc, ...flags])
  return ran(code, out, err)
}

/** What is printed in no order stands in one; what is measured is left out. */
function ran(code: number, out: string, err: string): Ran {
  const tidy = (line: string): string =>
    line
      .trimEnd()
      .replace(/\d+\.\d+ (ms|sec)/g, 'N $1')
      .replace(/\S+=\S+/, (tags) => tags.split(',').toSorted().join(','))
  const lines = (printed: string): string =>
    printed
      .replaceAll(prefixes, '')
      .split('\n')
      .map(tidy)
      .filter((line) => line !== '' && !line.startsWith('Deprecation warning'))
      .toSorted()
      .join('\n')
  return { code, out: lines(`${out}\n${err}`) }
}

type Compare = 'all' | 'code' | 'json' | 'names'

interface Line {
  readonly serf: readonly string[]
  /** Where the flags are not the same with two dashes. */
  readonly kith?: readonly string[]
  readonly compare?: Compare
  readonly code?: number
}

const big = 'x'.repeat(600)
const firstKey = 'AAECAwQFBgcICQoLDA0ODw=='
const freshKey = 'EBESExQVFhcYGRobHB0eHw=='
const soon = '-timeout=3s'

const quick: readonly Line[] = [
  { serf: ['members'] },
  { serf: ['members', '-detailed'] },
  { serf: ['members', '-format=json'], compare: 'json' },
  { serf: ['members', '-status=failed'] },
  { serf: ['members', '-name=s.*', '-status=al.*'] },
  { serf: ['members', '-tag', 'role=web|api', '-tag', 'dc=e.*'] },
  { serf: ['members', '-role=db'] },
  { serf: ['members', '-name=('], compare: 'code', code: 1 },
  { serf: ['event', 'deploy', 'v1'] },
  {
    serf: ['event', '-coalesce=false', 'deploy', 'v1'],
    kith: ['event', '--no-coalesce', 'deploy', 'v1'],
  },
  { serf: ['event', 'big', big], code: 1 },
  { serf: ['query', '_serf_x'], code: 1 },
  { serf: ['query', soon, 'up', 'x'.repeat(1_100)], code: 1 },
  { serf: ['join', '127.0.0.1:1'], compare: 'code', code: 1 },
  { serf: ['force-leave', 'nobody'] },
  { serf: ['force-leave', '-prune', 'nobody'] },
  { serf: ['keys', '-list'] },
  { serf: ['keys', `-install=${freshKey}`] },
  { serf: ['keys', '-list'] },
  { serf: ['keys', `-use=${freshKey}`] },
  { serf: ['keys', `-remove=${firstKey}`] },
  { serf: ['keys', `-remove=${freshKey}`], compare: 'code', code: 1 },
  { serf: ['keys', '-list'] },
  { serf: ['keys', '-install=foo'], code: 1 },
  { serf: ['tags', '-set', 'a=b', '-set', 'c=d', '-delete', 'none'] },
  { serf: ['tags', '-delete', 'a', '-delete', 'c'] },
  { serf: ['tags', '-set', `a=${big}`], code: 1 },
  { serf: ['rtt', 'sera', 'serb'] },
  { serf: ['rtt', 'sera', 'nobody'], code: 1 },
  { serf: ['info'], compare: 'names' },
  { serf: ['info', '-format=json'], compare: 'names' },
]

/** These wait for a time to be over, and change nothing: they run at the same time. */
const slow: readonly Line[] = [
  { serf: ['query', soon, 'up', 'now'] },
  { serf: ['query', soon, '-format=json', 'up'], compare: 'json' },
  { serf: ['query', soon, '-no-ack', '-node=sera', '-node=kada', 'up'] },
  { serf: ['query', soon, '-tag', 'role=w.b', 'up'] },
  { serf: ['query', soon, '-tag', 'role=none', 'up'] },
  { serf: ['query', soon, '-relay-factor=1', 'up'] },
  { serf: ['reachability'] },
  { serf: ['reachability', '-verbose'], compare: 'code' },
]

export async function commandsAgree(crew: Crew): Promise<void> {
  const [flags, encrypt] = [['-profile=local'], firstKey]
  const [sera, serb, kada] = await Promise.all([
    crew.serf({
      name: 'sera',
      tags: { role: 'web', dc: 'east' },
      handlers: ['query:up=printf hello'],
      encrypt,
      flags,
    }),
    crew.serf({ name: 'serb', tags: { role: 'db' }, encrypt, flags }),
    crew.kith({ name: 'kada', tags: { role: 'api', dc: 'east' }, encrypt }),
  ])
  const join = ['join', sera.address]
  expect(await serf(kada.rpc, join)).toEqual(await serf(serb.rpc, join))
  await allAlive([sera, serb, kada], 30_000)
  await within(30_000, 'all know where the others are', async () => {
    const places = [sera, kada].flatMap(({ rpc }) =>
      ['sera', 'serb', 'kada'].map((name) => serf(rpc, ['rtt', name, 'sera'])),
    )
    return (await Promise.all(places)).every(({ code }) => code === 0)
  })
  const differences: object[] = []
  for (const line of quick) differences.push(...(await differencesOf(line, sera, kada)))
  const waited = await Promise.all(slow.map((line) => differencesOf(line, sera, kada)))
  differences.push(...waited.flat())
  expect(differences).toEqual([])
  await watched(sera, kada)
  await ended(sera, serb, kada)
}

/** Verbs that ask other members by packets, of which each goes once. */
const askOthers = new Set(['keys', 'query', 'reachability'])

/**
 * How the other three differ from what Serf's command prints of Serf's agent. An answer that came
 * late on a busy machine is missing, and so may be one of two queries that Serf was asked at once
 * (it gives both one Lamport time): those lines are run again, and must agree then.
 */
async function differencesOf(line: Line, sera: SerfParty, kada: KithParty): Promise<object[]> {
  for (let left = askOthers.has(line.serf[0] ?? '') ? 3 : 0; ; left -= 1) {
    const differences = await compared(line, sera, kada)
    if (differences.length === 0 || left === 0) return differences
  }
}

async function compared(line: Line, sera: SerfParty, kada: KithParty): Promise<object[]> {
  const { compare = 'all', code = 0 } = line
  const ours = line.kith ?? line.serf.map((flag) => flag.replace(/^-(?=[a-z])/, '--'))
  // One after the other on each agent, so that what one changes is not seen by the next.
  const [real, byKith] = await Promise.all([
    serf(sera.rpc, line.serf).then(async (first) => [first, await kith(sera.rpc, ours)] as const),
    serf(kada.rpc, line.serf).then(async (first) => [first, await kith(kada.rpc, ours)] as const),
  ])
  const wanted = { code, shown: shown(real[0], compare) }
  const rows = { 'serf of Serf': real[0], 'kith of Serf': real[1] }
  return Object.entries({ ...rows, 'serf of Kith': byKith[0], 'kith of Kith': byKith[1] })
    .map(([who, run]) => ({ who, got: { code: run.code, shown: shown(run, compare) } }))
    .filter(({ got }) => !isDeepStrictEqual(got, wanted))
    .map((row) => ({ line: line.serf.join(' ').slice(0, 60), wanted, ...row }))
}

function shown(run: Ran, compare: Compare): unknown {
  if (compare === 'code') return undefined
  // Tags and handlers are each agent's own.
  if (compare === 'names') {
    const names = run.out.match(/[a-z_]+(?= =|":|:$)/gm) ?? []
    return names.filter((name) => !['role', 'dc', 'v', 'http', 'up', 'query'].includes(name))
  }
  // Lines of JSON in order of the alphabet say the same where the JSON does.
  return run.out.replaceAll(/,$/gm, '')
}

/** What `serf monitor` shows of our agent, and what the others heard of an event through it. */
async function watched(sera: SerfParty, kada: KithParty): Promise<void> {
  const monitor = execFile('serf', ['monitor', `-rpc-addr=${kada.rpc}`, '-log-level=debug'])
  let seen = ''
  monitor.stdout?.on('data', (chunk: string) => {
    seen += chunk
  })
  try {
    await within(10_000, 'the monitor shows the log', () => /\[INFO\] kith: join "sera"/.test(seen))
    await serf(sera.rpc, ['event', '-coalesce=false', 'seen', 'payload'])
    const wanted = [/Event: "user"/, /Name: "seen"/, /Payload: \[\]byte\{0x70, 0x61/]
    await within(
      10_000,
      'the monitor shows the event',
      () => wanted.every((line) => line.test(seen)),
      () => seen,
    )
  } finally {
    monitor.kill('SIGINT')
  }
  await serf(kada.rpc, ['event', '-coalesce=false', 'carried'])
  await within(10_000, 'a real agent heard of it', () =>
    sera.lines.some((line) => line.includes('user-event: carried')),
  )
}

/** Serf's Lamport clock for what is said of members. */
async function memberTime(sera: SerfParty): Promise<number> {
  const { out } = await serf(sera.rpc, ['info'])
  return Number(/^\s*member_time = (\d+)$/m.exec(out)?.[1])
}

/** A failed member forgotten through our agent; then each command makes the other's agent leave. */
async function ended(sera: SerfParty, serb: SerfParty, kada: KithParty): Promise<void> {
  await serb.kill()
  await allSee([sera, kada], 'serb', 'failed', 60_000)
  expect(await serf(kada.rpc, ['force-leave', 'serb'])).toMatchObject({ code: 0, out: '' })
  await allSee([sera, kada], 'serb', 'left', 30_000)
  // In its next exchange Serf gives who left a later time, and takes no leave from before it.
  const time = await memberTime(sera)
  await within(60_000, 'sera exchanged states', async () => (await memberTime(sera)) > time)
  expect(await kith(kada.rpc, ['force-leave', '--prune', 'serb'])).toMatchObject({ code: 0 })
  await within(30_000, 'serb is forgotten', async () => !(await sera.members()).has('serb'))
  const graceful = { code: 0, out: 'Graceful leave complete' }
  expect(await serf(kada.rpc, ['leave'])).toMatchObject(graceful)
  await allSee([sera], 'kada', 'left', 30_000)
  await within(10_000, 'our agent ended', async () => (await serf(kada.rpc, ['info'])).code === 1)
  expect(await kith(sera.rpc, ['leave'])).toMatchObject(graceful)
  await within(
    10_000,
    'the real one ended',
    async () => (await kith(sera.rpc, ['info'])).code === 3,
  )
}
