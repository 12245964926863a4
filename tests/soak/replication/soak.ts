/** One cluster from its first start to its last check: faults, and quiet points between them. */
import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createSimRandom } from '@kith/sim'
import { Appender, type AppenderCounts, noAppends } from './appender.ts'
import { check, difference, type Findings } from './check.ts'
import { Copy, Violation } from './copy.ts'
import { type FaultCounts, Faults } from './faults.ts'
import type { Ground } from './ground.ts'
import { type LogView, logOf, readFrom, verify } from './http.ts'
import { Ledger, type LedgerCounts, type Level } from './ledger.ts'
import { Member } from './member.ts'
import { planPhases, type Quota } from './plan.ts'

export interface SoakOptions {
  readonly ground: Ground
  readonly seed: number
  readonly quota: Quota
  /** Between two faults, and between two requests of one appender, on average. */
  readonly paceMs: number
  readonly appendMs: number
  /** No new phase begins after it, once there were `phasesMin`. Default of those: none. */
  readonly endsAt: number
  readonly phasesMin?: number
  /** Leaves the directories of the members and the journal of what was acknowledged. */
  readonly keep: boolean
  readonly print: (line: string) => void
  readonly signal: AbortSignal
}

export interface SoakResult {
  readonly faults: FaultCounts
  readonly appends: AppenderCounts
  readonly acknowledged: LedgerCounts
  readonly findings: Findings
  readonly quietPoints: number
  /** At how many of these, over all members, one waited for its new origin (LOG-15). */
  readonly refusals: number
  /** Most from the end of the last fault to appends at every member and equal chains. */
  readonly convergedMsMax: number
  readonly packetsDropped: number
}

/** All equal within so long after the last fault, with everybody running. */
const convergeMsMax = 60_000
const pollMs = 100
/** Every so many quiet points all is read from the start, and the stores check themselves. */
const fullEvery = 10
const eventsShown = 40

