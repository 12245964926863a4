// A snapshot changes hands: what Kith wrote a real Serf goes on with, and the other way round.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGossip } from '@kith/gossip'
import type { Gossip } from '@kith/gossip'
import { formatAddress, parseAddress } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect } from 'vitest'
import type { Crew } from './support/crew.ts'
import { freePort } from '../support/ports.ts'
import { within } from './support/process.ts'
import { expectAllOpened, type Sealing } from './support/sealing.ts'
import type { SerfParty } from './support/serf.ts'

/** Four events, so that the clock of events is past what a fresh member would have. */
const events = ['one', 'two', 'three', 'four']

function member(name: string, bind: string, snapshot: string, keys: Sealing): Gossip {
  const at = parseAddress(bind)
  if (at === undefined) throw new Error(bind)
  const { host, port } = at
  return createGossip({
    name,
    packets: udpTransport({ host, port }),
    streams: tcpTransport({ host, port }),
    snapshot,
    ...keys.kith(),
  })
}

async function sees(viewer: SerfParty, name: string, status: string): Promise<boolean> {
  return (await viewer.members()).get(name)?.status === status
}

async function folderFor<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-handover-'))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** Kith runs as m1 beside a Serf; then a Serf with Kith's file takes its place, told of nobody. */
export async function serfGoesOn(crew: Crew, keys: Sealing): Promise<void> {
  await folderFor(async (folder) => {
    const [file, heard] = [join(folder, 'snapshot'), join(folder, 'heard')]
    const [rest, lost] = [
      await crew.serf({ ...keys.serf, name: 'rest' }),
      await crew.serf({ ...keys.serf, name: 'a lost one' }),
    ]
    const bind = `127.0.0.1:${await freePort()}`
    const ours = member('m1', bind, file, keys)
    await ours.start()
    await ours.join([rest.address, lost.address])
    for (const event of events) await rest.command('event', '-coalesce=false', event)
    await within(10_000, 'Kith heard of the events', () => ours.stats().lamportTimes.event > 4n)
    await lost.kill()
    await within(60_000, 'one is lost', () => ours.member('a lost one')?.status === 'failed')
    expectAllOpened([ours])
    await ours.stop()
    const text = await readFile(file, 'utf8')
    expect(text).toContain(`alive: rest ${rest.address}\n`)
    expect(text).toMatch(/not-alive: a lost one\n# kith\.failed: \d+ a lost one 127\./)
    expect(text).toMatch(/^event-clock: [4-9]$/m)
    const script = `echo "$SERF_EVENT $SERF_USER_EVENT" >> ${heard}`
    const handlers = [`user=${script}`]
    const serf = await crew.serf({ ...keys.serf, name: 'm1', bind, snapshot: file, handlers })
    await within(10_000, 'the Serf is back', async () => {
      return (await sees(serf, 'rest', 'alive')) && (await sees(rest, 'm1', 'alive'))
    })
    // That the cluster knew an earlier life of m1 it has to contradict, and says so.
    const complaints = serf.lines
      .filter((line) => /\[(?:WARN|ERR)/.test(line))
      .filter((line) => !/Refuting an? (?:alive|suspect|dead) message/.test(line))
    expect(complaints).toEqual([])
    expect(serf.lines.join('\n')).toMatch(/[Rr]e-joined to previously known node/)
    // Handlers run one after another: what came before the last event stands before it.
    await rest.command('event', '-coalesce=false', 'last')
    const read = (): Promise<string> => readFile(heard, 'utf8').catch(() => '')
    await within(10_000, 'an event arrives', async () => (await read()).includes('last'))
    expect(await read()).toBe('user last\n')
  })
}

/** A Serf runs as m1; then Kith with its file takes its place, told of nobody. */
export async function kithGoesOn(crew: Crew, keys: Sealing): Promise<void> {
  await folderFor(async (folder) => {
    const file = join(folder, 'snapshot')
    const rest = await crew.serf({ ...keys.serf, name: 'rest' })
    const serf = await crew.serf({ ...keys.serf, name: 'm1', join: rest.address, snapshot: file })
    for (const event of events) await rest.command('event', '-coalesce=false', event)
    await within(10_000, 'the Serf heard of the events', async () => {
      return /event_time = [5-9]\b/.test(await serf.command('info'))
    })
    // Until then its last lines may wait: a Serf writes only when another one comes.
    await serf.end()
    expect(await readFile(file, 'utf8')).toMatch(/^event-clock: [4-9]$/m)
    await using ours = member('m1', serf.address, file, keys)
    await ours.start()
    await within(10_000, 'Kith is back', async () => {
      return ours.member('rest')?.status === 'alive' && (await sees(rest, 'm1', 'alive'))
    })
    expect(formatAddress(ours.address)).toBe(serf.address)
    const { counters, lamportTimes } = ours.stats()
    expect(counters).not.toHaveProperty('snapshotLinesUnreadable')
    expect(counters['rejoins']).toBeGreaterThan(0)
    expect(lamportTimes.event).toBeGreaterThan(4n)
    expect(ours.self.status).toBe('alive')
    expectAllOpened([ours])
  })
}
