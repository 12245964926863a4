/** Commands that change the cluster, over Serf's RPC: join, leave, force-leave, event, tags. */
import { Command } from 'commander'
import { addTag, addText, textFlag } from '../flags.ts'
import { type Io, printable } from '../io.ts'
import { print, type RpcFlags, rpcOptions, withSerf } from '../rpc.ts'

const nameFlag = textFlag('a name', (text) => text !== '')

export function joinCommand(io: Io): Command {
  const command = new Command('join')
    .description('let the agent join a cluster through one of its members')
    .argument('<address...>', 'HOST:PORT of members', nameFlagEach)
    .option('--replay', 'deliver user events from before the join')
    .addHelpText('after', '\nExample:\n  kith join 10.0.0.2:7946 10.0.0.3:7946')
  return rpcOptions(command).action(
    async (addresses: string[], flags: RpcFlags & { readonly replay?: true }) => {
      const joined = await withSerf(command, io, (serf) =>
        serf.join(addresses, { replay: flags.replay === true }),
      )
      const text = `Successfully joined cluster by contacting ${joined} nodes.\n`
      await print(io, flags, { joined }, text)
    },
  )
}

function nameFlagEach(text: string, earlier: readonly string[] = []): string[] {
  return [...earlier, textFlag('HOST:PORT', (given) => given !== '')(text)]
}

export function leaveCommand(io: Io): Command {
  const command = new Command('leave').description('let the agent leave the cluster and end')
  return rpcOptions(command).action(async (flags: RpcFlags) => {
    await withSerf(command, io, (serf) => serf.leave())
    await print(io, flags, { left: true }, 'Graceful leave complete\n')
  })
}

export function forceLeaveCommand(io: Io): Command {
  const command = new Command('force-leave')
    .description('declare a failed member left; one that lives comes back')
    .argument('<name>', 'the member', nameFlag)
    .option('--prune', 'let all members forget it at once')
    .addHelpText('after', '\nExample:\n  kith force-leave --prune ben')
  return rpcOptions(command).action(
    async (name: string, flags: RpcFlags & { readonly prune?: true }) => {
      const prune = flags.prune === true
      await withSerf(command, io, (serf) => serf.forceLeave(name, { prune }))
      await print(io, flags, { name, prune }, '')
    },
  )
}

interface EventFlags extends RpcFlags {
  readonly coalesce: boolean
}

export function eventCommand(io: Io): Command {
  const command = new Command('event')
    .description('tell all members something')
    .argument('<name>', 'what it is called', nameFlag)
    .argument('[payload]', 'what it says', '')
    .option('--no-coalesce', 'deliver every event, not only the last of several of this name')
    .addHelpText('after', '\nExample:\n  kith event deploy v1.2.3')
  return rpcOptions(command).action(async (name: string, payload: string, flags: EventFlags) => {
    const { coalesce } = flags
    await withSerf(command, io, (serf) => serf.event(name, payload, { coalesce }))
    const text = `Event '${printable(name)}' dispatched! Coalescing enabled: ${coalesce}\n`
    await print(io, flags, { event: name, coalesce }, text)
  })
}

interface TagFlags extends RpcFlags {
  readonly set?: Record<string, string>
  readonly delete?: string[]
}

const tagName = textFlag('the name of a tag', (text) => text !== '')

export function tagsCommand(io: Io): Command {
  const command = new Command('tags')
    .description("change the agent's own tags")
    .option('--set <name=value>', 'create or change a tag (again for more)', addTag)
    .option('--delete <name>', 'remove a tag (again for more)', (text, earlier?: string[]) =>
      addText(tagName(text), earlier),
    )
    .addHelpText('after', '\nExample:\n  kith tags --set role=web --delete dc')
  return rpcOptions(command).action(async (flags: TagFlags) => {
    const { set = {}, delete: remove = [] } = flags
    if (Object.keys(set).length === 0 && remove.length === 0) {
      command.error('error: --set or --delete must say what to change')
    }
    await withSerf(command, io, (serf) => serf.setTags({ set, remove }))
    await print(io, flags, { set, deleted: remove }, 'Successfully updated agent tags\n')
  })
}
