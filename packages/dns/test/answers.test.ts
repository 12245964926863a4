/** Every kind of question, over real sockets. */
import type { ServiceInstance } from '@kith/interface'
import type { DecodedPacket } from 'dns-packet'
import { afterEach, describe, expect, it } from 'vitest'
import type { DnsServerOptions } from '../src/index.ts'
import { ada, instance, Zone } from './support/zone.ts'

const zones: Zone[] = []
afterEach(async () => {
  await Promise.all(zones.splice(0).map(({ server }) => server.stop()))
})

async function open(options: Partial<DnsServerOptions> = {}): Promise<Zone> {
  const zone = await Zone.start(options)
  zones.push(zone)
  zone.services = {
    web: [
      instance('w1', { tags: ['eu', 'v1.2'], meta: { zone: 'x' } }),
      instance('w2', { address: '10.0.0.2', port: 81, member: 'ben' }),
      instance('w3', { address: '2001:db8::1', port: 82 }),
      instance('w4', { address: '10.0.0.4', status: 'critical' }),
      instance('w5', { address: '10.0.0.5', status: 'warning' }),
    ],
    sick: [instance('s', { status: 'critical' })],
    far: [instance('f', { address: 'far.example.org', port: 99 })],
    Upper: [instance('u')],
  }
  return zone
}

const data = ({ answers }: DecodedPacket): unknown[] =>
  (answers ?? []).map((one) => ('data' in one ? one.data : undefined))
const codeOf = (packet: DecodedPacket): unknown => (packet as { rcode?: string }).rcode

describe('services', () => {
  it('DNS-1: A and AAAA are addresses of passing instances', async () => {
    const zone = await open({ ttlSeconds: 9 })
    const a = await zone.ask('web.service.kith', 'A')
    expect(new Set(data(a))).toEqual(new Set(['10.0.0.1', '10.0.0.2']))
    expect(a).toMatchObject({ id: 7, flag_aa: true, flag_tc: false, flag_ra: false })
    expect(a.answers?.[0]).toMatchObject({ name: 'web.service.kith', ttl: 9, class: 'IN' })
    expect(data(await zone.ask('web.service.kith', 'AAAA'))).toEqual(['2001:db8::1'])
  })

  it('DNS-1: one address of several instances is given once', async () => {
    const zone = await open()
    zone.services = { web: [instance('a'), instance('b', { port: 81 })] }
    expect(data(await zone.ask('web.service.kith', 'A'))).toEqual(['10.0.0.1'])
    expect(data(await zone.ask('web.service.kith', 'SRV'))).toHaveLength(2)
  })

  it('DNS-1: SRV has ports and names, which the additional records resolve', async () => {
    const zone = await open()
    const srv = await zone.ask('web.service.kith', 'SRV')
    const ports = data(srv) as { port: number; target: string }[]
    expect(new Set(ports.map(({ port }) => port))).toEqual(new Set([80, 81, 82]))
    const target = ports.find(({ port }) => port === 81)?.target
    expect(target).toBe('0a000002.addr.kith')
    expect(srv.additionals).toContainEqual(
      expect.objectContaining({ name: target, type: 'A', data: '10.0.0.2' }),
    )
    expect(srv.additionals).toContainEqual(
      expect.objectContaining({ type: 'AAAA', data: '2001:db8::1' }),
    )
    expect(data(await zone.ask('_web._tcp.service.kith', 'SRV'))).toHaveLength(3)
  })

  it('DNS-1: TXT describes each instance', async () => {
    const zone = await open()
    const texts = data(await zone.ask('eu.web.service.kith', 'TXT')) as Buffer[][]
    expect(texts.map((one) => one.map(String))).toEqual([
      ['id=w1', 'member=ada', 'tag=eu', 'tag=v1.2', 'zone=x'],
    ])
    zone.services = { web: [instance('a', { meta: { long: '€'.repeat(200) } })] }
    const [long] = data(await zone.ask('web.service.kith', 'TXT')) as Buffer[][]
    expect(long?.[2]?.length).toBeLessThanOrEqual(255)
    expect(String(long?.[2])).not.toContain('\uFFFD')
  })

  it('DNS-1: a tag narrows; names compare without case', async () => {
    const zone = await open()
    expect(data(await zone.ask('eu.web.service.kith', 'A'))).toEqual(['10.0.0.1'])
    const mixed = await zone.ask('EU.wEb.SERVICE.Kith', 'A')
    expect(data(mixed)).toEqual(['10.0.0.1'])
    expect(mixed.questions?.[0]?.name).toBe('EU.wEb.SERVICE.Kith')
    expect(data(await zone.ask('Upper.service.kith', 'A'))).toEqual(['10.0.0.1'])
  })

  it('DNS-1: a host name is an alias, and the target of SRV', async () => {
    const zone = await open()
    const a = await zone.ask('far.service.kith', 'A')
    expect(a.answers).toMatchObject([{ type: 'CNAME', data: 'far.example.org' }])
    const srv = await zone.ask('far.service.kith', 'SRV')
    expect(data(srv)).toMatchObject([{ port: 99, target: 'far.example.org' }])
  })

  it('DNS-1: answers for another domain, also from a registry that takes its time', async () => {
    const resolve = async (service: string): Promise<ReturnType<typeof instance>[]> =>
      service === 'web' ? [instance('late')] : []
    const zone = await open({ domain: 'corp.internal', registry: { resolve } })
    expect(data(await zone.ask('WEB.service.corp.internal', 'A'))).toEqual(['10.0.0.1'])
    expect(codeOf(await zone.ask('api.service.corp.internal', 'A'))).toBe('NXDOMAIN')
  })

  it('DNS-3: makes anew what is drawn from when the registry gives another list', async () => {
    let made = 0
    const listOf = (...addresses: readonly string[]): readonly ServiceInstance[] =>
      addresses.map((address) => ({
        ...instance(address, { tags: ['eu'] }),
        get address() {
          made += 1
          return address
        },
      }))
    let list = listOf('10.0.0.1', '2001:db8::1')
    const zone = await open({ registry: { resolve: () => list }, answersMax: 1 })
    const ask = async (name: string, type: string): Promise<unknown> =>
      data(await zone.ask(`${name}.service.kith`, type))
    // One of two may be given, and there is one of each family.
    for (let turn = 0; turn < 10; turn += 1) {
      expect(await ask('web', 'A')).toEqual(['10.0.0.1'])
      expect(await ask('web', 'AAAA')).toEqual(['2001:db8::1'])
    }
    expect(made).toBe(2 * 2)
    // Every name and every type has its own, and who mixes cases gets the name as it was written.
    expect(await ask('eu.web', 'A')).toEqual(['10.0.0.1'])
    expect((await zone.ask('WeB.service.kith', 'A')).answers?.[0]?.name).toBe('WeB.service.kith')
    expect((await zone.ask('web.service.kith', 'SRV')).answers).toHaveLength(1)
    list = listOf('10.0.0.2')
    expect(await ask('web', 'A')).toEqual(['10.0.0.2'])
    list = []
    expect(codeOf(await zone.ask('web.service.kith', 'A'))).toBe('NXDOMAIN')
  })

  it('DNS-3: gives another order each time, at most answersMax', async () => {
    const zone = await open({ answersMax: 3 })
    const many = Array.from({ length: 9 }, (_, at) =>
      instance(`${at}`, { address: `10.1.0.${at}` }),
    )
    zone.services = { web: many }
    const first = new Set<unknown>()
    for (let turn = 0; turn < 60; turn += 1) {
      const found = data(await zone.ask('web.service.kith', 'A'))
      expect(found).toHaveLength(3)
      first.add(found[0])
    }
    expect(first.size).toBe(9)
  })
})

