/** `kith services` and `kith resolve`: what runs in the cluster, where, and how well. */
import type { ServiceInstance } from '@kith/interface'
import type { RegistryClient } from '@kith/registry'
import { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { addServiceTag, integerFlag, nameFlag } from '../flags.ts'
import { createHttpCaller, type HttpCaller, shownToken } from '../http.ts'
import { instanceTable, type ServiceAnswer, serviceText } from '../instances.ts'
import { type Io, painter, printable, table, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'
import { readTls } from '../tls.ts'
import { watchServices } from './services-watch.ts'

/** Loaded here, so that other commands need not wait for the registry to load. */
async function openClient(flags: QueryFlags, io: Io): Promise<RegistryClient> {
  const { createRegistryClient } = await import('@kith/registry')
  const token = shownToken(io)
  return createRegistryClient({
    urls: [flags.httpAddr],
    ...(token === undefined ? {} : { token }),
    ...(flags.httpAddr.startsWith('https:') ? { tls: readTls(flags, io) } : {}),
  })
}

interface ServicesFlags extends QueryFlags {
  readonly checks?: true
  readonly watch?: true
}

export function servicesCommand(io: Io): Command {
  const command = new Command('services')
    .description('list the services of the cluster, or one, with the state of their checks')
    .argument('[service]', 'only this one, with its instances', nameFlag)
    .option('--checks', 'every instance, each of its checks and what that last said')
    .option('--watch', 'go on with each change, until Ctrl-C')
    .addHelpText('after', servicesExamples)
  return queryOptions(command, io).action(
    async (service: string | undefined, flags: ServicesFlags) => {
      if (flags.watch) return watchServices(io, flags, service)
      if (flags.checks || service !== undefined) return printInstances(io, flags, service)
      return printNames(io, flags)
    },
  )
}

const servicesExamples = `
Examples:
  kith services                          names, and how many instances each has
  kith services --checks                 what every check of every instance says
  kith services web --watch              the instances of web as they change
  kith services --watch --format json    a line {"service","instances"} for each change`

interface NameAnswer {
  readonly service: string
  readonly instances: number
  readonly passing: number
}

async function printNames(io: Io, flags: ServicesFlags): Promise<void> {
  await using caller = createHttpCaller(flags, io)
  const services = await namesAt(caller)
  const rows = services.map(({ service, instances, passing }) => {
    return [printable(service), String(instances), `${passing} passing`]
  })
  await write(
    io.stdout,
    flags.format === 'json' ? `${JSON.stringify({ services }, undefined, 2)}\n` : table(rows),
  )
}

async function printInstances(io: Io, flags: ServicesFlags, only?: string): Promise<void> {
  await using caller = createHttpCaller(flags, io)
  const known = only === undefined ? await namesAt(caller) : [{ service: only }]
  const services: ServiceAnswer[] = []
  for (const { service: name } of known) {
    const path = `/v1/services/${encodeURIComponent(name)}`
    const { service, instances } = await caller.json<ServiceAnswer>(path, {
      query: { passing: false },
    })
    services.push({ service, instances })
  }
  const text =
    flags.format === 'json'
      ? `${JSON.stringify({ services }, undefined, 2)}\n`
      : services.map((each) => serviceText(each, painter(io), flags.checks === true)).join('')
  await write(io.stdout, text)
}

async function namesAt(caller: HttpCaller): Promise<readonly NameAnswer[]> {
  return (await caller.json<{ services: readonly NameAnswer[] }>('/v1/services')).services
}

interface ResolveFlags extends QueryFlags {
  readonly all?: true
  readonly tag?: string[]
  readonly limit?: number
}

export function resolveCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('resolve')
    .description('print where a service runs; exits 1 when nowhere')
    .argument('<service>', 'its name', nameFlag)
    .option('--all', 'also instances that are not passing')
    .option('--tag <tag>', 'only instances with this tag (again for more)', addServiceTag)
    .option('--limit <count>', 'at most so many', integerFlag(1, 10_000))
  return queryOptions(command, io).action(async (service: string, flags: ResolveFlags) => {
    await using client = await openClient(flags, io)
    const instances: readonly ServiceInstance[] = await client.resolve(service, {
      passing: flags.all !== true,
      ...(flags.tag === undefined ? {} : { tags: flags.tag }),
      ...(flags.limit === undefined ? {} : { limit: flags.limit }),
    })
    const text =
      flags.format === 'json'
        ? `${JSON.stringify({ service, instances }, undefined, 2)}\n`
        : instanceTable(instances, painter(io))
    await write(io.stdout, text)
    if (instances.length > 0) return
    done(exitCodes.failed)
    io.stderr.write(`kith: no ${flags.all ? '' : 'passing '}instance of ${printable(service)}\n`)
  })
}
