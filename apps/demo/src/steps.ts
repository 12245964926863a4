/** The eight steps. Each resolves with what it measured, or throws what was broken. */
import { logOf, membersOf, resolve, servicesOf } from './api.ts'
import type { Cluster, Seat } from './cluster.ts'
import { type Corpus, type CorpusLine, renamed, share } from './corpus.ts'
import { feed, type Feed } from './feeder.ts'
import { difference, exactlyOnce, storesWhole } from './verify.ts'
import { eventually, promised } from './wait.ts'

/** What the steps hand on to each other. */
export interface Story {
  readonly cluster: Cluster
  readonly corpus: Corpus
  readonly signal: AbortSignal
  feeds: Feed[]
  /** Lines of feeds that ended: each must be in every log, exactly once. */
  sent: CorpusLine[]
}

export interface Step {
  readonly title: string
  run(story: Story): Promise<string>
}

const RECORDS_MAX = 250
/** Lines of the later feeds: enough that a kill falls in their middle, and soon read back. */
const MORE_LINES_MAX = 15_000
const KILL_AFTER_LINES = 1000
/** The victim's requests come slowly enough that the kill does not miss them. */
const KILLED_PACE_MS = 20
/**
 * Longest time to a failed member of five in profile lan: (2 x 5 - 1) probe intervals of 1 s until
 * somebody probes it, and the suspicion maximum of 24 s.
 */
const FAILED_MS = 33_000
/** Whatever gossip missed comes with the next exchange of whole states, every 30 s. */
const SETTLED_MS = 45_000

export const steps: readonly Step[] = [
  { title: 'five processes, one of them late: all see all', run: allSeeAll },
  { title: 'every service resolves from every member', run: allResolve },
  { title: 'a sick instance is not handed out, a well one is', run: sickAndWell },
  { title: 'every member holds every record, exactly once', run: allHold },
  { title: 'kill -9 during appends: failed, not resolved', run: killed },
  { title: 'restart: rejoins, catches up, nothing lost or twice', run: restarted },
  { title: 'a member leaves: left, deregistered, no failure', run: leaves },
  { title: 'relay: records of a dead member come from another', run: relay },
]

/** Four begin, and are fed at once; the fifth comes late and has to catch up. */
async function allSeeAll(story: Story): Promise<string> {
  const { cluster } = story
  const [first, ...others] = cluster.seats
  const late = others.pop()
  if (!first || !late) throw new Error('the demo has five members')
  await cluster.start(first)
  await Promise.all(others.map((seat) => cluster.start(seat)))
  const { seats, corpus } = { ...cluster, corpus: story.corpus }
  const feeders = seats.filter((seat) => seat !== late)
  feeders.forEach((seat, at) =>
    beginFeed(story, seat, 'first', share(corpus.lines, at, seats.length)),
  )
  await cluster.start(late)
  const lateLines = share(corpus.lines, seats.length - 1, seats.length)
  beginFeed(story, late, 'first', lateLines)
  const from = performance.now()
  await eventually('all see all', SETTLED_MS, () => unseen(seats, seats.length))
  const ms = Math.round(performance.now() - from)
  return `5 members seen by all 5, ${ms} ms after the last was ready`
}

async function unseen(seats: readonly Seat[], count: number): Promise<string | undefined> {
  for (const { name, process } of seats) {
    const members = await membersOf(process?.http ?? '')
    const alive = members.filter(({ status }) => status === 'alive').length
    if (alive !== count) return `${name} sees ${alive} alive of ${count}`
  }
  return undefined
}

async function allResolve({ cluster: { seats } }: Story): Promise<string> {
  let resolved = 0
  for (const asked of seats) {
    for (const { service, name } of seats) {
      await eventually(`${asked.name} resolves ${service}`, SETTLED_MS, async () => {
        const instances = await resolve(asked.process?.http ?? '', service)
        const [instance] = instances
        if (!instance || instances.length > 1) return `${instances.length} instances`
        if (instance.member !== name) return `it is said to be of ${instance.member}`
        const answer = await fetch(`http://${instance.address}:${instance.port}/`)
        return (await answer.text()) === `${name} is here\n` ? undefined : 'somebody else answers'
      })
      resolved += 1
    }
  }
  return `${resolved} resolutions, each address called`
}