/** Throws the first violation, after it has printed what a person needs to look into it. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const running = new Soak(options)
  try {
    return await running.run()
  } catch (cause) {
    running.explain(cause)
    throw cause
  } finally {
    await running.end()
  }
}

class Soak {
  readonly #options: SoakOptions
  readonly #folder: string
  readonly #journal: number
  readonly #ledger = new Ledger()
  readonly #children = new Set<ChildProcess>()
  readonly #members: readonly Member[]
  readonly #faults: Faults
  readonly #events: string[] = []
  readonly #startedAt = performance.now()
  /** By disk. */
  readonly #copies = new Map<number, Copy>()
  /** Every origin that was seen among the forked ones, also where whoever had it is gone. */
  readonly #forked = new Set<string>()
  #appenders: readonly Appender[] = []
  #quietPoints = 0
  #refusals = 0
  #convergedMsMax = 0

  constructor(options: SoakOptions) {
    this.#options = options
    this.#folder = mkdtempSync(join(tmpdir(), 'kith-soak-'))
    this.#journal = openSync(join(this.#folder, 'acknowledged.ndjson'), 'a')
    const { places } = options.ground
    let disk = 0
    const disks = { next: () => (disk += 1) }
    const track = (child: ChildProcess): void => {
      this.#children.add(child)
      child.once('exit', () => this.#children.delete(child))
    }
    this.#members = places.map((place, at) => {
      // Both storages in each cluster, so that each copies from both.
      const storage = at % 2 === 0 ? 'sqlite' : 'segment'
      const others = places.filter((other) => other !== place).map(({ gossip }) => gossip)
      const options = { place, storage, join: others, folder: this.#folder, disks } as const
      return new Member(options, track)
    })
    this.#faults = new Faults({
      ground: options.ground,
      members: this.#members,
      ledger: this.#ledger,
      note: (text) => this.#note(text),
      stuck: () => this.#stuck(),
    })
  }

  async run(): Promise<SoakResult> {
    const { ground, seed, quota, paceMs, print, signal, endsAt, phasesMin = 0 } = this.#options
    const firewall = ground.firewall !== undefined
    const plan = { seed, quota, places: this.#members.length, paceMs, firewall }
    const phases = planPhases(plan)
    await Promise.all(this.#members.map((member) => member.start()))
    await this.#converged()
    this.#appenders = this.#members.flatMap((member) => [
      this.#appender(member, 'disk'),
      this.#appender(member, 'replicas'),
    ])
    let findings: Findings | undefined
    for (const [at, phase] of phases.entries()) {
      const over = (done: number): boolean => {
        return signal.aborted || (done >= phasesMin && performance.now() > endsAt)
      }
      if (over(at)) break
      const failed = Promise.race(this.#appenders.map(({ done }) => done.then(never)))
      await Promise.race([this.#faults.phase(phase, signal), failed])
      const last = at === phases.length - 1 || over(at + 1)
      findings = await this.#quietPoint(last)
      print(this.#line(findings))
    }
    findings ??= await this.#quietPoint(true)
    for (const appender of this.#appenders) await appender.stop()
    return await this.#result(findings)
  }

  #appender(member: Member, level: Level): Appender {
    const { seed, appendMs } = this.#options
    const id = `${member.place.name}-${level}`
    const random = createSimRandom(seed, `appends of ${id}`)
    return new Appender({
      ...{ member, id, level, paceMs: appendMs, ledger: this.#ledger },
      note: (line) => void writeSync(this.#journal, `${line}\n`),
      random: () => random.float(),
    })
  }

  #refuses(member: number): boolean {
    return this.#appenders.slice(2 * member, 2 * member + 2).some(({ stuck }) => stuck)
  }

  #stuck(): number | undefined {
    const at = this.#members.findIndex((_, member) => this.#refuses(member))
    return at < 0 ? undefined : at
  }

  /** Faults have stopped: everybody converges, and everything is looked at. */
  async #quietPoint(last: boolean): Promise<Findings> {
    const from = performance.now()
    await Promise.all(this.#appenders.map((appender) => appender.rest()))
    const logs = await this.#converged()
    this.#convergedMsMax = Math.max(this.#convergedMsMax, performance.now() - from)
    this.#quietPoints += 1
    const full = last || this.#quietPoints % fullEvery === 0
    const copies = await Promise.all(
      this.#members.map((member, at) => this.#read(member, logs[at]?.origins ?? [], full)),
    )
    if (full) await this.#verify()
    const views = this.#members.map(({ name }, at) => {
      const origins = logs[at]?.origins ?? []
      return { name, origins, copy: copies[at] as Copy, refuses: this.#refuses(at) }
    })
    this.#refusals += views.filter(({ refuses }) => refuses).length
    const findings = check(views, this.#ledger)
    for (const origin of findings.forked) this.#forked.add(origin)
    for (const appender of this.#appenders) appender.goOn()
    return findings
  }

  /** The logs once they agree. What no two members agree about in time is a violation. */
  async #converged(): Promise<readonly LogView[]> {
    const giveUpAt = performance.now() + convergeMsMax
    for (;;) {
      const { logs, missing } = await this.#look().catch((cause: unknown) => {
        return { logs: [], missing: String(cause) }
      })
      if (missing === undefined) return logs
      if (performance.now() > giveUpAt) {
        throw new Violation('unequal', `after ${convergeMsMax} ms without a fault: ${missing}`)
      }
      await delay(pollMs)
    }
  }

  async #look(): Promise<{ logs: readonly LogView[]; missing: string | undefined }> {
    const logs = await Promise.all(this.#members.map(({ place }) => logOf(place.http)))
    const views = logs.map(({ origins }, at) => {
      return { name: this.#members[at]?.name ?? '', origins, refuses: this.#refuses(at) }
    })
    return { logs, missing: difference(views) }
  }

  async #read(member: Member, origins: LogView['origins'], full: boolean): Promise<Copy> {
    const { name, disk, place } = member
    const holes = new Map(origins.map((state) => [state.origin, state.holes]))
    const declared = (origin: string, from: number, to: number): boolean =>
      holes.get(origin)?.some((hole) => hole.from <= from && to <= hole.to) ?? false
    const before = this.#copies.get(disk)
    const copy = full ? new Copy(name, disk, this.#ledger) : before
    const reading = copy ?? new Copy(name, disk, this.#ledger)
    await readFrom(place.http, reading.next, (line) => reading.add(line, declared))
    if (before !== undefined && before !== reading) reading.mustContinue(before)
    this.#copies.set(disk, reading)
    for (const known of this.#copies.keys()) {
      if (!this.#members.some((each) => each.disk === known)) this.#copies.delete(known)
    }
    return reading
  }

  async #verify(): Promise<void> {
    const reports = await Promise.all(this.#members.map(({ place }) => verify(place.http)))
    for (const [at, report] of reports.entries()) {
      if (report === undefined) continue
      throw new Violation('lost', `the store of ${this.#members[at]?.name} is damaged: ${report}`)
    }
  }

  #line(findings: Findings): string {
    const { kills, partitions, replacements, rollBacks } = this.#faults.counts
    const { quota } = this.#options
    const { disk, replicas } = this.#ledger.counts()
    const { records, origins, excused } = findings
    const seconds = Math.round((performance.now() - this.#startedAt) / 1000)
    return (
      `${seconds} s, quiet point ${this.#quietPoints}: ${kills}/${quota.kills} kills, ` +
      `${partitions}/${quota.partitions} partitions, ` +
      `${replacements}/${quota.replacements} replacements, ` +
      `${rollBacks}/${quota.rollBacks} roll-backs; ${replicas} records acknowledged at replicas ` +
      `and ${disk} at disk, ${records} held by the fullest in ${origins} origins, ` +
      `${this.#forked.size} forked, ${excused} gone with the only disk`
    )
  }

  async #result(findings: Findings): Promise<SoakResult> {
    const appends = noAppends()
    for (const { counts } of this.#appenders) {
      for (const key of Object.keys(appends) as (keyof AppenderCounts)[]) {
        appends[key] += counts[key]
      }
    }
    return {
      faults: this.#faults.counts,
      appends,
      acknowledged: this.#ledger.counts(),
      findings: { ...findings, forked: [...this.#forked] },
      quietPoints: this.#quietPoints,
      refusals: this.#refusals,
      convergedMsMax: Math.round(this.#convergedMsMax),
      packetsDropped: (await this.#options.ground.firewall?.dropped()) ?? 0,
    }
  }

  #note(text: string): void {
    const at = ((performance.now() - this.#startedAt) / 1000).toFixed(2)
    this.#events.push(`${at} s ${text}`)
    if (this.#events.length > eventsShown * 10) this.#events.shift()
  }

  /** What a person needs: what broke, what happened before, and what the members said last. */
  explain(cause: unknown): void {
    const { print, seed, keep } = this.#options
    print(cause instanceof Violation ? `VIOLATION ${cause.message}` : String(cause))
    print(`seed ${seed}; what happened before, the last ${eventsShown}:`)
    for (const event of this.#events.slice(-eventsShown)) print(`  ${event}`)
    for (const { name, disk, lines } of this.#members) {
      print(`${name} on disk ${disk} said last:`)
      for (const line of lines.slice(-20)) print(`  ${line}`)
    }
    print(keep ? `kept: ${this.#folder}` : 'run again with --keep to keep the directories')
  }

  async end(): Promise<void> {
    await Promise.all(this.#appenders.map((appender) => appender.stop().catch(() => {})))
    for (const child of this.#children) child.kill('SIGKILL')
    // Whatever a fault was about to start sees its end before the directories go.
    await this.#faults.settled().catch(() => {})
    await Promise.all(this.#members.map((member) => member.end('SIGKILL')))
    closeSync(this.#journal)
    if (!this.#options.keep) rmSync(this.#folder, { recursive: true, force: true })
  }
}

function never(): Promise<never> {
  return new Promise(() => {})
}
