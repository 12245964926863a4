/** Debian's dig asks an agent with the DNS plugin, every kind of record, on UDP and TCP. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Agent, createAgent } from '@kith/agent'
import { dnsPlugin } from '@kith/dns'
import type { Address } from '@kith/interface'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/requirements.ts'

const run = promisify(execFile)
let agent: Agent
let server: Address = { host: '', port: 0 }
const dns = dnsPlugin({ ttlSeconds: 7, onListening: (address) => (server = address) })

async function dig(...args: readonly string[]): Promise<string> {
  const { host, port } = server
  const { stdout } = await run('dig', [`@${host}`, '-p', String(port), '+tries=3', ...args])
  return stdout
}

/** Only the data, a line each, in order. */
async function short(...args: readonly string[]): Promise<readonly string[]> {
  return (await dig('+short', ...args)).trim().split('\n').sort()
}

const need = needs('dig')
describe.skipIf(need.missing)(`dig ${need.reason}`, () => {
  beforeAll(async () => {
    agent = createAgent({ name: 'ada', tags: { role: 'db' }, plugins: [dns] })
    await agent.start()
    const { registry } = agent
    const sick = [{ kind: 'ttl', intervalMs: 60_000 }]
    await registry.register({
      service: 'web',
      id: 'w1',
      port: 81,
      address: '10.0.0.1',
      tags: ['eu'],
    })
    await registry.register({ service: 'web', id: 'w2', port: 82, address: '10.0.0.2' })
    await registry.register({ service: 'web', id: 'w3', port: 83, address: '2001:db8::3' })
    await registry.register({
      service: 'web',
      id: 'w4',
      port: 84,
      address: '10.0.0.4',
      checks: sick,
    })
    for (let at = 0; at < 60; at += 1) {
      await registry.register({ service: 'many', id: `n${at}`, port: 9_000 + at })
    }
  })
  afterAll(() => agent?.stop())

  it('DNS-1: A, AAAA, SRV and TXT of a service, passing instances only', async () => {
    expect(await short('web.service.kith', 'A')).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(await short('web.service.kith', 'AAAA')).toEqual(['2001:db8::3'])
    expect(await short('web.service.kith', 'SRV')).toEqual([
      '1 1 81 0a000001.addr.kith.',
      '1 1 82 0a000002.addr.kith.',
      '1 1 83 20010db8000000000000000000000003.addr.kith.',
    ])
    expect(await short('eu.web.service.kith', 'TXT')).toEqual(['"id=w1" "member=ada" "tag=eu"'])
    expect(await short('_web._tcp.service.kith', 'SRV')).toHaveLength(3)
    const full = await dig('web.service.kith', 'SRV')
    expect(full).toMatch(/status: NOERROR/)
    expect(full).toMatch(/flags: qr aa rd; QUERY: 1, ANSWER: 3, AUTHORITY: 0, ADDITIONAL: 4/)
    expect(full).toMatch(/0a000001\.addr\.kith\.\s+7\s+IN\s+A\s+10\.0\.0\.1/)
  })

  it('DNS-2: a member by name, and an address by its digits', async () => {
    expect(await short('ada.node.kith', 'A')).toEqual(['127.0.0.1'])
    expect((await short('ada.node.kith', 'TXT'))[0]).toContain('"role=db"')
    expect(await short('0a000001.addr.kith', 'A')).toEqual(['10.0.0.1'])
    expect(await short('20010db8000000000000000000000003.addr.kith', 'AAAA')).toEqual([
      '2001:db8::3',
    ])
  })

  it('DNS-4: NXDOMAIN and empty answers with the SOA, other zones refused', async () => {
    const nothing = await dig('nothing.service.kith', 'A')
    expect(nothing).toMatch(/status: NXDOMAIN/)
    expect(nothing).toMatch(/kith\.\s+7\s+IN\s+SOA\s+ns\.kith\. hostmaster\.kith\. .* 7\n/)
    const empty = await dig('web.service.kith', 'MX')
    expect(empty).toMatch(/status: NOERROR/)
    expect(empty).toMatch(/ANSWER: 0, AUTHORITY: 1/)
    expect(await short('kith', 'SOA')).toEqual(['ns.kith. hostmaster.kith. 1 3600 600 86400 7'])
    expect(await dig('example.org', 'A')).toMatch(/status: REFUSED/)
  })

  it('DNS-5: what is too long is truncated, and dig gets it by TCP', async () => {
    const cut = await dig('+noedns', '+ignore', 'many.service.kith', 'SRV')
    expect(cut).toMatch(/flags: qr aa tc rd/)
    expect(cut).toMatch(/MSG SIZE {2}rcvd: (?:[1-4]?\d?\d|50\d|51[0-2])\n/)
    const whole = await dig('+noedns', 'many.service.kith', 'SRV')
    expect(whole).toMatch(/Truncated, retrying in TCP mode/)
    expect(whole).toMatch(/ANSWER: 60,/)
    expect(await short('+tcp', 'many.service.kith', 'SRV')).toHaveLength(60)
  })

  it('DNS-6: EDNS0 is spoken, its later versions are not', async () => {
    expect(await dig('web.service.kith', 'A')).toMatch(/EDNS: version: 0, flags:; udp: 1232/)
    const later = await dig('+edns=1', '+noednsneg', 'web.service.kith', 'A')
    expect(later).toMatch(/status: BADVERS/)
    expect(await short('web.service.kith', 'ANY')).toEqual(['"RFC8482" ""'])
    expect(await dig('+opcode=UPDATE', 'web.service.kith', 'A')).toMatch(/status: NOTIMP/)
  })
})