async function sickAndWell({ cluster }: Story): Promise<string> {
  const { seats } = cluster
  const patient = cluster.seat('ben')
  if (patient.desk === undefined) throw new Error('every member has a desk')
  patient.desk.sick = true
  const sickAt = performance.now()
  await eventually(`${patient.service} resolves nowhere`, SETTLED_MS, () =>
    resolving(seats, patient),
  )
  const gone = Math.round(performance.now() - sickAt)
  const held = await servicesOf(seats[0]?.process?.http ?? '')
  promised(
    held.some(({ service, instances }) => service === patient.service && instances === 1),
    `${patient.service} was deregistered, not only held back`,
  )
  patient.desk.sick = false
  const wellAt = performance.now()
  for (const asked of seats) {
    await eventually(`${asked.name} resolves ${patient.service}`, SETTLED_MS, async () => {
      const found = await resolve(asked.process?.http ?? '', patient.service)
      return found.length === 1 ? undefined : `${found.length} instances`
    })
  }
  const back = Math.round(performance.now() - wellAt)
  return `made sick, resolved by none of 5 after ${gone} ms; made well, by all after ${back} ms`
}

async function allHold(story: Story): Promise<string> {
  const { seats } = story.cluster
  await endFeeds(story)
  const records = story.sent.length
  await eventually('equal logs', 60_000, () => difference(seats, records))
  const read = await exactlyOnce(seats, story.sent)
  await storesWhole(seats)
  return `${records} records on each of 5, ${read} read back, chains equal`
}

async function killed(story: Story): Promise<string> {
  const { cluster, corpus } = story
  const { seats } = cluster
  const victim = cluster.seat('cleo')
  const more = corpus.lines.slice(0, MORE_LINES_MAX)
  seats.forEach((seat, at) => {
    const lines = renamed(share(more, at, seats.length), 'second')
    beginFeed(story, seat, 'second', lines, seat === victim ? KILLED_PACE_MS : 0)
  })
  const feedOfVictim = story.feeds[seats.indexOf(victim)]
  await eventually('appends are under way', SETTLED_MS, async () =>
    (feedOfVictim?.acknowledged().length ?? 0) >= KILL_AFTER_LINES ? undefined : 'too few so far',
  )
  const acknowledged = feedOfVictim?.acknowledged().length ?? 0
  promised(acknowledged < (feedOfVictim?.total ?? 0), 'the appends ended before the kill')
  victim.process?.kill('SIGKILL')
  const from = performance.now()
  await victim.process?.exited
  const others = seats.filter((seat) => seat !== victim)
  await eventually(`${victim.name} is failed everywhere`, FAILED_MS, () =>
    unlike(others, victim, 'failed'),
  )
  const ms = Math.round(performance.now() - from)
  await eventually(`${victim.service} resolves nowhere`, SETTLED_MS, () =>
    resolving(others, victim),
  )
  return `killed after ${acknowledged} of its lines; failed at all others after ${ms} ms`
}

async function unlike(
  seats: readonly Seat[],
  seat: Seat,
  wanted: string,
): Promise<string | undefined> {
  for (const { name, process } of seats) {
    const members = await membersOf(process?.http ?? '')
    const status = members.find((member) => member.name === seat.name)?.status
    if (status !== wanted) return `${name} has it as ${status}`
  }
  return undefined
}

async function resolving(seats: readonly Seat[], seat: Seat): Promise<string | undefined> {
  for (const { name, process } of seats) {
    const instances = await resolve(process?.http ?? '', seat.service)
    if (instances.length > 0) return `${name} still resolves it`
  }
  return undefined
}

async function restarted(story: Story): Promise<string> {
  const { cluster } = story
  const { seats } = cluster
  const victim = cluster.seat('cleo')
  const before = story.feeds[seats.indexOf(victim)]?.acknowledged() ?? []
  await cluster.start(victim)
  const from = performance.now()
  await eventually('it is alive everywhere', SETTLED_MS, () => unseen(seats, seats.length))
  const back = Math.round(performance.now() - from)
  await endFeeds(story)
  const records = story.sent.length
  await eventually('equal logs', 60_000, () => difference(seats, records))
  const caughtUp = Math.round(performance.now() - from)
  promised(before.length > 0, 'it had acknowledged nothing')
  await exactlyOnce(seats, story.sent)
  await storesWhole(seats)
  return (
    `back after ${back} ms, equal after ${caughtUp} ms; ` +
    `its ${before.length} acknowledged lines and all ${records} records there once`
  )
}

