// A Kith member whose machine gets another address, as another member and real Serfs see it.
import { execFile } from 'node:child_process'
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import { evidence, tier } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { createNetwork } from './support/network.ts'
import type { Network } from './support/network.ts'
import { run, within } from './support/process.ts'
import type { Running } from './support/process.ts'
import type { SerfParty } from './support/serf.ts'

const execute = promisify(execFile)
const script = fileURLToPath(new URL('support/moving-member.ts', import.meta.url))

/** A process is started, and all of them meet. */
const formMsMax = 30_000
/** A look at the interfaces, the rounds of gossip, and what a busy machine takes. */
const followMsMax = 10_000
/** The same, the interval until real Serfs are told, and the exchange. */
const serfFollowsMsMax = 15_000
/** The shortest suspicion, and two rounds of probes of four members. */
const quietMs = 12_000
/** A Serf forgets the dead after 30 s and to the end of a round, and asks then, or is asked. */
const forgottenMsMax = 150_000

interface Told {
  readonly kind: string
  readonly name: string
  readonly address?: string
}

function told({ lines }: Running): readonly Told[] {
  return lines.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Told] : []))
}

/** Where a Kith member has `name`: what it was told of it last. */
function shown(member: Running, name: string): string {
  const last = told(member).findLast((one) => one.name === name && one.address !== undefined)
  return `${last?.kind === 'fail' ? 'failed' : 'alive'} ${last?.address}`
}

async function shownBySerf(serf: SerfParty, name: string): Promise<string> {
  const { members } = JSON.parse(await serf.command('members', '-format=json')) as {
    members: readonly { name: string; addr: string; status: string }[]
  }
  const member = members.find((one) => one.name === name)
  return `${member?.status} ${member?.addr}`
}

async function ip(network: Network, place: string, ...words: readonly string[]): Promise<void> {
  const [command = '', ...args] = [...network.within(place), 'ip', ...words]
  await execute(command, args)
}

export async function moves(crew: Crew): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-moves-'))
  const network = await createNetwork(['k1', 'k2', 's1', 's2'])
  const running: Running[] = []
  try {
    const heard = (name: string): string => join(folder, `${name}-heard`)
    const serfs = await Promise.all(
      ['s1', 's2'].map(async (name) => {
        await appendFile(heard(name), '')
        const print = `(printf '%s ' $SERF_EVENT; cut -f 1,2)`
        const handlers = [`member-join,member-failed,member-leave=${print} >> ${heard(name)}`]
        const bind = `${network.address(name)}:7946`
        return crew.serf({ name, bind, inside: network.within(name), handlers })
      }),
    )
    const [s1, s2] = serfs
    if (s1 === undefined || s2 === undefined) throw new Error('two serfs')
    await s2.command('join', s1.address)
    const start = (place: string): Running => {
      const [command = '', ...words] = network.within(place)
      const program = [process.execPath, '--conditions=@kith/source', script]
      const member = run(command, [...words, ...program, place, s1.address])
      running.push(member)
      return member
    }
    const [k1, k2] = [start('k1'), start('k2')]
    const everywhere = async (): Promise<readonly string[]> => [
      shown(k2, 'k1'),
      await shownBySerf(s1, 'k1'),
      await shownBySerf(s2, 'k1'),
    ]
    const allShow = (text: string, withinMs: number): Promise<number> =>
      within(
        withinMs,
        `k1 is ${text}`,
        async () => (await everywhere()).every((one) => one === text),
        everywhere,
      )
    await allShow(`alive ${network.address('k1')}:7946`, formMsMax)
    const heardOf = (name: string): Promise<string> => readFile(heard(name), 'utf8')
    // An agent tells its handlers of members when nothing has changed for a while.
    await within(formMsMax, 'handlers heard of k1', async () =>
      (await Promise.all(serfs.map(({ name }) => heardOf(name)))).every((all) =>
        all.includes('k1'),
      ),
    )
    const before = await Promise.all(serfs.map(({ name }) => heardOf(name)))
    const logged = serfs.map(({ lines }) => lines.length)

    await network.readdress('k1', '10.77.0.101')
    const here = 'alive 10.77.0.101:7946'
    const followMs = await within(followMsMax, 'k2 follows', () => shown(k2, 'k1') === here)
    evidence('move, Kith follows ms', Math.round(followMs))
    const serfMs = await allShow(here, serfFollowsMsMax)
    evidence('move, Serfs follow ms', Math.round(followMs + serfMs))
    await stays(allShow, here)
    expect(told(k1).map(({ kind }) => kind)).toContain('addressChanged')
    for (const member of [k1, k2]) {
      const unwanted = told(member).filter(({ kind }) => kind === 'fail' || kind === 'leave')
      expect(unwanted).toEqual([])
    }
    // Between the two rows of the exchange a Serf has the member failed; its agent, which waits
    // before it tells, has nothing to tell its handlers then.
    for (const [index, { name, lines }] of serfs.entries()) {
      const events = lines
        .slice(logged[index])
        .flatMap((line) => /EventMember.* k1 .*/.exec(line) ?? [])
      expect(events, name).toEqual([
        `EventMemberFailed: k1 ${network.address('k1')}`,
        'EventMemberJoin: k1 10.77.0.101',
      ])
      expect((await heardOf(name)).slice(before[index]?.length), name).toBe('')
    }
    if (tier === 2) await movesAfterFailing(network, [k1, k2], serfs, allShow)
  } finally {
    for (const { child } of running) child.kill('SIGKILL')
    await Promise.all(running.map(({ ended }) => ended))
    await network.remove()
    await rm(folder, { recursive: true })
  }
}

/** Nobody changes its mind while probes and a suspicion of the former address would take. */
async function stays(
  allShow: (text: string, withinMs: number) => Promise<number>,
  text: string,
): Promise<void> {
  const until = performance.now() + quietMs
  while (performance.now() < until) {
    await allShow(text, 1)
    await within(1_000, 'a moment passes', () => Promise.resolve(true))
  }
}

/** Without any address until all find it failed: Kith follows at once, Serf once it forgot. */
async function movesAfterFailing(
  network: Network,
  [k1, k2]: readonly [Running, Running],
  serfs: readonly SerfParty[],
  allShow: (text: string, withinMs: number) => Promise<number>,
): Promise<void> {
  await ip(network, 'k1', 'address', 'flush', 'dev', 'eth0')
  await allShow('failed 10.77.0.101:7946', 60_000)
  expect(told(k1).map(({ kind }) => kind)).toContain('addressLost')
  await network.readdress('k1', '10.77.0.102')
  const here = 'alive 10.77.0.102:7946'
  const followMs = await within(20_000, 'k2 follows', () => shown(k2, 'k1') === here)
  evidence('move after a failure, Kith follows ms', Math.round(followMs))
  const views = await Promise.all(serfs.map((serf) => shownBySerf(serf, 'k1')))
  evidence('move after a failure, Serfs meanwhile', views.join(', '))
  const serfMs = await allShow(here, forgottenMsMax)
  evidence('move after a failure, Serfs follow ms', Math.round(followMs + serfMs))
}
