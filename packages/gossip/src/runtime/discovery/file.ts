/** Addresses in a file that somebody else keeps: a line each. */
import { open, stat } from 'node:fs/promises'
import type { Clock, DiscoveryFactory, Logger, OptionProblem } from '@kith/interface'
import { showValue } from '@kith/interface'
import { optionsError } from '../../errors.ts'
import { parseSeed } from '../options.ts'
import { createDiscovery } from './lifecycle.ts'

const fileBytesMax = 1_048_576
const pollMsDefault = 2000

export interface FileDiscoveryOptions {
  /** Milliseconds between two looks whether the file changed, 100 to 3,600,000; default 2,000. */
  readonly pollMs?: number
}

/**
 * Finds what stands in the file: an address a line as `join` takes it; empty lines and lines that
 * begin with `#` say nothing. At most 1 MiB. A changed file is noticed, also where it was replaced,
 * or was not there before. Lines that are no addresses are left out and logged.
 */
export function fileDiscovery(path: string, options: FileDiscoveryOptions = {}): DiscoveryFactory {
  const { pollMs = pollMsDefault } = options
  const problems: OptionProblem[] = []
  if (typeof path !== 'string' || path === '') {
    problems.push({ field: 'path', got: showValue(path), want: 'the path of a file' })
  }
  if (!Number.isInteger(pollMs) || pollMs < 100 || pollMs > 3_600_000) {
    const want = 'an integer from 100 to 3600000'
    problems.push({ field: 'pollMs', got: showValue(pollMs), want })
  }
  const error = optionsError(problems)
  if (error !== undefined) throw error
  return (context) => {
    const { clock, logger } = context
    return createDiscovery(
      {
        name: `file ${path}`,
        look: () => readSeeds(path, logger),
        watch: (changed, signal) => watchFile({ path, pollMs, clock, changed, signal }),
      },
      context,
    )
  }
}

async function readSeeds(path: string, logger: Logger): Promise<readonly string[]> {
  const seeds: string[] = []
  for (const [index, line] of (await readText(path)).split('\n').entries()) {
    const seed = line.trim()
    if (seed === '' || seed.startsWith('#')) continue
    if (parseSeed(seed, 7946) !== undefined) seeds.push(seed)
    else logger.warn({ path, line: index + 1, got: showValue(seed) }, 'a line is no address')
  }
  return seeds
}

async function readText(path: string): Promise<string> {
  await using file = await open(path, 'r')
  // One byte more than is allowed says that there is more.
  const bytes = Buffer.alloc(fileBytesMax + 1)
  let length = 0
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length)
    length += bytesRead
    if (bytesRead === 0 || length === bytes.length) break
  }
  if (length > fileBytesMax) throw new Error(`it has more than ${fileBytesMax} bytes`)
  return bytes.toString('utf8', 0, length)
}

interface Watched {
  readonly path: string
  readonly pollMs: number
  readonly clock: Clock
  readonly changed: () => void
  readonly signal: AbortSignal
}

/** Asks now and then, because watching by the system misses files that are replaced or linked. */
async function watchFile({ path, pollMs, clock, changed, signal }: Watched): Promise<void> {
  let last: string | undefined
  let cancel = (): void => {}
  const look = async (): Promise<void> => {
    const now = await markOf(path)
    if (signal.aborted) return
    if (last !== undefined && now !== last) changed()
    last = now
    cancel = clock.after(pollMs, () => void look())
  }
  signal.addEventListener('abort', () => cancel(), { once: true })
  await look()
}

/** What differs where the content may differ. */
async function markOf(path: string): Promise<string> {
  try {
    const { mtimeNs, size, ino } = await stat(path, { bigint: true })
    return `${mtimeNs} ${size} ${ino}`
  } catch {
    return 'none'
  }
}
