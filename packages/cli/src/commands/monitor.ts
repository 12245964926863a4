/** `kith monitor`: the log of an agent and the news of its cluster, as they come. */
import { formatAddress } from '@kith/interface'
import type { SerfClient, SerfEvent } from '@kith/serf-rpc'
import { Command, Option } from 'commander'
import { type Io, printable, printableLines, write } from '../io.ts'
import { type RpcFlags, rpcOptions, withSerf } from '../rpc.ts'

const levels = ['trace', 'debug', 'info', 'warn', 'err'] as const

interface MonitorFlags extends RpcFlags {
  readonly logLevel: (typeof levels)[number]
}

export function monitorCommand(io: Io): Command {
  const command = new Command('monitor')
    .description("follow the agent's log and the events of the cluster, until Ctrl-C")
    .addOption(
      new Option('--log-level <level>', 'lines of this level and above')
        .choices(levels)
        .default('info'),
    )
  return rpcOptions(command).action(async (flags: MonitorFlags) => {
    const stop = new AbortController()
    const unsubscribe = io.onSignal(() => stop.abort())
    try {
      await withSerf(command, io, (serf) => follow(serf, io, flags, stop))
    } finally {
      unsubscribe()
    }
  })
}

/** Until the signal; the first of the two that fails ends the other. */
async function follow(
  serf: SerfClient,
  io: Io,
  flags: MonitorFlags,
  stop: AbortController,
): Promise<void> {
  const { signal } = stop
  const json = flags.format === 'json'
  const say = (text: string): Promise<void> => write(io.stdout, `${text}\n`)
  const level = flags.logLevel.toUpperCase() as Uppercase<MonitorFlags['logLevel']>
  const logs = async (): Promise<void> => {
    for await (const line of serf.monitor(level, { signal })) {
      await say(json ? JSON.stringify({ log: line }) : printableLines(line.trimEnd()))
    }
  }
  const news = async (): Promise<void> => {
    for await (const event of serf.events('*', { signal })) {
      await say(json ? JSON.stringify(eventFields(event)) : eventText(event))
    }
  }
  const end = (work: Promise<void>): Promise<void> => work.finally(() => stop.abort())
  const [first, second] = await Promise.allSettled([end(logs()), end(news())])
  for (const { status, reason } of [first, second] as PromiseRejectedResult[]) {
    if (status === 'rejected') throw reason
  }
}

function eventFields(event: SerfEvent): object {
  switch (event.kind) {
    case 'members':
      return { event: event.event, members: event.members }
    case 'user':
    case 'query': {
      const { kind, name, payload, lamportTime } = event
      return { event: kind, name, payload: decode(payload), lamportTime: String(lamportTime) }
    }
    case 'resumed':
      return { event: 'resumed' }
  }
}

function eventText(event: SerfEvent): string {
  switch (event.kind) {
    case 'members': {
      const members = event.members.map(
        ({ name, address }) => `${printable(name)} ${formatAddress(address)}`,
      )
      return `==> ${printable(event.event)}: ${members.join(', ')}`
    }
    case 'user':
    case 'query':
      return `==> ${event.kind} ${printable(event.name)}: ${printable(decode(event.payload))}`
    case 'resumed':
      return '==> resumed'
  }
}

function decode(payload: Uint8Array): string {
  return new TextDecoder().decode(payload)
}
