/** `kith register`, `kith deregister` and `kith drain`: what an agent offers. */
import type { ServiceInstance } from '@kith/interface'
import { Command, InvalidArgumentError } from 'commander'
import { addService, addServiceTag, addTag, type ServiceFlag, textFlag } from '../flags.ts'
import { createHttpCaller } from '../http.ts'
import { addressOf } from '../instances.ts'
import { type Io, printable, write } from '../io.ts'
import { type QueryFlags, queryOptions } from '../query.ts'

interface RegisterFlags extends QueryFlags {
  readonly id?: string
  readonly address?: string
  readonly tag?: string[]
  readonly meta?: Record<string, string>
  readonly check?: object[]
}

const idFlag = textFlag('1 to 128 of A-Z a-z 0-9 . _ : -', (text) =>
  /^[A-Za-z0-9._:-]{1,128}$/.test(text),
)

const addressFlag = textFlag('a host or an IP address', (text) =>
  /^[0-9A-Za-z._:%-]{1,253}$/.test(text),
)

function serviceFlag(text: string): ServiceFlag {
  return addService(text)[0] as ServiceFlag
}

/** A kind alone, or the check as an object; what is in it is the agent's to judge. */
function addCheck(text: string, earlier: readonly object[] = []): object[] {
  if (/^[a-z][a-z0-9-]{0,31}$/.test(text)) return [...earlier, { kind: text }]
  let check: unknown
  try {
    check = JSON.parse(text)
  } catch {
    // Said below.
  }
  const fits = typeof check === 'object' && check !== null && 'kind' in check
  if (fits) return [...earlier, check as object]
  const want = `a kind as http, or JSON as {"kind":"http","intervalMs":5000}`
  throw new InvalidArgumentError(`It must be ${want}.`)
}

export function registerCommand(io: Io): Command {
  const command = new Command('register')
    .description('register a service at the agent, or replace the one with its id')
    .argument('<service:port>', 'its name and the port it listens on', serviceFlag)
    .option('--id <id>', "unique at the agent; default: the service's name", idFlag)
    .option('--address <host>', "where others reach it; default: the agent's own", addressFlag)
    .option('--tag <tag>', 'a tag (again for more)', addServiceTag)
    .option('--meta <name=value>', 'a fact about it (again for more)', addTag)
    .option('--check <check>', 'a kind, or JSON with its settings (again for more)', addCheck)
    .addHelpText('after', registerExamples)
  return queryOptions(command, io).action(
    async ({ service, port }: ServiceFlag, flags: RegisterFlags) => {
      await using caller = createHttpCaller(flags, io)
      const { id = service, address, tag: tags, meta, check: checks } = flags
      const instance = await caller.json<ServiceInstance>(pathOf(id), {
        method: 'PUT',
        body: JSON.stringify({ service, port, address, tags, meta, checks }),
        type: 'application/json',
      })
      const at = `${printable(instance.service)} at ${addressOf(instance)}`
      const text = `registered ${printable(instance.id)} of ${at}: ${printable(instance.status)}\n`
      await print(io, flags, instance, text)
    },
  )
}

const registerExamples = `
Where the agent has a data directory, the service is there again after a restart. Without a check
it counts as passing; with one it is critical until the first run went well.

Examples:
  kith register web:8080
  kith register web:8080 --id web-2 --tag v2 --meta zone=eu --check http
  kith register db:5432 --check '{"kind":"tcp","intervalMs":2000,"failureThreshold":3}'`

export function deregisterCommand(io: Io): Command {
  const command = new Command('deregister')
    .description('take an instance of the agent down everywhere')
    .argument('<id>', 'its id; where none was given, the name of its service', idFlag)
    .addHelpText('after', '\nExample:\n  kith deregister web-2')
  return queryOptions(command, io).action(async (id: string, flags: QueryFlags) => {
    await using caller = createHttpCaller(flags, io)
    await caller.tell(pathOf(id), { method: 'DELETE' })
    await print(io, flags, { deregistered: id }, `deregistered ${id}\n`)
  })
}

interface DrainFlags extends QueryFlags {
  readonly reason: string
  readonly end?: true
}

const reasonFlag = textFlag(
  'text of 1 to 256 characters',
  (text) => text.length >= 1 && text.length <= 256,
)

export function drainCommand(io: Io): Command {
  const command = new Command('drain')
    .description('send nobody to the agent any more, or to one of its instances, until --end')
    .argument('[id]', 'only this instance', idFlag)
    .option('--reason <text>', 'what everybody is told', reasonFlag, 'drained by kith drain')
    .option('--end', 'give it, or all of the agent, back')
    .addHelpText('after', drainExamples)
  return queryOptions(command, io).action(async (id: string | undefined, flags: DrainFlags) => {
    await using caller = createHttpCaller(flags, io)
    const { reason, end } = flags
    const path = id === undefined ? '/v1/maintenance' : `${pathOf(id)}/maintenance`
    if (end) await caller.tell(path, { method: 'DELETE' })
    else {
      const body = JSON.stringify({ reason })
      await caller.tell(path, { method: 'PUT', body, type: 'application/json' })
    }
    const what = id ?? 'the agent'
    const text = end ? `${what} is given back\n` : `${what} is drained: ${printable(reason)}\n`
    await print(io, flags, { drained: end !== true, ...(id === undefined ? {} : { id }) }, text)
  })
}

const drainExamples = `
What is drained stays registered and is critical, with the reason as a check of kind maintenance;
requests under way go on. Over a restart of the agent only an instance stays drained that was
registered over HTTP, where there is a data directory.

Examples:
  kith drain --reason 'new kernel'     nobody is sent to this member any more
  kith drain --end                     its instances are handed out again
  kith drain web-2                     only this instance`

function pathOf(id: string): string {
  return `/v1/services/${encodeURIComponent(id)}`
}

async function print(io: Io, flags: QueryFlags, answer: object, text: string): Promise<void> {
  await write(
    io.stdout,
    flags.format === 'json' ? `${JSON.stringify(answer, undefined, 2)}\n` : text,
  )
}
