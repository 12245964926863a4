/**
 * Loaded into the agent before the agent itself (`--import`): looks at its heap and at what it
 * holds open when it is asked to, over the channel that whoever started it opened.
 */
import { subscribe } from 'node:diagnostics_channel'
import { readdirSync, readlinkSync } from 'node:fs'
import { Socket } from 'node:net'
import { queryObjects } from 'node:v8'
import type { ChannelMessage } from '@kith/interface/node'

/** What an answer of the probe holds. */
export interface Found {
  readonly heapBytes: number
  readonly rssBytes: number
  readonly held: Readonly<Record<string, number>>
}

const timer = setTimeout(() => {}, 0)
clearTimeout(timer)
const Timeout = timer.constructor as new () => object

/** Also those that keep no process alive, which `getActiveResourcesInfo` does not show. */
function objects(of: abstract new (...args: never[]) => unknown): number {
  return queryObjects(of as new () => object, { format: 'count' })
}

function counted(names: readonly string[], prefix: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) {
    const kind = `${prefix} ${name}`
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
}

/** By what they are: sockets, pipes, or files, whose names matter. */
function descriptors(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      return [readlinkSync(`/proc/self/fd/${name}`).replace(/:\[\d+\]$/, '')]
    } catch {
      // The one with which the folder was read.
      return []
    }
  })
}

function look(): Found {
  const held = {
    timers: objects(Timeout),
    sockets: objects(Socket),
    'abort signals': objects(AbortSignal),
    ...counted(process.getActiveResourcesInfo(), 'resource'),
    ...counted(descriptors(), 'descriptor'),
    ...counted(
      readdirSync('/proc/self/task').map(() => ''),
      'threads',
    ),
  }
  // Counting collected already; what that made free is collected now.
  globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  return { heapBytes: heapUsed, rssBytes: rss, held }
}

process.on('message', () => void process.send?.(look()))
// Whoever started it may go; the agent decides by itself when it ends.
process.channel?.unref()

/** A planted leak, to see that it is found: so many bytes for every member that joins. */
const plantedBytes = Number(process.env['KITH_SOAK_PLANTED_BYTES'] ?? 0)
const planted: string[] = []
if (plantedBytes > 0) {
  subscribe('kith:gossip:event', (message) => {
    const { kind } = message as ChannelMessage
    // Not shared with others: a text of one character repeated would be.
    if (kind === 'join') planted.push(Buffer.alloc(plantedBytes, planted.length).toString('latin1'))
  })
}
