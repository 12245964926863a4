/** `kith info` and `kith rtt`: what an agent knows of itself and of the network. */
import { estimatedRttMs } from '@kith/interface'
import type { SerfClient, SerfStats } from '@kith/serf-rpc'
import { Command } from 'commander'
import { CliError } from '../errors.ts'
import { textFlag } from '../flags.ts'
import { type Io, printable } from '../io.ts'
import { print, type RpcFlags, rpcOptions, withSerf } from '../rpc.ts'

export function infoCommand(io: Io): Command {
  const command = new Command('info').description('what the agent says of itself')
  return rpcOptions(command).action(async (flags: RpcFlags) => {
    const stats = sorted(await withSerf(command, io, (serf) => serf.stats()))
    await print(io, flags, stats, infoText(stats))
  })
}

function sorted(stats: SerfStats): SerfStats {
  const byName = <Value>(entries: [string, Value][]): [string, Value][] =>
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(
    byName(Object.entries(stats)).map(([name, section]) => [
      name,
      Object.fromEntries(byName(Object.entries(section))),
    ]),
  )
}

function infoText(stats: SerfStats): string {
  return Object.entries(stats)
    .map(([name, section]) => {
      const lines = Object.entries(section).map(
        ([key, value]) => `\t${printable(key)} = ${printable(value)}\n`,
      )
      return `${printable(name)}:\n${lines.join('')}`
    })
    .join('')
}

const nameFlag = textFlag('a name', (text) => text !== '')

export function rttCommand(io: Io): Command {
  const command = new Command('rtt')
    .description('estimate the round trip between two members')
    .argument('<from>', 'a member', nameFlag)
    .argument('[to]', 'another one; default: the agent itself', nameFlag)
    .addHelpText('after', '\nExample:\n  kith rtt ada ben')
  return rpcOptions(command).action(
    async (from: string, given: string | undefined, flags: RpcFlags) => {
      const { to, rttMs } = await withSerf(command, io, (serf) => estimate(serf, from, given))
      const text =
        `Estimated ${printable(from)} <-> ${printable(to)} rtt: ` + `${rttMs.toFixed(3)} ms\n`
      await print(io, flags, { from, to, rttMs }, text)
    },
  )
}

async function estimate(
  serf: SerfClient,
  from: string,
  given: string | undefined,
): Promise<{ readonly to: string; readonly rttMs: number }> {
  const to = given ?? (await serf.stats())['agent']?.['name'] ?? ''
  const find = async (name: string): Promise<NonNullable<Awaited<Place>>> => {
    const place = await serf.coordinate(name)
    if (place !== undefined) return place
    const text = `Could not find a coordinate for node "${printable(name)}"`
    throw new CliError('ERR_CLI_REFUSED', text)
  }
  const [a, b] = [await find(from), await find(to)]
  return { to, rttMs: estimatedRttMs(a, b) }
}

type Place = ReturnType<SerfClient['coordinate']>
