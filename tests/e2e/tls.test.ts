/** Members whose streams are encrypted: they find each other, and a plain one stays outside. */
import { readFileSync } from 'node:fs'
import { createGossip } from '@kith/gossip'
import type { Gossip } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import type { TcpTlsOptions, TcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { afterEach, describe, expect, it } from 'vitest'

const fixtures = new URL('../../packages/transport-tcp/test/fixtures/', import.meta.url)
const pem = (name: string): string => readFileSync(new URL(name, fixtures), 'utf8')
const cert = pem('member-cert.pem')
const tls: TcpTlsOptions = { key: pem('member-key.pem'), cert, ca: cert }

const open: Gossip[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((member) => member.stop()))
})

async function start(name: string, options: { tls?: TcpTlsOptions } = {}) {
  const makeStreams = tcpTransport(options)
  let streams: TcpTransport | undefined
  const member = createGossip({
    name,
    profile: 'local',
    packets: udpTransport(),
    streams: (context) => (streams = makeStreams(context)),
  })
  open.push(member)
  await member.start()
  return { member, stats: () => streams?.stats() }
}

const namesOf = (member: Gossip): string[] => member.members().map(({ name }) => name)

describe('gossip with TLS', () => {
  it('joins, exchanges state and answers fetches over encrypted streams', async () => {
    const [a, b] = [await start('ada', { tls }), await start('ben', { tls })]
    a.member.extend('echo', { onFetch: (request) => request.toReversed() })
    expect(await b.member.join([formatAddress(a.member.address)])).toBe(1)
    expect([namesOf(a.member), namesOf(b.member)]).toEqual([
      ['ada', 'ben'],
      ['ada', 'ben'],
    ])
    const answer = await b.member.fetch('ada', 'echo', Uint8Array.of(1, 2, 3))
    expect([...answer]).toEqual([3, 2, 1])
    expect(a.stats()).toMatchObject({ handshakesFailed: 0, handlerErrors: 0 })
  })

  it('lets nobody in who does not speak it', async () => {
    const [a, b] = [await start('ada', { tls }), await start('ben')]
    const joining = b.member.join([formatAddress(a.member.address)])
    await expect(joining).rejects.toMatchObject({ code: 'ERR_GOSSIP_JOIN_FAILED' })
    expect(namesOf(a.member)).toEqual(['ada'])
    expect(a.stats()).toMatchObject({ handshakesFailed: 1 })
  })
})