async function leaves(story: Story): Promise<string> {
  const { cluster } = story
  const leaver = cluster.seat('dan')
  const others = cluster.seats.filter((seat) => seat !== leaver)
  const heard = new Map(others.map(({ name, process }) => [name, process?.lines.length ?? 0]))
  leaver.process?.kill('SIGTERM')
  const from = performance.now()
  await eventually('it is left everywhere', SETTLED_MS, () => unlike(others, leaver, 'left'))
  await eventually(`${leaver.service} resolves nowhere`, SETTLED_MS, () =>
    resolving(others, leaver),
  )
  await eventually(`${leaver.service} is deregistered`, SETTLED_MS, () =>
    registered(others, leaver),
  )
  const ms = Math.round(performance.now() - from)
  const code = await leaver.process?.exited
  promised(code === 0, `it ended with ${code}, not 0`)
  for (const { name, process } of others) {
    const since = process?.lines.slice(heard.get(name)) ?? []
    const failure = since.find(
      ({ event, member }) =>
        event === 'member-failed' && (member as { name?: unknown }).name === leaver.name,
    )
    promised(failure === undefined, `${name} reported ${leaver.name} as failed`)
  }
  return `left and deregistered at all others after ${ms} ms, no failure reported, exit code 0`
}

async function registered(seats: readonly Seat[], seat: Seat): Promise<string | undefined> {
  for (const { name, process } of seats) {
    const services = await servicesOf(process?.http ?? '')
    if (services.some(({ service }) => service === seat.service)) return `${name} still lists it`
  }
  return undefined
}

async function relay(story: Story): Promise<string> {
  const { cluster, corpus } = story
  const [a, b, c] = ['ada', 'ben', 'eve'].map((name) => cluster.seat(name)) as [Seat, Seat, Seat]
  const rest = cluster.seats.filter(({ process }) => process?.running() === true)
  c.process?.kill('SIGSTOP')
  beginFeed(story, a, 'third', renamed(corpus.lines.slice(0, MORE_LINES_MAX), 'third'))
  await endFeeds(story)
  const held = await logOf(a.process?.http ?? '')
  const own = held.origins.find((state) => state.own)
  promised(own !== undefined, `${a.name} has no origin of its own`)
  const lacking = async (seat: Seat): Promise<string | undefined> => {
    const { origins } = await logOf(seat.process?.http ?? '')
    const state = origins.find(({ origin }) => origin === own.origin)
    if (state?.next === own.next && state.chain === own.chain) return undefined
    return `${seat.name} is at ${state?.next ?? 'nothing'} of ${own.next}`
  }
  await eventually(`${b.name} has all of ${a.name}`, SETTLED_MS, () => lacking(b))
  a.process?.kill('SIGKILL')
  await a.process?.exited
  c.process?.kill('SIGCONT')
  const from = performance.now()
  await eventually(`${c.name} has all of ${a.name}`, SETTLED_MS, () => lacking(c))
  const ms = Math.round(performance.now() - from)
  const left = rest.filter((seat) => seat !== a)
  await eventually('equal logs', SETTLED_MS, () => difference(left, story.sent.length))
  await exactlyOnce(left, story.sent)
  return `${c.name} had all ${own.next - 1} records of ${a.name} from the others after ${ms} ms`
}

function beginFeed(
  story: Story,
  seat: Seat,
  phase: string,
  lines: readonly CorpusLine[],
  paceMs = 0,
): void {
  story.feeds.push(
    feed({
      http: () => seat.process?.http ?? '',
      producer: `demo-${phase}-${seat.name}`,
      lines,
      recordsMax: RECORDS_MAX,
      paceMs,
      signal: story.signal,
      retryMs: 60_000,
    }),
  )
}

/** Waits for all feeds; their lines are from here on what every log must hold. */
async function endFeeds(story: Story): Promise<void> {
  await Promise.all(story.feeds.map(({ done }) => done))
  for (const each of story.feeds) for (const one of each.acknowledged()) story.sent.push(one)
  story.feeds = []
}
