/**
 * The main job as a script: eight steps, each a promise of Kith kept before your eyes with its
 * measured time, ending with a non-zero code at the first one that is broken.
 */
import type { Cluster } from './cluster.ts'
import type { Corpus } from './corpus.ts'
import { steps, type Story } from './steps.ts'
import { BrokenPromise } from './wait.ts'

export async function runCheck(
  cluster: Cluster,
  corpus: Corpus,
  signal: AbortSignal,
  print: (line: string) => void,
): Promise<number> {
  print(describe(corpus))
  const story: Story = { cluster, corpus, signal, feeds: [], sent: [] }
  const begun = performance.now()
  const interrupted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true })
  })
  interrupted.catch(() => {})
  for (const [at, { title, run }] of steps.entries()) {
    const from = performance.now()
    const label = `${at + 1}  ${title.padEnd(52, ' ')}`
    try {
      const result = await Promise.race([run(story), interrupted])
      print(`ok    ${label}  ${seconds(from)}  ${result}`)
    } catch (cause) {
      if (signal.aborted) return 130
      print(`FAIL  ${label}  ${seconds(from)}`)
      print(`      ${reasonOf(cause)}`)
      for (const line of complaints(cluster)) print(`      ${line}`)
      return 1
    }
  }
  print(`all eight promises held, in ${seconds(begun).trim()}`)
  return 0
}

export function describe({ files, fileLines, passes, lines }: Corpus): string {
  const tracked = `${fileLines} lines of ${files} tracked text files`
  if (passes > 1) return `input: ${tracked}, taken ${passes} times under different names`
  if (lines.length < fileLines) return `input: the first ${lines.length} of the ${tracked}`
  return `input: ${tracked}`
}

function seconds(from: number): string {
  return `${((performance.now() - from) / 1000).toFixed(2).padStart(6)} s`
}

function reasonOf(cause: unknown): string {
  if (cause instanceof BrokenPromise) return cause.message
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}

function* complaints(cluster: Cluster): Generator<string> {
  for (const { name, process } of cluster.seats) {
    if (process === undefined) continue
    const text = process.complaints().trim()
    if (text !== '') yield `${name} said: ${text}`
    if (!process.running()) yield `${name} (pid ${process.pid}) does not run`
  }
}
