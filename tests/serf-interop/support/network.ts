// Network namespaces on a bridge of their own, and a firewall between two of them.
import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Network {
  /** What runs a command in the namespace: before its own words. */
  within(place: string): readonly string[]
  address(place: string): string
  /** A place loses its address and gets another one, `10.77.0.101` say, as after a new lease. */
  readdress(place: string, to: string): Promise<void>
  /** Drops UDP and TCP between two places, both ways, at both of them. */
  wall(a: string, b: string): Promise<void>
  /** Packets that the walls of a place dropped. */
  dropped(place: string): Promise<number>
  remove(): Promise<void>
}

/** A place is a letter or two: names of interfaces are short. Addresses are 10.77.0.1 and so on. */
export async function createNetwork(places: readonly string[]): Promise<Network> {
  // One process may have several at a time.
  const prefix = `kith${process.pid}-${randomInt(1_000_000)}`
  const namespace = (place: string): string => `${prefix}-${place}`
  const within = (place: string): readonly string[] => ['ip', 'netns', 'exec', namespace(place)]
  const address = (place: string): string => `10.77.0.${places.indexOf(place) + 1}`
  const inside = async (place: string, ...words: readonly string[]): Promise<string> => {
    const [command = '', ...args] = [...within(place), ...words]
    return (await execute(command, args)).stdout
  }
  const hub = 'hub'
  const made: string[] = []
  const add = async (place: string): Promise<void> => {
    await execute('ip', ['netns', 'add', namespace(place)])
    made.push(place)
    await inside(place, 'ip', 'link', 'set', 'lo', 'up')
  }
  const remove = async (): Promise<void> => {
    // Their interfaces go with them.
    for (const place of made) await execute('ip', ['netns', 'del', namespace(place)])
  }
  try {
    await add(hub)
    await inside(hub, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
    await inside(hub, 'ip', 'link', 'set', 'br0', 'up')
    for (const place of places) {
      await add(place)
      const peer = ['peer', 'name', 'eth0', 'netns', namespace(place)]
      await inside(hub, 'ip', 'link', 'add', `to-${place}`, 'type', 'veth', ...peer)
      await inside(hub, 'ip', 'link', 'set', `to-${place}`, 'master', 'br0', 'up')
      await inside(place, 'ip', 'address', 'add', `${address(place)}/24`, 'dev', 'eth0')
      await inside(place, 'ip', 'link', 'set', 'eth0', 'up')
    }
  } catch (cause) {
    await remove()
    throw cause
  }
  return {
    within,
    address,
    remove,
    async readdress(place, to) {
      await inside(place, 'ip', 'address', 'flush', 'dev', 'eth0')
      await inside(place, 'ip', 'address', 'add', `${to}/24`, 'dev', 'eth0')
    },
    async wall(a, b) {
      for (const [place, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const drop = 'meta l4proto { tcp, udp } counter drop'
        const rules = `
          table inet wall {
            chain in { type filter hook input priority 0; ip saddr ${address(other)} ${drop}; }
            chain out { type filter hook output priority 0; ip daddr ${address(other)} ${drop}; }
          }`
        await inside(place, 'nft', rules)
      }
    },
    async dropped(place) {
      const rules = await inside(place, 'nft', 'list', 'table', 'inet', 'wall')
      return [...rules.matchAll(/counter packets (\d+)/g)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      )
    },
  }
}