describe('members and addresses', () => {
  it('DNS-2: a member that is alive has an address and tags', async () => {
    const zone = await open()
    zone.members = [
      ada,
      { ...ada, name: 'a.b', address: { host: '::1', port: 1 } },
      { ...ada, name: 'gone', status: 'failed' },
    ]
    expect(data(await zone.ask('ada.node.kith', 'A'))).toEqual(['192.0.2.7'])
    expect(data(await zone.ask('ADA.node.kith', 'A'))).toEqual(['192.0.2.7'])
    expect(data(await zone.ask('a.b.node.kith', 'AAAA'))).toEqual(['::1'])
    const [texts] = data(await zone.ask('ada.node.kith', 'TXT')) as Buffer[][]
    expect(texts?.map(String)).toEqual(['member=ada', 'role=web'])
    expect(codeOf(await zone.ask('gone.node.kith', 'A'))).toBe('NXDOMAIN')
  })

  it('DNS-2: digits are an address', async () => {
    const zone = await open()
    expect(data(await zone.ask('7f000001.addr.kith', 'A'))).toEqual(['127.0.0.1'])
    const six = `${'0'.repeat(31)}1.addr.kith`
    expect(data(await zone.ask(six, 'AAAA'))).toEqual(['::1'])
    expect(codeOf(await zone.ask('7f0000.addr.kith', 'A'))).toBe('NXDOMAIN')
  })
})

