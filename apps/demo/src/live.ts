/** The cluster before your eyes: five members, fed slowly enough to watch, until Ctrl-C. */
import { setTimeout as delay } from 'node:timers/promises'
import { describe } from './check.ts'
import type { Cluster, Seat } from './cluster.ts'
import { type Corpus, share } from './corpus.ts'
import { feed, type Feed } from './feeder.ts'
import { onKeys } from './keys.ts'
import { createScreen, readRow, renderTable } from './view.ts'

const LATE_MS = 6000
const PICTURE_MS = 250
/** Pace of the feeds: a newcomer should see records arrive, and lag rise and fall. */
const RECORDS_MAX = 50
const PACE_MS = 100

export async function runLive(
  cluster: Cluster,
  corpus: Corpus,
  signal: AbortSignal,
): Promise<number> {
  const feeds = new Map<string, Feed>()
  const screen = createScreen(process.stdout)
  process.stdout.write(`${describe(corpus)}\ndata: ${cluster.folder}\n\n`)
  const begin = async (seat: Seat): Promise<void> => {
    await cluster.start(seat)
    feeds.set(seat.name, beginFeed(cluster, corpus, seat, signal))
  }
  const starting = startAll(cluster, begin, signal)
  const giveBack = onKeys(process.stdin, (key) => {
    const desk = cluster.seats[Number(key) - 1]?.desk
    if (desk) desk.sick = !desk.sick
  })
  try {
    while (!signal.aborted) {
      const rows = await Promise.all(
        cluster.seats.map((seat) => readRow(seat, feeds.get(seat.name))),
      )
      screen.show(renderTable(rows, footer(cluster, feeds, corpus)))
      await Promise.race([delay(PICTURE_MS), starting.failed])
    }
    return 0
  } finally {
    giveBack()
    screen.close()
    // What is starting still is awaited, so that nothing begins after the end.
    await starting.done.catch(() => {})
  }
}

interface Starting {
  readonly done: Promise<void>
  /** Never resolves; rejects when a member does not start. */
  readonly failed: Promise<never>
}

function startAll(
  cluster: Cluster,
  begin: (seat: Seat) => Promise<void>,
  signal: AbortSignal,
): Starting {
  const run = async (): Promise<void> => {
    const [first, ...others] = cluster.seats
    const late = others.pop()
    if (first) await begin(first)
    await Promise.all(others.map(begin))
    await delay(LATE_MS, undefined, { signal }).catch(() => {})
    if (late && !signal.aborted) await begin(late)
  }
  const done = run()
  const failed = new Promise<never>((_resolve, reject) => {
    done.catch(reject)
  })
  failed.catch(() => {})
  return { done, failed }
}

function beginFeed(cluster: Cluster, corpus: Corpus, seat: Seat, signal: AbortSignal): Feed {
  return feed({
    http: () => seat.process?.http ?? '',
    producer: `demo-${seat.name}`,
    lines: share(corpus.lines, cluster.seats.indexOf(seat), cluster.seats.length),
    recordsMax: RECORDS_MAX,
    paceMs: PACE_MS,
    signal,
    retryMs: 60_000,
  })
}

function footer(cluster: Cluster, feeds: ReadonlyMap<string, Feed>, corpus: Corpus): string[] {
  const fed = [...feeds.values()].reduce((sum, each) => sum + each.acknowledged().length, 0)
  const first = cluster.seats[0]?.process
  const { http = 'HOST:PORT', consul = 'HOST:PORT' } = first ?? {}
  return [
    fed === corpus.lines.length
      ? `all ${fed} lines are stored; try "kill -9 PID" in another terminal, and watch`
      : `${fed} of ${corpus.lines.length} lines stored`,
    `ask a member yourself: curl http://${http}/v1/members`,
    `as a tool made for Consul does: curl http://${consul}/v1/catalog/services`,
    `sick or well: ${process.stdin.isTTY ? 'keys 1 to 5, or ' : ''}` +
      `curl -X POST http://${cluster.seats[0]?.desk?.address ?? 'DESK'}/sick (/well)`,
    'Ctrl-C: all members leave; twice: end at once',
  ]
}
