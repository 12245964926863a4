// Two Kith members that reach each other only through a real Serf.
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGossip } from '@kith/gossip'
import type { Gossip } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import { createRegistry } from '@kith/registry'
import { expect } from 'vitest'
import { evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { within } from './support/process.ts'
import { createWall, walledPackets, walledStreams, type Wall } from './support/wall.ts'

function member(name: string, wall: Wall): Gossip {
  return createGossip({ name, packets: walledPackets(wall), streams: walledStreams(wall) })
}

/** A service of one reaches the other, and nobody's handler at the Serf in between hears of it. */
export async function linkedBySerf(crew: Crew): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-link-'))
  const heard = join(folder, 'heard')
  const script = `(echo "$SERF_EVENT $SERF_USER_EVENT $SERF_QUERY_NAME"; cat) >> ${heard}`
  const serf = await crew.serf({ name: 's1', handlers: [`user,query=${script}`] })
  const wall = createWall()
  const [left, right] = [member('k1', wall), member('k2', wall)]
  const parts = [left, right].map((gossip) =>
    createRegistry({ membership: gossip, extensions: gossip }),
  )
  const [offers, asks] = parts
  if (offers === undefined || asks === undefined) throw new Error('two registries')
  try {
    await Promise.all([left.start(), right.start()])
    wall.closed.add(formatAddress(left.address)).add(formatAddress(right.address))
    await Promise.all(parts.map((registry) => registry.start()))
    await Promise.all([left.join([serf.address]), right.join([serf.address])])
    const seen = (): boolean =>
      left.member('k2')?.status === 'alive' && right.member('k1')?.status === 'alive'
    await within(5_000, 'both Kith members know each other', seen)
    await offers.register({ service: 'web', id: 'web-1', address: '127.0.0.1', port: 8080 })
    const resolved = await within(10_000, 'the service resolves', () =>
      asks.resolve('web').some(({ id }) => id === 'web-1'),
    )
    evidence('serf interop: a service through a serf, ms', Math.round(resolved))
    await offers.deregister('web-1')
    await within(10_000, 'the service is gone', () => asks.resolve('web').length === 0)
    // The wall was needed, and it held: without a Serf in between they would see nobody.
    expect(wall.packets).toBeGreaterThan(0)
    expect(left.member('k2')?.status).toBe('alive')
    expect(right.stats().counters['warning.packetsBlocked'] ?? 0).toBe(0)
    await handlersHeardNothing(serf.command, heard)
  } finally {
    await Promise.all(parts.map((registry) => registry.stop()))
    await Promise.all([left.stop(), right.stop()])
    await rm(folder, { recursive: true })
  }
}

/** Handlers run one after another, so that whatever came before the event stands before it. */
async function handlersHeardNothing(
  command: (verb: string, ...args: readonly string[]) => Promise<string>,
  heard: string,
): Promise<void> {
  await command('event', '-coalesce=false', 'last-word', 'the handler works')
  const read = (): Promise<string> => readFile(heard, 'utf8').catch(() => '')
  await within(10_000, 'the handler ran', async () => (await read()).includes('works'))
  expect(await read()).toBe('user last-word \nthe handler works\n')
}
