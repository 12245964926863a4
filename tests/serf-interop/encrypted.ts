// One cluster under one key, joined either way round; and those who do not have the key.
import { createGossip, createKeyring } from '@kith/gossip'
import type { Gossip, GossipOptions } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { expect } from 'vitest'
import { evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { allAlive } from './support/party.ts'
import { freePort } from '../support/ports.ts'
import { run, within } from './support/process.ts'

const key = Buffer.alloc(32, 0x4b).toString('base64')
const otherKey = Buffer.alloc(32, 0x4c).toString('base64')
const joinMsMax = 5_000
/** A busy machine takes its time to start a process. */
const startMsMax = 30_000

/** Kith joins a Serf, then another Serf joins Kith; changed tags arrive, nothing is refused. */
export async function encrypted(crew: Crew): Promise<void> {
  const one = await crew.serf({ name: 's1', tags: { role: 'web' }, encrypt: key })
  const kith = await crew.kith({ name: 'k1', encrypt: key, join: one.address })
  const two = await crew.serf({ name: 's2', encrypt: key, join: kith.address })
  const all = [one, two, kith]
  const ms = await allAlive(all, joinMsMax)
  evidence('serf interop: an encrypted cluster of three is whole, ms', Math.round(ms))
  expect((await kith.members()).get('s1')?.tags).toMatchObject({ role: 'web' })
  expect((await two.members()).get('k1')?.tags).toMatchObject({ 'kith.v': '1' })
  await one.command('tags', '-set', 'color=red')
  await within(joinMsMax, 'a changed tag is seen', async () => {
    return (await kith.members()).get('s1')?.tags['color'] === 'red'
  })
  expect(await one.command('reachability')).toContain('Successfully contacted all live nodes')
  const refused = /decrypt|encrypt|plaintext|key/i
  for (const { lines } of [one, two]) {
    expect(lines.filter((line) => /WARN|ERR/.test(line) && refused.test(line))).toEqual([])
  }
  const figures = await (await fetch(`http://${kith.http}/metrics`)).text()
  expect(figures).toMatch(/^kith_gossip_packets_total\{direction="in"\} [1-9]/m)
  expect(figures).not.toMatch(
    /reason="(?:stream\.)?(?:keyUnknown|plaintextRefused|encryption\w+)"\} [1-9]/,
  )
}

function member(options: GossipOptions): Gossip {
  const at = { host: '127.0.0.1', port: 0 }
  return createGossip({ packets: udpTransport(at), streams: tcpTransport(at), ...options })
}

/** What a member in this process is told when it joins `address`. */
async function refusal(address: string, options: GossipOptions): Promise<unknown> {
  await using stray = member(options)
  await stray.start()
  return await stray.join([address]).then(
    () => 'joined',
    (cause: unknown) => (cause as { code: string }).code,
  )
}

export async function strangers(crew: Crew): Promise<void> {
  const [serf, plain] = await Promise.all([
    crew.serf({ name: 's1', encrypt: key }),
    crew.serf({ name: 'p1' }),
  ])
  await using kith = member({ name: 'k1', keyring: createKeyring({ keys: [key] }) })
  await kith.start()
  const address = formatAddress(kith.address)
  const wrong = { keyring: createKeyring({ keys: [otherKey] }) }
  for (const encrypted of [serf.address, address]) {
    expect(await refusal(encrypted, {})).toBe('ERR_GOSSIP_KEY_MISSING')
    expect(await refusal(encrypted, wrong)).toBe('ERR_GOSSIP_KEY_UNKNOWN')
  }
  const labelled = { keyring: createKeyring({ keys: [key] }), label: 'x' }
  expect(await refusal(address, labelled)).toBe('ERR_GOSSIP_JOIN_FAILED')
  // A memberlist from before labels takes the header for plaintext and says so, without the label.
  expect(await refusal(serf.address, labelled)).toBe('ERR_GOSSIP_KEY_UNKNOWN')
  expect(await refusal(plain.address, wrong)).toBe('ERR_GOSSIP_NOT_ENCRYPTED')
  await serfIsRefused(address, [], /encrypted and encryption is not configured/)
  await serfIsRefused(address, [`-encrypt=${otherKey}`], /no installed keys could decrypt/i)
  expect(kith.members().map(({ name }) => name)).toEqual(['k1'])
  expect([...(await serf.members()).keys()]).toEqual(['s1'])
}

/** A Serf that cannot join says why and ends. */
async function serfIsRefused(
  address: string,
  flags: readonly string[],
  says: RegExp,
): Promise<void> {
  const bind = `127.0.0.1:${await freePort()}`
  const rpc = `127.0.0.1:${await freePort()}`
  const stray = run('serf', [
    ...['agent', '-node=stray', `-bind=${bind}`, `-rpc-addr=${rpc}`],
    ...[`-join=${address}`, ...flags],
  ])
  try {
    await within(startMsMax, 'the Serf says why', () => stray.lines.some((line) => says.test(line)))
  } finally {
    stray.child.kill('SIGKILL')
    await stray.ended
  }
}
