/**
 * `npm run demo`: five members as five processes on this machine, fed with the lines of this
 * repository. `--check` proves eight promises with them and exits non-zero at the first broken one.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runCheck } from './check.ts'
import { createCluster } from './cluster.ts'
import { readCorpus } from './corpus.ts'
import { runLive } from './live.ts'

const LINES_MIN = 20_000
/** Tens of thousands make the point; more would only make the check longer. */
const LINES_MAX = 60_000
const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const usage = `usage: npm run demo [-- --check]
  without flags  a live view until Ctrl-C
  --check        eight steps, one line each; exits 1 at the first broken promise
`

function flags(): { check: boolean } | undefined {
  try {
    const options = { check: { type: 'boolean', default: false } } as const
    return parseArgs({ options, allowPositionals: false }).values
  } catch (cause) {
    process.stderr.write(`${(cause as Error).message}\n${usage}`)
    return undefined
  }
}

async function main(): Promise<number> {
  const given = flags()
  if (!given) return 2
  const corpus = await readCorpus(root, LINES_MIN, LINES_MAX)
  const cluster = await createCluster()
  const stop = new AbortController()
  const onSignal = (): void => {
    if (stop.signal.aborted) {
      cluster.abandon()
      process.exit(130)
    }
    process.stderr.write('\nleaving: every member drains and leaves (again to end at once)\n')
    stop.abort()
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal)
  // Whatever ends this process, no member stays behind.
  process.on('exit', () => cluster.abandon())
  try {
    if (!given.check) return await runLive(cluster, corpus, stop.signal)
    const print = (line: string): void => void process.stdout.write(`${line}\n`)
    return await runCheck(cluster, corpus, stop.signal, print)
  } finally {
    await cluster.stop()
  }
}

process.exit(await main())
