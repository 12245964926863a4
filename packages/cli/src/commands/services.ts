/** `kith services` and `kith resolve`: what runs in the cluster, and where. */
import type { ServiceInstance } from '@kith/interface'
import type { RegistryClient } from '@kith/registry'
import { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { addText, integerFlag, textFlag } from '../flags.ts'
import { type Io, painter, printable, table, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'

/** Loaded here, so that other commands need not wait for the registry to load. */
async function openClient(url: string): Promise<RegistryClient> {
  const { createRegistryClient } = await import('@kith/registry')
  return createRegistryClient({ urls: [url] })
}

export function servicesCommand(io: Io): Command {
  const command = new Command('services').description('list the services of the cluster')
  return queryOptions(command, io).action(async ({ httpAddr, format }: QueryFlags) => {
    await using client = await openClient(httpAddr)
    const services = [...(await client.services())].map(([service, instances]) => ({
      service,
      instances,
    }))
    const text =
      format === 'json'
        ? `${JSON.stringify({ services }, undefined, 2)}\n`
        : table(services.map(({ service, instances }) => [printable(service), String(instances)]))
    await write(io.stdout, text)
  })
}

const want128 = 'text of 1 to 128 characters'
const fits128 = (text: string): boolean => text.length >= 1 && text.length <= 128

function addServiceTag(text: string, earlier?: readonly string[]): string[] {
  return addText(textFlag(want128, fits128)(text), earlier)
}

interface ResolveFlags extends QueryFlags {
  readonly all?: true
  readonly tag?: string[]
  readonly limit?: number
}

export function resolveCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('resolve')
    .description('print where a service runs; exits 1 when nowhere')
    .argument('<service>', 'its name', textFlag(want128, fits128))
    .option('--all', 'also instances that are not passing')
    .option('--tag <tag>', 'only instances with this tag (again for more)', addServiceTag)
    .option('--limit <count>', 'at most so many', integerFlag(1, 10_000))
  return queryOptions(command, io).action(async (service: string, flags: ResolveFlags) => {
    await using client = await openClient(flags.httpAddr)
    const instances = await client.resolve(service, {
      passing: flags.all !== true,
      ...(flags.tag === undefined ? {} : { tags: flags.tag }),
      ...(flags.limit === undefined ? {} : { limit: flags.limit }),
    })
    const text =
      flags.format === 'json'
        ? `${JSON.stringify({ service, instances }, undefined, 2)}\n`
        : instanceTable(instances, io)
    await write(io.stdout, text)
    if (instances.length > 0) return
    done(exitCodes.failed)
    io.stderr.write(`kith: no ${flags.all ? '' : 'passing '}instance of ${printable(service)}\n`)
  })
}

function instanceTable(instances: readonly ServiceInstance[], io: Io): string {
  const paint = painter(io)
  const rows = instances.map(({ address, port, member, id, status }) => [
    address.includes(':') ? `[${address}]:${port}` : `${printable(address)}:${port}`,
    printable(member),
    printable(id),
    status,
  ])
  const colours = { passing: 'green', warning: 'yellow', critical: 'red' } as const
  const lines = table(rows).split('\n')
  return lines
    .map((line, at) => {
      const status = instances[at]?.status
      return status === undefined ? line : paint(colours[status], line)
    })
    .join('\n')
}
