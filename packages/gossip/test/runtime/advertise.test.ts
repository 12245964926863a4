// Own addresses: given, found out, changed while the member runs.
import type { Address } from '@kith/interface'
import { createVirtualClock } from '@kith/sim'
import { describe, expect, it } from 'vitest'
import type { Gossip, GossipWarning } from '../../src/index.ts'
import { findHost } from '../../src/runtime/interfaces.ts'
import { lookAfterAddress, lookMs } from '../../src/runtime/own-address.ts'
import { alive, at, cluster, createPlace, stopAll, text } from './support.ts'

const wildcard: Address = { host: '0.0.0.0', port: 7946 }

describe('a member that is told it has another address', () => {
  it('GOS-210 refuses what is no address, and when it does not run', async () => {
    const place = createPlace()
    const member = place.gossip(1)
    await expect(member.setAdvertise(at(2))).rejects.toMatchObject({
      code: 'ERR_GOSSIP_NOT_RUNNING',
    })
    await place.until(member.start())
    const unfit: readonly [unknown, string][] = [
      [{ host: '0.0.0.0', port: 1 }, 'advertise.host'],
      [{ host: 'web.internal', port: 1 }, 'advertise.host'],
      [{ host: '10.0.0.2', port: 65_536 }, 'advertise.port'],
      [{ host: '10.0.0.2' }, 'advertise.port'],
      [undefined, 'advertise'],
      ['auto', 'advertise'],
      [null, 'advertise'],
      ['10.0.0.2:1', 'advertise'],
    ]
    for (const [address, field] of unfit) {
      await expect(member.setAdvertise(address as Address)).rejects.toMatchObject({
        code: 'ERR_GOSSIP_OPTIONS',
        details: { problems: [{ field }] },
      })
    }
    expect(member.address).toEqual(at(1))
    await place.until(member.leave())
    await expect(member.setAdvertise(at(2))).rejects.toMatchObject({ code: 'ERR_GOSSIP_LEFT' })
    await stopAll(place, [member])
  })

  it('GOS-210 GOS-211 all others have it there, by an update and nothing else', async () => {
    const place = createPlace()
    const members = await cluster(place, 4)
    const [first, second] = members
    if (!first || !second) throw new Error('four members')
    const heard: string[] = []
    for (const kind of ['join', 'leave', 'fail', 'update'] as const) {
      second.on(kind, ({ member }) => void heard.push(`${kind} ${member.name}`))
    }
    // Only told: the network still has it where it was, so that it must not be asked for long.
    await place.until(first.setAdvertise({ host: '10.0.0.99', port: 0 }))
    expect([first.address, first.self.address]).toEqual([at(99), at(99)])
    await place.eventually(() => members.every((one) => where(one, 'm1') === text(99)), 3_000)
    expect(heard).toEqual(['update m1'])
    await place.until(first.setAdvertise(at(1)))
    await place.eventually(() => members.every((one) => where(one, 'm1') === text(1)), 3_000)
    await place.advance(30_000)
    expect(members.map(alive)).toEqual([4, 4, 4, 4])
    expect(heard.filter((line) => line !== 'update m1')).toEqual([])
    expect(members.map((one) => one.stats().counters['conflicts'] ?? 0)).toEqual([0, 0, 0, 0])
    await stopAll(place, members)
  })
})

function where(member: Gossip, name: string): string {
  const { host, port } = member.member(name)?.address ?? { host: '', port: 0 }
  return `${host}:${port}`
}

describe('an address that is found out', () => {
  it.each([
    [['10.0.0.7'], '0.0.0.0', '10.0.0.7'],
    [['203.0.113.9', '192.168.3.4', '10.0.0.7'], '0.0.0.0', '192.168.3.4'],
    [['203.0.113.9', 'fd00::1'], '0.0.0.0', '203.0.113.9'],
    [['203.0.113.9', '2001:db8::1', 'fd00::1'], '::', 'fd00::1'],
    [['172.32.0.1', '172.31.0.1'], '0.0.0.0', '172.31.0.1'],
    [['169.254.3.4', 'fe80::1', '127.0.0.1', '::1'], '0.0.0.0', undefined],
    [['169.254.3.4', 'fe80::1', '10.0.0.1'], '::', undefined],
    [[], '0.0.0.0', undefined],
  ])('GOS-213 of %j for %s it is %s', (hosts, bound, host) => {
    expect(findHost(() => hosts, bound)).toBe(host)
  })

  it('GOS-213 is one of this machine, or the start is refused; and what is bound otherwise', async () => {
    const place = createPlace()
    const { network } = place
    const transports = {
      packets: network.packetTransport(wildcard),
      streams: network.streamTransport(wildcard),
    }
    const member = place.gossip(1, { ...transports, advertise: 'auto' })
    const started = await place.until(
      member.start().then(
        () => member.address.host,
        (cause: unknown) => String(cause),
      ),
    )
    expect(started).toMatch(/^\d+\.\d+\.\d+\.\d+$|advertise must be given where no interface/)
    expect(started).not.toMatch(/^(0|127|169\.254)\./)
    await stopAll(place, [member])
    const bound = place.gossip(2, { advertise: 'auto' })
    await place.until(bound.start())
    expect(bound.address).toEqual(at(2))
    await stopAll(place, [bound])
  })

  it('GOS-213 is looked after, told when it changes, and only then', async () => {
    const clock = createVirtualClock()
    let hosts = ['10.0.0.1']
    let advertised = at(1)
    const moves: Address[] = []
    const warnings: GossipWarning[] = []
    const end = lookAfterAddress({
      clock,
      hosts: () => hosts,
      wildcard: '0.0.0.0',
      advertised: () => advertised,
      move(to) {
        moves.push(to)
        advertised = to
      },
      warn: (warning) => void warnings.push(warning),
    })
    const pass = (looks: number): void => clock.advanceBy(looks * lookMs)
    hosts = ['10.0.0.0', '10.0.0.1']
    pass(3)
    expect([moves, warnings]).toEqual([[], []])
    hosts = ['10.0.0.5', '10.0.0.4']
    pass(3)
    expect(moves).toEqual([at(5)])
    expect(warnings).toEqual([{ kind: 'addressChanged', from: at(1), to: at(5) }])
    hosts = ['fe80::1']
    pass(3)
    expect(warnings.slice(1)).toEqual([{ kind: 'addressLost', address: at(5) }])
    hosts = ['10.0.0.5']
    pass(1)
    hosts = []
    pass(2)
    expect(warnings.map(({ kind }) => kind).slice(2)).toEqual(['addressLost'])
    hosts = ['10.0.0.6']
    pass(1)
    expect(moves).toEqual([at(5), at(6)])
    end()
    hosts = []
    pass(5)
    expect(warnings).toHaveLength(4)
  })
})
