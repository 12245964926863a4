// Two Kith members between which a firewall drops everything, and two real Serfs that reach both.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceDefinition } from '@kith/registry'
import { expect } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { createNetwork, type Network } from './support/network.ts'
import { within } from './support/process.ts'
import type { SerfParty } from './support/serf.ts'
import { startWalled, type Walled } from './support/walled.ts'
import { sharedNow } from './support/walled-orders.ts'

/**
 * Encoded bytes of the entries that travel. 800 fit a broadcast, 840 a change and no announcement,
 * 1,024 neither.
 */
const sizes = [100, 400, 800, 840, 1_024]
const arriveMsMax = 1_000
const restartMsMax = 60_000
/** Everything is said again soon (REG-6), and not only in its turn of a minute. */
const soonMsMax = 20_000

interface Walls {
  readonly network: Network
  readonly serfs: readonly SerfParty[]
  readonly heard: (serf: SerfParty) => string
  start(place: string): Promise<Walled>
}

/** Entries reach the other side through the Serfs, and again after either side was killed. */
export async function walledOff(crew: Crew): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-wall-'))
  const network = await createNetwork(['k1', 'k2', 's1', 's2'])
  const running: Walled[] = []
  try {
    await network.wall('k1', 'k2')
    const heard = (serf: { readonly name: string }): string => join(folder, `${serf.name}-heard`)
    const serfs = await Promise.all(
      ['s1', 's2'].map((name) => {
        const print = `(echo "$SERF_EVENT $SERF_USER_EVENT $SERF_QUERY_NAME"; cat)`
        const handlers = [`user,query=${print} >> ${heard({ name })}`]
        const bind = `${network.address(name)}:7946`
        return crew.serf({ name, bind, inside: network.within(name), handlers })
      }),
    )
    await serfs[1]?.command('join', serfs[0]?.address ?? '')
    await scenario({
      network,
      serfs,
      heard,
      async start(place) {
        const seed = serfs[place === 'k1' ? 0 : 1]?.address ?? ''
        const walled = await startWalled(network, place, join(folder, place), [seed])
        running.push(walled)
        return walled
      },
    })
  } finally {
    await Promise.all(running.map((one) => one.kill()))
    await network.remove()
    await rm(folder, { recursive: true })
  }
}

async function scenario(walls: Walls): Promise<void> {
  const { network, serfs, heard, start } = walls
  let [owner, asker] = await Promise.all([start('k1'), start('k2')])
  const knowEachOther = async (): Promise<boolean> => {
    const [a, b] = await Promise.all([owner, asker].map((one) => one.ask({ order: 'look' })))
    return a?.status['k2'] === 'alive' && b?.status['k1'] === 'alive'
  }
  await within(30_000, 'both Kith members know each other', knowEachOther)
  const rounds = atTier(2, 10)
  const late: string[] = []
  for (let round = 1; round <= rounds; round += 1) {
    for (const size of sizes) {
      const { ms, meanwhile } = await arrives(owner, asker, entryOf(size, `r${round}`))
      evidence(`through the firewall: an entry of ${size} bytes arrived after, ms`, Math.round(ms))
      if (ms <= arriveMsMax) continue
      const said = meanwhile.join(', ') || 'no verdict of anybody'
      late.push(`${size} bytes after ${Math.round(ms)} ms; meanwhile: ${said}`)
    }
  }
  const { largest, largestMax } = await owner.ask({ order: 'look' })
  evidence('through the firewall: bytes of the largest broadcast, of', `${largest}, ${largestMax}`)
  expect(late).toEqual([])

  // Whoever asks was killed: it hears everything again from the Serfs.
  const ids = sizes.map((size) => `web-${size}`)
  const all = { order: 'hear', service: 'web', ids, revision: `r${rounds}` } as const
  let from = sharedNow()
  await asker.kill()
  asker = await start('k2')
  const askerMs = (await asker.ask(all)).at - from
  evidence('through the firewall: the asker killed, all known again after, ms', Math.round(askerMs))
  expect(askerMs).toBeLessThanOrEqual(Math.min(soonMsMax, restartMsMax))

  // The owner was killed: it registers by itself what it had. With its first word the asker forgets
  // its earlier life, so that what resolves beside the new entry was said after the start.
  from = sharedNow()
  await owner.kill()
  owner = await start('k1')
  await owner.ask({ order: 'register', service: entryOf(101, all.revision) })
  const ownerMs = (await asker.ask({ ...all, ids: [...ids, 'web-101'] })).at - from
  evidence('through the firewall: the owner killed, all known again after, ms', Math.round(ownerMs))
  expect(ownerMs).toBeLessThanOrEqual(Math.min(soonMsMax, restartMsMax))

  // The wall was needed and it held; nothing came by a stream between the two.
  const dropped = await Promise.all(['k1', 'k2'].map((place) => network.dropped(place)))
  evidence('through the firewall: packets dropped at either side', dropped.join(', '))
  for (const count of dropped) expect(count).toBeGreaterThan(0)
  for (const one of [owner, asker]) expect((await one.ask({ order: 'look' })).fetched).toBe(0)
  for (const serf of serfs) await handlersHeardNothing(serf, heard(serf))
}

interface Arrival {
  /** From the registration at one to the resolution at the other. */
  readonly ms: number
  /** Who was called failed or came back in between: an owner that did is served once it spoke. */
  readonly meanwhile: readonly string[]
}

async function arrives(owner: Walled, asker: Walled, entry: ServiceDefinition): Promise<Arrival> {
  const { service, id = '', meta = {} } = entry
  const told = asker.ask({ order: 'hear', service, ids: [id], revision: meta['rev'] ?? '' })
  const { at } = await owner.ask({ order: 'register', service: entry })
  const arrived = await told
  const meanwhile = arrived.verdicts.filter((verdict) => verdict.at >= at)
  return { ms: arrived.at - at, meanwhile: meanwhile.map(({ text }) => text) }
}

/** A service whose entry takes so many bytes, by the layout of the registry's SPEC.md. */
function entryOf(bytes: number, revision: string): ServiceDefinition {
  const id = `web-${bytes}`
  const text = (value: string): number => value.length + (value.length < 128 ? 1 : 2)
  const address = '10.77.0.1'
  const of = (fact: string): number => {
    // What the entry is, its version, its port, no tags, two facts, no checks.
    const numbers = 1 + 1 + 2 + 1 + 1 + 1
    const facts = [...['rev', revision, 'fact', fact]]
    return [id, 'web', address, ...facts].reduce((sum, each) => sum + text(each), numbers)
  }
  for (let length = 0; length <= bytes; length += 1) {
    const fact = 'x'.repeat(length)
    if (of(fact) !== bytes) continue
    return { service: 'web', id, address, port: 8080, meta: { rev: revision, fact } }
  }
  throw new Error(`no entry takes ${bytes} bytes`)
}

/**
 * Handlers run one after another, so that whatever came before the event stands before it. Where
 * the other Serf was asked before, its event was heard as well.
 */
async function handlersHeardNothing(serf: SerfParty, heard: string): Promise<void> {
  await serf.command('event', '-coalesce=false', `last-word-${serf.name}`, 'the handler works')
  const read = (): Promise<string> => readFile(heard, 'utf8').catch(() => '')
  const only = /^(?:user last-word-s\d \nthe handler works\n)+$/
  const ran = async (): Promise<boolean> => {
    return (await read()).includes(`user last-word-${serf.name} \nthe handler works\n`)
  }
  await within(10_000, 'the handler heard the event', ran, read)
  expect(await read()).toMatch(only)
}
