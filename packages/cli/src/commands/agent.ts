/** `kith agent`: one member in this process, until it is told to leave. */
import { formatAddress, silentLogger } from '@kith/interface'
import { Command, Option } from 'commander'
import {
  type AgentFlags,
  namedProblems,
  problemsOf,
  readAgentSettings,
  settingsError,
} from '../agent-layers.ts'
import { type AgentLines, createAgentLines } from '../agent-lines.ts'
import { type AgentPlan, describeSettings, planAgent } from '../agent-plan.ts'
import { createReloading } from '../agent-reload.ts'
import { agentSettings } from '../agent-settings.ts'
import { type Io, write } from '../io.ts'

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const

export function agentCommand(io: Io, done: (code: number) => void): Command {
  const command = new Command('agent').description('run a member of a cluster; Ctrl-C leaves it')
  for (const { key, flag, help } of agentSettings) {
    if (flag === undefined) continue
    command.addOption(collected(flag, help))
    if (key === 'rpc') command.option('--no-rpc', 'let the RPC listen nowhere')
  }
  return command
    .addOption(collected('--config <file>', 'JSON with the same settings'))
    .option('--dry-run', 'print what all settings come to, as JSON, and end')
    .addHelpText('after', layersHelp)
    .action(async ({ dryRun, ...flags }: AgentFlags) => {
      const settings = await readAgentSettings(flags, io.env)
      if (dryRun === true) {
        await planAgent(settings, silentLogger)
        return write(io.stdout, `${JSON.stringify(describeSettings(settings), undefined, 2)}\n`)
      }
      const { logFormat = 'pretty', logLevel = 'info' } = settings.values
      const lines = createAgentLines(io, logFormat, logLevel)
      const plan = await planAgent(settings, lines.logger)
      try {
        done(await runAgent(plan, lines, io, flags))
      } catch (cause) {
        const problems = problemsOf(cause)
        if (problems === undefined) throw cause
        throw settingsError(namedProblems(problems, settings), cause)
      }
    })
}

/** Judged later, together with all that stands elsewhere. */
function collected(flag: string, help = ''): Option {
  if (!flag.includes('<')) return new Option(flag, help)
  return new Option(flag, help).argParser((text: string, earlier: unknown) => [
    ...(Array.isArray(earlier) ? (earlier as string[]) : []),
    text,
  ])
}

const layersHelp = `
Each setting is also a variable of the environment, named after its flag: --log-level is
KITH_LOG_LEVEL. Several values are separated by commas; --rejoin is KITH_REJOIN=true.
A flag wins over a variable, that over the file, that over the default.
SIGHUP reads the file, the keyring and the certificates again; tags, services and the
log level take effect, and what the keyring and the certificates' files hold now.

Examples:
  kith agent --node ada --data /var/lib/kith --service web:8080
  KITH_JOIN=10.0.0.1:7946,10.0.0.2:7946 kith agent --keyring keyring.json --bind 10.0.0.3:7946
  kith agent --config /etc/kith.json --dry-run`

/** Runs until a signal; the first leaves the cluster, a second ends at once. */
async function runAgent(
  plan: AgentPlan,
  lines: AgentLines,
  io: Io,
  flags: AgentFlags,
): Promise<number> {
  const { agent } = plan
  const starting = new AbortController()
  let leave: (() => void) | undefined
  const asked = new Promise<void>((resolve) => {
    leave = resolve
  })
  let signals = 0
  const unsubscribe = io.onSignal((signal) => {
    signals += 1
    // Whoever asks twice does not want to wait: the others will find out by themselves.
    if (signals > 1) io.exit(128 + signalNumbers[signal])
    starting.abort(new Error(`stopped by ${signal}`))
    leave?.()
  })
  // Heard from the beginning, since otherwise it ends a process; done once there is a member.
  const reloading = createReloading(plan, lines, flags, io.env)
  const unsubscribeReload = io.onReload?.(() => reloading.ask())
  // Timers of the parts keep no process alive, so that this one must.
  const alive = setInterval(() => {}, 2 ** 30)
  try {
    await start(plan, lines, starting.signal)
    reloading.begin()
    const lost = await Promise.race([asked, agent.ended])
    if (lost !== undefined) throw lost
    // Somebody made it leave over the RPC, and it has stopped by itself.
    if (signals === 0) return 0
    lines.logger.info({}, 'leaving the cluster; a second signal stops at once')
    return 0
  } catch (cause) {
    lines.release()
    if (signals > 0) return 0
    throw cause
  } finally {
    await agent.stop()
    clearInterval(alive)
    unsubscribe()
    unsubscribeReload?.()
  }
}

async function start(
  { agent, options, consulPlace }: AgentPlan,
  lines: AgentLines,
  signal: AbortSignal,
): Promise<void> {
  if (options.data === undefined) {
    lines.logger.warn({}, 'no data directory: the log is in memory and ends with this process')
  }
  await agent.start(signal)
  const consul = consulPlace()
  lines.ready({
    node: agent.name,
    gossip: formatAddress(agent.gossip.address),
    http: formatAddress(agent.httpAddress),
    rpc: agent.rpcAddress ?? null,
    ...(consul === undefined ? {} : { consul }),
    pid: process.pid,
  })
  // Both in one turn, so that no change falls between what is and what comes.
  for (const member of agent.gossip.members()) lines.member({ kind: 'join', member })
  agent.gossip.subscribe({ memberChanged: (event) => lines.member(event) })
  agent.gossip.on('suspect', ({ name, from, incarnation, via, probe }) => {
    const probed = probe === undefined ? {} : { probe }
    lines.event('suspect', { name, from, via, incarnation, ...probed })
  })
  agent.gossip.on('refute', ({ from = null, incarnation, accused }) => {
    lines.event('refute', { from, incarnation, accused })
  })
}