describe('what there is not', () => {
  it.each([
    ['nothing.service.kith', 'A', 'NXDOMAIN'],
    ['us.web.service.kith', 'A', 'NXDOMAIN'],
    ['nobody.node.kith', 'A', 'NXDOMAIN'],
    ['x.kith', 'A', 'NXDOMAIN'],
    ['sick.service.kith', 'A', 'NOERROR'],
    ['web.service.kith', 'MX', 'NOERROR'],
    ['ada.node.kith', 'AAAA', 'NOERROR'],
    ['service.kith', 'A', 'NOERROR'],
    ['kith', 'A', 'NOERROR'],
  ])('DNS-4: %s %s is %s with the SOA', async (name, type, code) => {
    const zone = await open({ ttlSeconds: 5 })
    const packet = await zone.ask(name, type)
    expect([codeOf(packet), packet.answers]).toEqual([code, []])
    expect(packet.authorities).toMatchObject([
      { type: 'SOA', name: 'kith', ttl: 5, data: { minimum: 5 } },
    ])
  })

  it('DNS-4: another zone is refused, the SOA itself is given', async () => {
    const zone = await open()
    expect(codeOf(await zone.ask('example.org', 'A'))).toBe('REFUSED')
    expect(codeOf(await zone.ask('notkith', 'A'))).toBe('REFUSED')
    const chaos = [{ name: 'web.service.kith', type: 'A' as const, class: 'CH' as const }]
    expect(codeOf(await zone.ask('', 'A', { questions: chaos }))).toBe('REFUSED')
    expect((await zone.ask('kith', 'SOA')).answers).toMatchObject([{ type: 'SOA' }])
  })
})

it('DNS-10: answers are counted by type and outcome, in places that nobody can add to', async () => {
  const zone = await open()
  zone.services = { web: [instance('1')] }
  for (const [name, type] of [
    ['web.service.kith', 'A'],
    ['web.service.kith', 'A'],
    ['web.service.kith', 'MX'],
    ['nobody.service.kith', 'A'],
    ['example.org', 'A'],
    ['web.service.kith', 'NAPTR'],
  ] as const) {
    await zone.ask(name, type)
  }
  expect(zone.server.stats().answers).toEqual({
    A: { found: 2, unknown: 1, refused: 1 },
    MX: { empty: 1 },
    other: { empty: 1 },
  })
})

describe('length and EDNS0', () => {
  const opt = (udpPayloadSize: number, ednsVersion = 0) => ({
    additionals: [{ type: 'OPT', name: '.', udpPayloadSize, ednsVersion, options: [] } as never],
  })
  async function large(): Promise<Zone> {
    const zone = await open()
    const many = Array.from({ length: 200 }, (_, at) =>
      instance(`${at}`, { address: `10.1.0.${at}`, port: 1_000 + at }),
    )
    zone.services = { web: many }
    return zone
  }

  it('DNS-5: what is over 512 bytes is truncated, and whole over TCP', async () => {
    const zone = await large()
    const short = await zone.ask('web.service.kith', 'SRV')
    expect(short.flag_tc).toBe(true)
    expect(data(short).length).toBeGreaterThan(3)
    expect(zone.server.stats().truncated).toBe(1)
    expect(zone.server.stats().answers).toEqual({ SRV: { found: 1 } })
    const whole = await zone.askTcp('web.service.kith', 'SRV')
    expect([whole.flag_tc, data(whole).length, whole.additionals?.length]).toEqual([
      false,
      200,
      200,
    ])
  })

  it('DNS-5: EDNS0 raises the bound, up to udpBytesMax', async () => {
    const zone = await large()
    const count = async (bytes: number): Promise<number> =>
      data(await zone.ask('web.service.kith', 'A', opt(bytes))).length
    const [small, middle, huge] = [await count(100), await count(800), await count(65_000)]
    expect(small).toBe(await count(512))
    expect(middle).toBeGreaterThan(small)
    expect(huge).toBe(await count(1_232))
  })

  it('DNS-5: additional records go first, without a mark', async () => {
    const zone = await open()
    const several = Array.from({ length: 6 }, (_, at) =>
      instance(`${at}`, { address: `10.1.0.${at}` }),
    )
    zone.services = { web: several }
    const srv = await zone.ask('web.service.kith', 'SRV')
    expect([srv.flag_tc, data(srv).length, srv.additionals]).toEqual([false, 6, []])
  })

  it('DNS-6: OPT is answered with OPT, a later version with BADVERS', async () => {
    const zone = await open()
    const known = await zone.ask('web.service.kith', 'A', opt(1_232))
    expect(known.additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1_232 }])
    const later = await zone.ask('web.service.kith', 'A', opt(1_232, 1))
    expect(later.additionals).toMatchObject([{ type: 'OPT', extendedRcode: 1 }])
    expect(later.answers).toEqual([])
  })

  it('DNS-6: ANY gets a word, other operations NOTIMP', async () => {
    const zone = await open()
    const any = await zone.ask('web.service.kith', 'ANY')
    expect(any.answers).toMatchObject([{ type: 'HINFO', data: { cpu: 'RFC8482' } }])
    const update = await zone.ask('web.service.kith', 'A', { flags: 5 << 11 })
    expect([codeOf(update), (update as { opcode?: string }).opcode]).toEqual(['NOTIMP', 'UPDATE'])
  })
})
