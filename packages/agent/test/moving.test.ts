/** A member that is reached at another address while it runs, and what the others make of it. */
import { formatAddress, type Member, type MemberEvent } from '@kith/interface'
import { afterEach, describe, expect, it } from 'vitest'
import { type Agent, type AgentOptions, createAgent } from '../src/index.ts'

const agents: Agent[] = []

async function start(options: AgentOptions): Promise<Agent> {
  const agent = createAgent({ profile: 'local', insecurePlaintext: true, ...options })
  agents.push(agent)
  await agent.start()
  return agent
}

afterEach(async () => {
  for (const each of agents.splice(0).toReversed()) await each.stop()
})

/** Resolves with what `at` has `name` as, once that fits. */
function shown(at: Agent, name: string, fits: (member: Member) => boolean): Promise<Member> {
  return new Promise((resolve) => {
    const look = ({ member }: Pick<MemberEvent, 'member'>): void => {
      if (member.name !== name || !fits(member)) return
      unsubscribe()
      resolve(member)
    }
    const unsubscribe = at.gossip.subscribe({ memberChanged: look })
    const known = at.gossip.member(name)
    if (known !== undefined) look({ member: known })
  })
}

const everywhere = '0.0.0.0:0'
const here = '127.0.0.1'
const elsewhere = '127.0.0.2'

describe('a member that is told of another address of its own', { timeout: 60_000 }, () => {
  it('is asked for records, services and members there', async () => {
    const services = [{ service: 'web', port: 80 }]
    const places = { bind: everywhere, http: everywhere, advertise: `${here}:0` }
    const a = await start({ name: 'a', ...places, services, tags: { role: 'db' } })
    const b = await start({ name: 'b', join: [formatAddress(a.gossip.address)] })
    const at = (host: string): string => formatAddress({ host, port: a.httpAddress.port })
    const fits = (host: string) => (member: Member) =>
      member.address.host === host && member.tags['kith.http'] === at(host)
    await shown(b, 'a', fits(here))
    const dialled: string[] = []
    b.replicator.on('memberConnected', ({ member }) => dialled.push(member))
    await a.reload({ tags: { role: 'web' } })
    await a.gossip.setAdvertise({ host: elsewhere, port: 0 })
    const { tags } = await shown(b, 'a', fits(elsewhere))
    expect(tags['role']).toBe('web')
    for await (const [web] of b.registry.watch('web')) if (web?.address === elsewhere) break
    await a.log.append({ value: new Uint8Array([1]) })
    for await (const { origin } of b.log.tail({ from: 0 })) {
      expect(origin).toBeDefined()
      break
    }
    expect(dialled).toContain('a')
    const status = await fetch(`http://${at(elsewhere)}/v1/status`)
    expect(await status.json()).toMatchObject({ gossip: { host: elsewhere } })
    // A reload leaves the place alone.
    await a.reload({ tags: { role: 'cache' } })
    await shown(b, 'a', (member) => member.tags['role'] === 'cache' && fits(elsewhere)(member))
  })

  it('says nothing of HTTP that others could not reach there, and says what was given', async () => {
    const a = await start({ name: 'a', bind: everywhere, advertise: `${here}:0` })
    expect(a.gossip.self.tags['kith.http']).toBe(formatAddress(a.httpAddress))
    const outside = { host: '10.1.2.3', port: 7946 }
    await a.gossip.setAdvertise(outside)
    await shown(a, 'a', ({ tags }) => tags['kith.http'] === undefined)
    await a.gossip.setAdvertise({ host: here, port: 0 })
    await shown(a, 'a', ({ tags }) => tags['kith.http'] === formatAddress(a.httpAddress))
    const given = { httpAdvertise: '10.9.9.9:80', http: everywhere }
    const b = await start({ name: 'b', bind: everywhere, advertise: `${here}:0`, ...given })
    await b.gossip.setAdvertise(outside)
    expect(b.gossip.self.tags['kith.http']).toBe('10.9.9.9:80')
  })
})
