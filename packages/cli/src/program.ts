/** The command `kith`: its subcommands, and what they exit with. */
import { Command, CommanderError } from 'commander'
import { agentCommand } from './commands/agent.ts'
import { keygenCommand } from './commands/keygen.ts'
import {
  eventCommand,
  forceLeaveCommand,
  joinCommand,
  leaveCommand,
  tagsCommand,
} from './commands/cluster.ts'
import { doctorCommand } from './commands/doctor.ts'
import { infoCommand, rttCommand } from './commands/inspect.ts'
import { keysCommand } from './commands/keys.ts'
import { logCommand } from './commands/log.ts'
import { membersCommand } from './commands/members.ts'
import { monitorCommand } from './commands/monitor.ts'
import { queryCommand, reachabilityCommand } from './commands/query.ts'
import { deregisterCommand, drainCommand, registerCommand } from './commands/register.ts'
import { resolveCommand, servicesCommand } from './commands/services.ts'
import { exitCodeOf, exitCodes } from './errors.ts'
import { type Io, painter } from './io.ts'
import { cliVersion } from './version.ts'

/** Over Serf's RPC: they work against real Serf agents too. */
const serfCommands: readonly ((io: Io, done: (code: number) => void) => Command)[] = [
  membersCommand,
  joinCommand,
  leaveCommand,
  forceLeaveCommand,
  eventCommand,
  queryCommand,
  keysCommand,
  tagsCommand,
  rttCommand,
  infoCommand,
  monitorCommand,
  reachabilityCommand,
]

/** Runs one command line, without the name of the program, and resolves with its exit code. */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const program = new Command('kith')
    .description('Processes that know each other: run an agent, ask a cluster.')
    .version(cliVersion(), '-V, --version')
    .showHelpAfterError('(--help says more)')
    .addHelpText('after', exitHelp)
  let code: number = exitCodes.ok
  const done = (result: number): void => {
    code = result
  }
  program.addCommand(agentCommand(io, done))
  program.addCommand(keygenCommand(io))
  for (const make of [
    ...serfCommands,
    doctorCommand,
    servicesCommand,
    resolveCommand,
    registerCommand,
    deregisterCommand,
    drainCommand,
    logCommand,
  ]) {
    program.addCommand(make(io, done))
  }
  for (const command of everyCommand(program)) {
    // Set on each command: they do not pass these on once they exist.
    command.exitOverride().configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    })
  }
  try {
    await program.parseAsync([...args], { from: 'user' })
    return code
  } catch (cause) {
    // Commander has said by itself what is wrong with the command line.
    if (cause instanceof CommanderError)
      return cause.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const text = cause instanceof Error ? cause.message : String(cause)
    io.stderr.write(`${painter(io, io.stderr)('red', 'kith:')} ${text}\n`)
    return exitCodeOf(cause)
  }
}

function* everyCommand(command: Command): Generator<Command> {
  yield command
  for (const inner of command.commands) yield* everyCommand(inner)
}

const exitHelp = `
Exit codes: 0 done; 1 the operation failed or its answer is no; 2 a flag, argument or
config value is not right; 3 no agent answers.`
