/** `kith keys`: the encryption keys of the whole cluster, over Serf's RPC. */
import { isKithError } from '@kith/interface'
import type { SerfClient, SerfKeyReport } from '@kith/serf-rpc'
import { Command } from 'commander'
import { textFlag } from '../flags.ts'
import { type Io, printable, table, write } from '../io.ts'
import { print, type RpcFlags, rpcOptions, withSerf } from '../rpc.ts'

interface KeyFlags extends RpcFlags {
  readonly install?: string
  readonly use?: string
  readonly remove?: string
  readonly list?: true
}

interface Operation {
  readonly doing: string
  readonly done: string
  run(serf: SerfClient): Promise<SerfKeyReport>
}

const examples = `
A key is replaced in three steps, each on all members:
  kith keys --install NEW
  kith keys --use NEW
  kith keys --remove OLD`

// Whether it is a key is for the agents to say, who also say which byte is wrong.
const keyText = textFlag('a key in base64', (text) => text !== '')

export function keysCommand(io: Io): Command {
  const command = new Command('keys')
    .description('list or change the encryption keys of all members')
    .option('--list', 'count the members that hold each key')
    .option('--install <key>', 'let all members read with a key (base64)', keyText)
    .option('--use <key>', 'let all members write with a key that they hold', keyText)
    .option('--remove <key>', 'let all members forget a key that they do not write with', keyText)
    .addHelpText('after', examples)
  return rpcOptions(command).action(async (flags: KeyFlags) => {
    const [operation, ...more] = operationsOf(flags)
    if (operation === undefined || more.length > 0) {
      return command.error('error: give one of --list, --install, --use and --remove')
    }
    if (flags.format === 'text') await write(io.stdout, `==> ${operation.doing}...\n`)
    const report = await withSerf(command, io, (serf) => perform(serf, operation, flags, io))
    const text = `==> ${operation.done}\n${flags.list ? keyTable(report) : ''}`
    await print(io, flags, report, text)
  })
}

function operationsOf({ list, install, use, remove }: KeyFlags): readonly Operation[] {
  const operations: Operation[] = []
  if (list) {
    const doing = 'Asking all members for installed keys'
    const done = 'Keys gathered, listing cluster keys...'
    operations.push({ doing, done, run: (serf) => serf.keys.list() })
  }
  if (install !== undefined) {
    const [doing, done] = ['Installing key on all members', 'Successfully installed key!']
    operations.push({ doing, done, run: (serf) => serf.keys.install(install) })
  }
  if (use !== undefined) {
    const [doing, done] = [
      'Changing primary key on all members',
      'Successfully changed primary key!',
    ]
    operations.push({ doing, done, run: (serf) => serf.keys.use(use) })
  }
  if (remove !== undefined) {
    const [doing, done] = ['Removing key on all members', 'Successfully removed key!']
    operations.push({ doing, done, run: (serf) => serf.keys.remove(remove) })
  }
  return operations
}

/** Who failed is said before the error that counts them. */
async function perform(
  serf: SerfClient,
  operation: Operation,
  flags: KeyFlags,
  io: Io,
): Promise<SerfKeyReport> {
  try {
    return await operation.run(serf)
  } catch (cause) {
    const details = isKithError(cause) ? (cause.details as { report?: SerfKeyReport }) : undefined
    const report = details?.report
    if (report !== undefined) {
      const rows = Object.entries(report.messages).map(([name, text]) => [
        'failed:',
        printable(name),
        printable(text),
      ])
      await print(io, flags, report, table(rows))
    }
    throw cause
  }
}

function keyTable({ keys, members }: SerfKeyReport): string {
  return table(Object.entries(keys).map(([key, count]) => [key, `[${count}/${members}]`]))
}
