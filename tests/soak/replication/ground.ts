/**
 * Where the members live: on loopback, or each in a network namespace of its own on one bridge,
 * where a firewall can drop what one of them sends to another.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { createNetwork } from '../../serf-interop/support/network.ts'
import { freePort } from '../../support/ports.ts'
import type { Cut } from './plan.ts'

const execute = promisify(execFile)

export interface Place {
  readonly name: string
  /** `host:port`. */
  readonly gossip: string
  readonly http: string
  /** What stands before a command that is to run there. */
  readonly within: readonly string[]
}

export interface Ground {
  readonly places: readonly Place[]
  /** Undefined where nothing can be dropped. */
  readonly firewall: Firewall | undefined
}

export interface Firewall {
  /** Drops what goes from one to the other until the returned function is called. */
  cut(cuts: readonly Cut[]): Promise<() => Promise<void>>
  /** Packets dropped so far. */
  dropped(): Promise<number>
}

const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `p${at + 1}`)

export async function loopbackGround(count: number): Promise<Ground> {
  const places: Place[] = []
  for (const name of names(count)) {
    const [gossip, http] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`]
    places.push({ name, gossip, http, within: [] })
  }
  return { places, firewall: undefined }
}

const hub = 'hub'
const hubAddress = '10.77.0.254/24'
const handOver = 'KITH_SOAK_PLACES'

/**
 * Makes the namespaces, runs this very program once more in the one of the bridge, from where all
 * members are reached whatever is cut between them, and removes everything after it.
 */
export async function runWithinNetwork(count: number): Promise<number> {
  const network = await createNetwork(names(count))
  try {
    const within = network.within(hub)
    const [ip = '', ...inside] = within
    await execute(ip, [...inside, 'ip', 'address', 'add', hubAddress, 'dev', 'br0'])
    const places = names(count).map((name): Place => {
      const address = network.address(name)
      const [gossip, http] = [`${address}:7946`, `${address}:7947`]
      return { name, gossip, http, within: network.within(name) }
    })
    for (const place of places) await prepareFirewall(place)
    const args = [...inside, process.execPath, ...process.execArgv, ...process.argv.slice(1)]
    const env = { ...process.env, [handOver]: JSON.stringify(places) }
    const child = spawn(ip, args, { stdio: 'inherit', env, detached: true })
    const passOn = (signal: NodeJS.Signals): void => void child.kill(signal)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, passOn)
    const [code] = (await once(child, 'exit')) as [number | null]
    return code ?? 1
  } finally {
    await network.remove()
  }
}

/** The ground of a program that `runWithinNetwork` started; undefined for any other. */
export function networkGround(): Ground | undefined {
  const given = process.env[handOver]
  if (given === undefined) return undefined
  const places = JSON.parse(given) as Place[]
  return { places, firewall: new NetworkFirewall(places) }
}

async function run(place: Place, words: readonly string[], input?: string): Promise<string> {
  const [command = '', ...args] = [...place.within, ...words]
  const running = execute(command, args)
  running.child.stdin?.end(input ?? '')
  return (await running).stdout
}

const table = 'inet soak'

async function prepareFirewall(place: Place): Promise<void> {
  const rules = `
    table ${table} {
      set cut { type ipv4_addr; }
      chain in { type filter hook input priority 0; ip saddr @cut counter drop; }
    }`
  await run(place, ['nft', '-f', '-'], rules)
}

class NetworkFirewall implements Firewall {
  readonly #places: readonly Place[]
  readonly #cuts = new Set<readonly Cut[]>()
  /** One change after another: each writes the whole of what is cut. */
  #changed: Promise<void> = Promise.resolve()

  constructor(places: readonly Place[]) {
    this.#places = places
  }

  async cut(cuts: readonly Cut[]): Promise<() => Promise<void>> {
    this.#cuts.add(cuts)
    await this.#apply()
    return async () => {
      this.#cuts.delete(cuts)
      await this.#apply()
    }
  }

  #apply(): Promise<void> {
    this.#changed = this.#changed.then(async () => {
      const all = [...this.#cuts].flat()
      await Promise.all(
        this.#places.map((place, at) => {
          const from = new Set(all.filter(([, to]) => to === at).map(([a]) => this.#address(a)))
          const add = from.size === 0 ? '' : `add element ${table} cut { ${[...from].join(', ')} }`
          return run(place, ['nft', '-f', '-'], `flush set ${table} cut\n${add}\n`)
        }),
      )
    })
    return this.#changed
  }

  #address(at: number): string {
    return this.#places[at]?.gossip.split(':')[0] ?? ''
  }

  async dropped(): Promise<number> {
    const rules = await Promise.all(
      this.#places.map((place) => run(place, ['nft', 'list', 'table', ...table.split(' ')])),
    )
    const counts = rules.flatMap((text) => [...text.matchAll(/counter packets (\d+)/g)])
    return counts.reduce((sum, [, packets]) => sum + Number(packets), 0)
  }
}
