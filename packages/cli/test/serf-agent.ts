/** An agent behind Serf's RPC that says what a test wants, and remembers what it was asked. */
import {
  createSerfRpcServer,
  type SerfMember,
  type SerfQueryAnswer,
  type SerfRpcHost,
} from '@kith/serf-rpc'

export interface SerfAgent extends AsyncDisposable {
  readonly address: string
  readonly asked: (readonly unknown[])[]
  readonly host: SerfRpcHost
}

export function serfMember(name: string, more: Partial<SerfMember> = {}): SerfMember {
  return {
    name,
    address: { host: '127.0.0.1', port: 7946 },
    tags: {},
    status: 'alive',
    protocol: { min: 1, max: 5, current: 2 },
    delegate: { min: 2, max: 5, current: 5 },
    ...more,
  }
}

const members = [
  serfMember('ada', { tags: { role: 'web' } }),
  serfMember('b\u001b[2Jn', { address: { host: '::1', port: 1 }, status: 'failed' }),
]
const place = { error: 1, adjustment: 0, height: 0.001 }

export async function serfAgent(
  changes: Partial<SerfRpcHost> = {},
  authKey?: string,
): Promise<SerfAgent> {
  const asked: (readonly unknown[])[] = []
  const remember = (...call: unknown[]): Promise<void> => {
    asked.push(call)
    return Promise.resolve()
  }
  const host: SerfRpcHost = {
    members: () => members,
    compile: (expression) => (text) => new RegExp(expression).test(text),
    event: (name, payload, options) => remember('event', name, decode(payload), options),
    join: (addresses, options) => remember('join', addresses, options).then(() => addresses.length),
    leave: () => remember('leave'),
    shutdown: () => {},
    forceLeave: (name, options) => remember('forceLeave', name, options),
    setTags: (change) => remember('setTags', change),
    query: (query) => remember('query', query).then(() => answers([])),
    keys: (command, key) =>
      remember('keys', command, key).then(() => ({
        keys: { 'AAAA/w==': 2 },
        messages: {},
        errors: 0,
        members: 2,
        responses: 2,
      })),
    stats: () => ({ serf: { members: '2', failed: '1' }, agent: { name: 'ada' } }),
    coordinate: (name) => {
      const at = { ada: 0, ben: 0.01 }[name]
      return at === undefined ? undefined : { ...place, vector: [at] }
    },
    subscribe: () => () => {},
    logs: { history: () => [], subscribe: () => () => {} },
    ...changes,
  }
  const server = createSerfRpcServer({
    host,
    limits: { doneDelayMs: 1 },
    ...(authKey === undefined ? {} : { authKey }),
  })
  await server.start()
  const { host: ip, port } = server.address ?? { host: '', port: 0 }
  return {
    address: `${ip}:${port}`,
    asked,
    host,
    [Symbol.asyncDispose]: () => server.stop(),
  }
}

export async function* answers(
  given: readonly (readonly [SerfQueryAnswer['kind'], string, string])[],
): AsyncGenerator<SerfQueryAnswer> {
  for (const [kind, from, text] of given) {
    yield { kind, from, payload: new TextEncoder().encode(text) }
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
