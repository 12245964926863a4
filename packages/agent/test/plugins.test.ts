/** What plugins may add to an agent, and how long it stays. */
import { formatAddress, type LogStoreFactory } from '@kith/interface'
import { memoryStore } from '@kith/log'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { afterEach, describe, expect, it } from 'vitest'
import {
  type Agent,
  type AgentContext,
  type AgentOptions,
  type AgentPlugin,
  createAgent,
  type PluginRoute,
} from '../src/index.ts'

const agents: Agent[] = []
afterEach(async () => {
  // One after the other: two that leave at once wait for each other to hear it.
  for (const each of agents.splice(0).toReversed()) await each.stop()
})

function agent(options: AgentOptions): Agent {
  const made = createAgent({ profile: 'local', ...options })
  agents.push(made)
  return made
}

const hello: PluginRoute = {
  method: 'GET',
  path: '/hello',
  role: 'read',
  handle: () => ({ text: 'hello' }),
}

async function ask(of: Agent, path: string): Promise<[number, string]> {
  const answer = await fetch(`http://${formatAddress(of.httpAddress)}${path}`)
  return [answer.status, await answer.text()]
}

function problemsOf(plugins: readonly unknown[], more: AgentOptions = {}): string {
  try {
    createAgent({ ...more, plugins: plugins as AgentPlugin[] })
  } catch (cause) {
    return (cause as Error).message
  }
  return 'nothing is wrong'
}

describe('routes of a plugin', () => {
  it('answer from its setup on, below its name, until it stops', async () => {
    let context: AgentContext | undefined
    let url = ''
    const during: number[] = []
    const plugin: AgentPlugin = {
      name: 'greeter',
      setup(given) {
        context = given
        expect(given.http.prefix).toBe('/v1/plugins/greeter')
        const { route } = given.http
        const remove = route({ ...hello, path: '/soon/gone' })
        remove()
        route(hello)
        // Its routes are gone, the interface is not.
        return async () => {
          for (const path of ['/v1/plugins/greeter/hello', '/livez']) {
            during.push((await fetch(url + path)).status)
          }
        }
      },
    }
    const a = agent({ plugins: [plugin] })
    await a.start()
    url = `http://${formatAddress(a.httpAddress)}`
    expect(await ask(a, '/v1/plugins/greeter/hello')).toEqual([200, 'hello'])
    expect((await ask(a, '/v1/plugins/greeter/soon/gone'))[0]).toBe(404)
    await a.stop()
    expect(during).toEqual([404, 200])
    expect(() => context?.http.route(hello)).toThrow(
      expect.objectContaining({
        code: 'ERR_AGENT_STATE',
        message: 'the plugin greeter has stopped: it has no more routes',
      }),
    )
  })

  it('are refused with both names where another plugin of that name has some', async () => {
    const setup = ({ http }: AgentContext): void => void http.route(hello)
    const a = agent({
      plugins: [
        { name: 'same', setup },
        { name: 'same', setup() {} },
      ],
    })
    await a.start()
    const b = agent({
      plugins: [
        { name: 'same', setup },
        { name: 'same', setup },
      ],
    })
    await expect(b.start()).rejects.toMatchObject({
      code: 'ERR_AGENT_PLUGIN',
      message: expect.stringContaining('plugins[1] and plugins[0] are both named same') as string,
    })
  })

  it('fail the start where they are not right, and nothing stays open', async () => {
    const setup = ({ http }: AgentContext): void => {
      http.route(hello)
      http.route({ ...hello, path: '/open', role: undefined } as never)
    }
    const a = agent({ http: '127.0.0.1:0', plugins: [{ name: 'open', setup }] })
    await expect(a.start()).rejects.toMatchObject({
      code: 'ERR_AGENT_PLUGIN',
      message: expect.stringMatching(/^the plugin open failed to set up: role must be/) as string,
      cause: { code: 'ERR_SERVER_ROUTE' },
    })
    const b = agent({ plugins: [{ name: 'a b', setup: ({ http }) => void http.route(hello) }] })
    await expect(b.start()).rejects.toThrow(/plugin must be 1 to 64 of/)
  })
})

