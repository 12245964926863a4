/** Where the command begins: the real streams, the real signals, the real exit code. */
import { runCli } from './program.ts'

// A reader that has seen enough (`kith log read | head`) is no failure, and an agent whose lines
// nobody reads any more is a member all the same.
process.stdout.on('error', (cause: Error & { code?: string }) => {
  if (cause.code !== 'EPIPE') throw cause
  if (process.argv[2] !== 'agent') process.exit(0)
})

const code = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  exit: (exitCode) => process.exit(exitCode),
  onReload(listener) {
    process.on('SIGHUP', listener)
    return () => void process.off('SIGHUP', listener)
  },
  onSignal(listener) {
    const signals = ['SIGINT', 'SIGTERM'] as const
    for (const signal of signals) process.on(signal, listener)
    return () => {
      for (const signal of signals) process.off(signal, listener)
    }
  },
})
process.exitCode = code
