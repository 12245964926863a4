/** `kith query` and `kith reachability`: questions to all members, over Serf's RPC. */
import type { SerfClient } from '@kith/serf-rpc'
import { Command } from 'commander'
import { exitCodes } from '../errors.ts'
import { addTag, addText, durationFlag, integerFlag, textFlag } from '../flags.ts'
import { type Io, painter, printable, printableLines, write } from '../io.ts'
import { print, type RpcFlags, rpcOptions, withSerf } from '../rpc.ts'

interface AskFlags extends RpcFlags {
  readonly node?: string[]
  readonly tag?: Record<string, string>
  readonly timeout?: number
  readonly ack: boolean
  readonly relayFactor?: number
}

const nameFlag = textFlag('a name', (text) => text !== '')

export function queryCommand(io: Io): Command {
  const command = new Command('query')
    .description('ask all members, and print their answers as they come')
    .argument('<name>', 'what is asked', nameFlag)
    .argument('[payload]', 'what goes with it', '')
    .option('--node <name>', 'only this member (again for more)', (text, earlier?: string[]) =>
      addText(nameFlag(text), earlier),
    )
    .option('--tag <name=regexp>', 'only members whose tag matches (again for more)', addTag)
    .option('--timeout <time>', 'how long answers are taken, as 15s', durationFlag)
    .option('--no-ack', 'let members not say that the question reached them')
    .option(
      '--relay-factor <count>',
      'send answers through so many others too',
      integerFlag(0, 255),
    )
    .addHelpText('after', '\nExample:\n  kith query --tag role=web --timeout 2s load')
  return rpcOptions(command).action(async (name: string, payload: string, flags: AskFlags) => {
    await withSerf(command, io, (serf) => ask(serf, io, name, payload, flags))
  })
}

async function ask(
  serf: SerfClient,
  io: Io,
  name: string,
  payload: string,
  flags: AskFlags,
): Promise<void> {
  const text = flags.format === 'text'
  const answers = serf.query(name, payload, {
    acks: flags.ack,
    ...(flags.node === undefined ? {} : { members: flags.node }),
    ...(flags.tag === undefined ? {} : { tags: flags.tag }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
    ...(flags.relayFactor === undefined ? {} : { relayFactor: flags.relayFactor }),
  })
  const acks: string[] = []
  const responses = new Map<string, string>()
  let dispatched = false
  const dispatch = async (): Promise<void> => {
    // Not before an answer or the end: the agent may refuse the query.
    if (!dispatched && text) await write(io.stdout, `Query '${printable(name)}' dispatched\n`)
    dispatched = true
  }
  for await (const { kind, from, payload: bytes } of answers) {
    await dispatch()
    // One line break at the end belongs to whoever printed the answer, not to the answer.
    const answer = new TextDecoder().decode(bytes).replace(/\n$/, '')
    if (kind === 'ack') acks.push(from)
    else responses.set(from, answer)
    const shown = printable(from)
    const line =
      kind === 'ack' ? `Ack from '${shown}'` : `Response from '${shown}': ${printableLines(answer)}`
    if (text) await write(io.stdout, `${line}\n`)
  }
  await dispatch()
  const totals =
    (flags.ack ? `Total Acks: ${acks.length}\n` : '') + `Total Responses: ${responses.size}\n`
  // The shape of `serf query -format=json`.
  await print(io, flags, { Acks: acks, Responses: Object.fromEntries(responses) }, totals)
}

interface ReachFlags extends RpcFlags {
  readonly verbose?: true
}

export function reachabilityCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('reachability')
    .description('ask every member for a sign of life; exits 1 when one is missing')
    .option('--verbose', 'name each member that answers')
  return rpcOptions(command).action(async (flags: ReachFlags) => {
    const reached = await withSerf(command, io, (serf) => reach(serf, io, flags))
    if (!reached) done(exitCodes.failed)
  })
}

async function reach(serf: SerfClient, io: Io, flags: ReachFlags): Promise<boolean> {
  const members = await serf.members()
  const alive = members.filter(({ status }) => status === 'alive').map(({ name }) => name)
  const say = async (line: string): Promise<void> => {
    if (flags.format === 'text') await write(io.stdout, `${line}\n`)
  }
  await say(`Total members: ${members.length}, live members: ${alive.length}`)
  await say('Starting reachability test...')
  const heard = new Map<string, number>()
  for await (const { kind, from } of serf.query('_serf_ping', '', { acks: true })) {
    if (kind !== 'ack') continue
    heard.set(from, (heard.get(from) ?? 0) + 1)
    if (flags.verbose) await say(`\tAck from '${printable(from)}'`)
  }
  const missing = alive.filter((name) => !heard.has(name))
  const unexpected = [...heard.keys()].filter((name) => !alive.includes(name))
  const twice = [...heard].filter(([, times]) => times > 1).map(([name]) => name)
  const ok = missing.length === 0 && unexpected.length === 0 && twice.length === 0
  const paint = painter(io)
  for (const name of missing) await say(paint('red', `Missing ack from '${printable(name)}'`))
  for (const name of unexpected) await say(`Unexpected ack from '${printable(name)}'`)
  for (const name of twice) await say(`More than one ack from '${printable(name)}'`)
  const verdict = ok ? 'Successfully contacted all live nodes' : 'Not every live member was reached'
  const json = { ok, members: members.length, alive, acks: [...heard.keys()], missing, unexpected }
  await print(io, flags, { ...json, twice }, `${verdict}\n`)
  return ok
}
