/** The command `kith`: its subcommands, and what they exit with. */
import { Command, CommanderError } from 'commander'
import { agentCommand } from './commands/agent.ts'
import { exitCodeOf, exitCodes } from './errors.ts'
import { type Io, painter } from './io.ts'
import { cliVersion } from './version.ts'

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
  // An agent starts without what only asks one.
  const others = args[0] === 'agent' ? [] : (await import('./commands/others.ts')).otherCommands
  for (const make of others) program.addCommand(make(io, done))
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
