// Three agents of Serf and three of ours in one cluster, driven through both commands: whatever is
// said or done, all come to show the same members, to either command.
import { createHash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { atTier, evidence } from '../support/tier.ts'
import { type Going, planned, type Saying } from './mixed-plan.ts'
import { ask, type Command, type KithRuns } from './support/commands.ts'
import type { Crew } from './support/crew.ts'
import type { KithParty } from './support/kith.ts'
import { allAlive, failureMsMax } from './support/party.ts'
import { pause, within } from './support/process.ts'
import type { SerfParty } from './support/serf.ts'
import { complaints, ownComplaints, stallMs } from './traffic.ts'

const runMs: number = atTier(100_000, 1_800_000)
const seed: number = Number(process.env['KITH_MIXED_SEED'] ?? 1)
const runs: KithRuns = atTier('here', 'process')
/** Views that are also asked for with our command at a quiet point. */
const kithViews: number = atTier(2, 6)
/** A failure takes longest: found at the end of a round, and doubted for as long as may be. */
const agreeMsMax: number = failureMsMax(6) + 30_000
const heardMsMax = 15_000
const pollMs = 500
/** Of an answer that a busy machine brought too late. */
const triesMax = 4
/** Between two things that are said: nobody types faster. */
const sayingMs: number = atTier(700, 1_500)

type Party = SerfParty | KithParty

interface Shown {
  readonly name: string
  readonly addr: string
  readonly status: string
  readonly tags: Readonly<Record<string, string>>
}

interface Known {
  status: 'alive' | 'failed' | 'left'
  readonly tags: Record<string, string>
}

export async function mixed(crew: Crew): Promise<void> {
  const parties = await started(crew)
  const cluster = new Mixed(parties)
  const lateness = monitorEventLoopDelay({ resolution: 20 })
  lateness.enable()
  const until = performance.now() + runMs
  await cluster.agrees()
  for (const { sayings, going } of planned(seed, [...parties.keys()])) {
    if (performance.now() > until) break
    for (const saying of sayings) await Promise.all([cluster.say(saying), pause(sayingMs)])
    await cluster.agrees()
    await cluster.go(going)
  }
  lateness.disable()
  cluster.tell()
  const stalled = cluster.paused || lateness.max / 1e6 > stallMs
  if (stalled) evidence('mixed cluster: the machine stalled, ms', Math.round(lateness.max / 1e6))
  expect(cluster.complaints(stalled)).toEqual([])
}

async function started(crew: Crew): Promise<ReadonlyMap<string, Party>> {
  const first = await crew.serf({ name: 's1', tags: { role: 'web' } })
  const join = first.address
  const others = await Promise.all([
    crew.serf({ name: 's2', tags: { role: 'db' }, join }),
    crew.serf({ name: 's3', join }),
    ...['k1', 'k2', 'k3'].map((name) =>
      crew.kith({ name, tags: { role: 'kith' }, join, built: true }),
    ),
  ])
  const all = [first, ...others]
  await allAlive(all, 20_000)
  return new Map(all.map((party) => [party.name, party]))
}

class Mixed {
  readonly #parties: ReadonlyMap<string, Party>
  readonly #known = new Map<string, Known>()
  readonly #first = new Map<string, Readonly<Record<string, string>>>()
  /** Everybody who was killed at some time, and who left. */
  readonly #killed = new Set<string>()
  readonly #left = new Set<string>()
  readonly #counts = { event: 0, query: 0, tags: 0, kill: 0, leave: 0 }
  readonly #byCommand = { serf: 0, kith: 0 }
  #quietPoints = 0
  #agreedMsMax = 0

  constructor(parties: ReadonlyMap<string, Party>) {
    this.#parties = parties
  }

  /** All who are up show the same, which is what is known; so does either command. */
  async agrees(): Promise<void> {
    const up = [...this.#parties.values()].filter((party) => this.#isUp(party.name))
    const begunAt = performance.now()
    let seen: readonly (readonly Shown[])[] = []
    const agreed = async (): Promise<boolean> => {
      // One is asked until it has heard: six commands each time would be most of the work.
      const one = up[Math.floor(performance.now()) % up.length] as Party
      seen = [await this.#members('serf', one)]
      if (!this.#isKnown(seen[0] ?? [])) return false
      seen = await Promise.all(up.map((party) => this.#members('serf', party)))
      return seen.every((view) => this.#isKnown(view))
    }
    while (!(await agreed())) {
      if (performance.now() - begunAt > agreeMsMax) {
        throw new Error(`no agreement: ${JSON.stringify({ known: [...this.#known], seen })}`)
      }
      await pause(pollMs)
    }
    this.#agreedMsMax = Math.max(this.#agreedMsMax, performance.now() - begunAt)
    // Another part of them each time, of both kinds.
    const turn = up.map((_, at) => up[(at + this.#quietPoints) % up.length] as Party)
    for (const party of turn.slice(0, kithViews)) {
      expect(await this.#members('kith', party), `kith members of ${party.name}`).toEqual(seen[0])
    }
    this.#quietPoints += 1
  }

  #isUp(name: string): boolean {
    return (this.#known.get(name)?.status ?? 'alive') === 'alive'
  }

  /** What was first seen of everybody's tags is what it began with. */
  #isKnown(view: readonly Shown[]): boolean {
    if (view.length !== this.#parties.size) return false
    for (const { name, tags } of view) {
      if (this.#first.size < view.length) this.#first.set(name, tags)
      if (!this.#known.has(name)) this.#known.set(name, { status: 'alive', tags: { ...tags } })
    }
    return view.every(({ name, addr, status, tags }) => {
      const known = this.#known.get(name)
      const there = addr === this.#party(name).address
      return there && status === known?.status && isDeepStrictEqual(tags, known.tags)
    })
  }

  #party(name: string): Party {
    const party = this.#parties.get(name)
    if (party === undefined) throw new Error(`nobody is called ${name}`)
    return party
  }

  #knownOf(name: string): Known {
    const known = this.#known.get(name)
    if (known === undefined) throw new Error(`nothing is known of ${name}`)
    return known
  }

  async #ask(by: Command, party: Party, ...args: readonly string[]): Promise<string> {
    this.#byCommand[by] += 1
    return await ask(by, party.rpc, args, runs)
  }

  async #members(by: Command, party: Party): Promise<readonly Shown[]> {
    const text = await this.#ask(by, party, 'members', '-format=json')
    const { members } = JSON.parse(text) as { readonly members: readonly Shown[] }
    return members.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  async say({ kind, by, at }: Saying): Promise<void> {
    const party = this.#party(at)
    this.#counts[kind] += 1
    const number = this.#counts[kind]
    if (kind === 'tags') {
      const value = createHash('sha256').update(`${seed} ${number}`).digest('hex').slice(0, 8)
      await this.#ask(by, party, 'tags', '-set', `said=${value}`)
      this.#knownOf(at).tags['said'] = value
    } else if (kind === 'event') {
      await this.#ask(by, party, 'event', `said-${number}`, 'x'.repeat(number % 200))
      const serfs = [...this.#parties.values()].filter((one) => one.name.startsWith('s'))
      const heard = (): boolean =>
        serfs.every(({ lines }) =>
          lines.some((line) => line.includes(`user-event: said-${number}`)),
        )
      await within(heardMsMax, `everybody heard event ${number}`, heard)
    } else await this.#query(by, party)
  }

  /** Everybody says that it got the question. */
  async #query(by: Command, party: Party): Promise<void> {
    const names = [...this.#parties.keys()]
    for (let left = triesMax - 1; ; left -= 1) {
      const answer = await this.#ask(by, party, 'query', '-timeout=2s', '-relay-factor=1', 'up')
      const silent = names.filter((name) => !answer.includes(`'${name}'`))
      if (silent.length === 0) return
      if (left === 0) throw new Error(`${silent.join(' and ')} did not acknowledge:\n${answer}`)
    }
  }

  /** Gone, seen as gone by all, and back. */
  async go(going: Going): Promise<void> {
    const { who, kind } = going
    const party = this.#party(who)
    const known = this.#knownOf(who)
    this.#counts[kind] += 1
    if (kind === 'kill') {
      this.#killed.add(who)
      await party.kill()
      known.status = 'failed'
      await this.agrees()
      await party.restart(this.#party(going.seed).address)
    } else {
      this.#left.add(who)
      await this.#ask(going.by, party, 'leave')
      known.status = 'left'
      await this.agrees()
      await party.restart()
      await this.#ask(going.joinsBy, party, 'join', this.#party(going.seed).address)
    }
    known.status = 'alive'
    for (const tag of Object.keys(known.tags)) delete known.tags[tag]
    Object.assign(known.tags, this.#first.get(who), await this.#httpOf(party))
    await this.agrees()
  }

  /** A new process of ours has its HTTP at another port. */
  async #httpOf(party: Party): Promise<Readonly<Record<string, string>>> {
    return 'http' in party ? { 'kith.http': party.http } : {}
  }

  get paused(): boolean {
    return [...this.#parties.values()].some(({ lines }) =>
      lines.some((line) => /paused/.test(line)),
    )
  }

  complaints(stalled: boolean): readonly string[] {
    return [...this.#parties.values()].flatMap((party) => {
      const own = 'http' in party ? ownComplaints(party, stalled) : complaints(party, stalled)
      return own
        .filter((line) => !this.#going(party.name, line))
        .map((line) => `${party.name}: ${line}`)
    })
  }

  /** What is true of a member that was killed or left, of whom it says so, or who said it. */
  #going(party: string, line: string): boolean {
    if (this.#killed.has(party) && backAgain.test(line)) return true
    if (this.#left.has(party) && toldToLeave.test(line)) return true
    if ([...this.#killed].some((name) => dead(name).test(line))) return true
    return [...this.#killed, ...this.#left].some((name) => calledInVain(name).test(line))
  }

  tell(): void {
    evidence('mixed cluster: seed', seed)
    evidence('mixed cluster: done', JSON.stringify(this.#counts))
    evidence('mixed cluster: commands run', JSON.stringify(this.#byCommand))
    evidence('mixed cluster: quiet points', this.#quietPoints)
    evidence('mixed cluster: longest until all agreed, ms', Math.round(this.#agreedMsMax))
  }
}

/** Whoever was killed learns of it, and contradicts. */
const backAgain = /\[WARN\] memberlist: Refuting a (?:suspect|dead) message|"event":"refute"/
/** So ends every agent of Serf that was told to leave. */
const toldToLeave = /\[WARN\] agent: Serf shutdown detected, quitting/

/** Until it is found dead it is doubted, and then it is failed. */
function dead(name: string): RegExp {
  return new RegExp(`"event":"(?:suspect","|member-failed","member":\\{")name":"${name}"`)
}

/** Until it is found gone, in either way, it is called in vain. */
function calledInVain(name: string): RegExp {
  return new RegExp(`\\[ERR\\] memberlist: Push/Pull with ${name} failed: .* connection refused`)
}
