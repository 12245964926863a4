/** The real command on a machine that gets another address while it runs. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { createNetwork, type Network } from '../serf-interop/support/network.ts'
import { needs } from '../support/requirements.ts'
import { type AgentProcess, killAll, startAgentIn } from './process.ts'

const execute = promisify(execFile)
const networks: Network[] = []
const { missing, reason } = needs('root', 'iproute2')

afterEach(async () => {
  await killAll()
  await Promise.all(networks.splice(0).map((network) => network.remove()))
})

function start(
  network: Network,
  node: string,
  ...others: readonly string[]
): Promise<AgentProcess> {
  const places = ['--bind', '0.0.0.0:7946', '--http', '0.0.0.0:7947', '--advertise', 'auto']
  const open = [...places, '--insecure-plaintext', '--no-rpc', '--profile', 'lan']
  return startAgentIn({ before: network.within(node) }, '--node', node, ...open, ...others)
}

/** Runs a script in a place that asks the agent there: one process, since each takes a while. */
async function run(network: Network, place: string, script: string): Promise<void> {
  const [command, ...words] = [...network.within(place), process.execPath]
  const module = ['--input-type=module', '-e', `const at = 'http://127.0.0.1:7947/v1'\n${script}`]
  await execute(command, [...words, ...module])
}

/** Asks until the answer has that in it; the test's own time is the bound. */
const until = (path: string, text: string): string => `
  while (!(await (await fetch(at + '${path}')).text()).includes('${text}'))
    await new Promise((resolve) => setTimeout(resolve, 50))`

const append = `
  const headers = { 'content-type': 'application/x-ndjson' }
  const body = '{"value":"moved"}'
  const { ok } = await fetch(at + '/log/records', { method: 'POST', headers, body })
  if (!ok) process.exitCode = 1`

describe.skipIf(missing)(`--advertise auto ${reason}`, () => {
  it(
    'takes the member, its HTTP and its services to where it is',
    { timeout: 60_000 },
    async () => {
      const network = await createNetwork(['k1', 'k2'])
      networks.push(network)
      await start(network, 'k1', '--service', 'web:8080')
      const k2 = await start(network, 'k2', '--join', `${network.address('k1')}:7946`)
      const shows = (host: string) =>
        k2.line(({ member }) => {
          const { name, addr, tags } = (member ?? {}) as Partial<Record<string, unknown>> & {
            readonly tags?: Readonly<Record<string, string>>
          }
          return name === 'k1' && addr === host && tags?.['kith.http'] === `${host}:7947`
        })
      await shows(network.address('k1'))
      const to = '10.77.0.101'
      await network.readdress('k1', to)
      await shows(to)
      // Nobody can be asked for records at the former address any more.
      await run(network, 'k1', append)
      const follows = [until('/services/web', `"address":"${to}"`), until('/log/records', 'moved')]
      await run(network, 'k2', follows.join('\n'))
      expect(k2.lines.filter(({ event }) => event === 'member-failed')).toEqual([])
    },
  )
})