describe('what a plugin adds before the parts run', () => {
  const kind = (name: string) => ({
    kind: name,
    parse: () => ({}),
    run: async () => ({ status: 'passing' as const, output: `said by ${name}` }),
  })

  it('kinds of checks, also for the services of the start', async () => {
    const services = [{ service: 'web', port: 80, checks: [{ kind: 'moon' }] }]
    const a = agent({ services, plugins: [{ name: 'sky', checkKinds: [kind('moon')] }] })
    await a.start()
    for await (const [web] of a.registry.watch('web')) {
      if (web === undefined) continue
      expect(web.checks[0]?.output).toBe('said by moon')
      break
    }
  })

  it('ways to find the others', async () => {
    const a = agent({})
    await a.start()
    const seed = formatAddress(a.gossip.address)
    const discovery = () => ({
      name: 'told',
      start: async () => {},
      find: async () => [seed],
      stop: async () => {},
      [Symbol.asyncDispose]: async () => {},
    })
    const b = agent({ name: 'b', plugins: [{ name: 'finder', discovery: [discovery] }] })
    const joined = new Promise((resolve) => a.gossip.on('join', resolve))
    await b.start()
    expect(await joined).toMatchObject({ member: { name: 'b' } })
  })

  it('transports, and a store of the log, each with what it is given', async () => {
    const given: unknown[] = []
    class Carrier implements AgentPlugin {
      readonly name = 'carrier'
      readonly #made: string[] = []
      // Methods that need their `this`.
      transports(bind: { readonly host: string; readonly port: number }) {
        given.push(bind)
        this.#made.push('transports')
        return { packets: udpTransport({ ...bind }), streams: tcpTransport({ ...bind }) }
      }
      logStore(data: string | undefined): LogStoreFactory {
        given.push(data)
        this.#made.push('logStore')
        return memoryStore()
      }
    }
    const a = agent({ plugins: [new Carrier()] })
    await a.start()
    const b = agent({ name: 'b', join: [formatAddress(a.gossip.address)] })
    await b.start()
    await a.log.append({ value: Buffer.from('x') })
    for await (const { value } of b.log.tail()) {
      expect(Buffer.from(value).toString()).toBe('x')
      break
    }
    expect(given).toEqual([undefined, { host: '127.0.0.1', port: 0 }])
    const [, metrics] = await ask(a, '/metrics')
    expect(metrics).not.toMatch(/^kith_transport_packets_total\{/m)
  })

  it('names the plugin where it cannot make what it adds', async () => {
    const logStore = (): never => {
      throw new Error('no disk')
    }
    await expect(agent({ plugins: [{ name: 'keeper', logStore }] }).start()).rejects.toMatchObject({
      code: 'ERR_AGENT_PLUGIN',
      message: 'the plugin keeper failed to make its logStore: no disk',
      details: { plugin: 'keeper' },
    })
  })

  it.each<[string, readonly unknown[], AgentOptions, string]>([
    ['nothing', [{ name: 'x' }], {}, 'plugins[0] must be { name, and at least one of'],
    ['no function', [{ name: 'x', setup: 'y' }], {}, 'plugins[0].setup must be a function'],
    ['no transports', [{ name: 'x', transports: {} }], {}, 'plugins[0].transports must be a func'],
    ['no store', [{ name: 'x', logStore: {} }], {}, 'plugins[0].logStore must be a function'],
    ['no list of kinds', [{ name: 'x', checkKinds: kind('a') }], {}, 'plugins[0].checkKinds must'],
    ['no kind', [{ name: 'x', checkKinds: [{}] }], {}, 'plugins[0].checkKinds[0] must be { kind'],
    ['no discovery', [{ name: 'x', discovery: ['dns:a'] }], {}, 'plugins[0].discovery must be'],
    [
      'a kind of the registry',
      [{ name: 'x', checkKinds: [kind('tcp')] }],
      {},
      'of a name that the registry has not, got "tcp" of the plugin x',
    ],
    [
      'a kind of the option',
      [{ name: 'x', checkKinds: [kind('a')] }],
      { checkKinds: [kind('a')] },
      'of a name that the option checkKinds has not',
    ],
    [
      'a kind of another plugin',
      [
        { name: 'x', checkKinds: [kind('a')] },
        { name: 'y', checkKinds: [kind('b'), kind('a')] },
      ],
      {},
      'plugins[1].checkKinds[1] must be of a name that the plugin x has not, got "a" of the plugin y',
    ],
    [
      'two stores',
      [
        { name: 'x', logStore: () => memoryStore() },
        { name: 'y', logStore: () => memoryStore() },
      ],
      {},
      'plugins[1].logStore must be given by one plugin at most, got those of "x" and "y"',
    ],
  ])('refuses %s', (_what, plugins, more, said) => {
    expect(problemsOf(plugins, more)).toContain(said)
  })
})
