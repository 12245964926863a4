/** At a quiet point: what all members hold, against each other and what was acknowledged. */
import { type Copy, Violation } from './copy.ts'
import type { Ledger, Sent } from './ledger.ts'

/** Of an origin as `GET /v1/log/status` has it. */
export interface OriginView {
  readonly origin: string
  /** The label of the member that wrote it. */
  readonly member: string
  readonly next: number
  readonly chain: string
  readonly status: string
  readonly own?: boolean
  readonly holes: readonly { readonly from: number; readonly to: number }[]
}

export interface MemberView {
  readonly name: string
  readonly origins: readonly OriginView[]
  readonly copy: Copy
  /**
   * It needs a new origin and had one within the hour (LOG-15): it refuses appends, and takes the
   * rest of its own origin only when it may give it up.
   */
  readonly refuses?: boolean
}

export interface Findings {
  /** On the member that holds most. */
  readonly records: number
  readonly origins: number
  /** Origins with a durable fork event at one member at least. */
  readonly forked: readonly string[]
  readonly holes: number
  /** Acknowledged at `disk` by a disk that was lost before anybody else was seen to have it. */
  readonly excused: number
  /** Acknowledged at `replicas: 1` and nobody owes it any more: two disks were lost meanwhile. */
  readonly beyond: number
}

const quarantined = 'quarantined'

/** Two members differ in an origin that neither has stopped; undefined where none do. */
export function difference(
  views: readonly Pick<MemberView, 'name' | 'origins' | 'refuses'>[],
): string | undefined {
  const forked = forkedIn(views)
  const best = new Map<string, OriginView & { readonly by: string }>()
  for (const { name, origins } of views) {
    for (const state of origins) {
      const known = best.get(state.origin)
      if (state.next === 1 || (known !== undefined && known.next >= state.next)) continue
      best.set(state.origin, { ...state, by: name })
    }
  }
  for (const { name, origins, refuses } of views) {
    const mine = new Map(origins.map((state) => [state.origin, state]))
    for (const [origin, wanted] of best) {
      const state = mine.get(origin)
      if (forked.has(origin) || (refuses === true && state?.own === true)) continue
      if (state?.next === wanted.next && state.chain === wanted.chain) continue
      const got = state === undefined ? 'nothing' : `up to ${state.next} with chain ${state.chain}`
      return (
        `${name} has ${got} of ${origin} (of ${wanted.member}), ` +
        `${wanted.by} has up to ${wanted.next} with chain ${wanted.chain}`
      )
    }
  }
  return undefined
}

function forkedIn(views: readonly Pick<MemberView, 'origins'>[]): Set<string> {
  const stopped = views.flatMap(({ origins }) =>
    origins.filter(({ status }) => status === quarantined).map(({ origin }) => origin),
  )
  return new Set(stopped)
}

/** Throws the first `Violation`; what was seen goes into the ledger. */
export function check(views: readonly MemberView[], ledger: Ledger): Findings {
  checkPositions(views)
  checkAgreement(views)
  const different = difference(views)
  if (different !== undefined) throw new Violation('unequal', different)
  const forked = forkedIn(views)
  checkForks(views, forked, ledger)
  const promises = checkPromises(views, ledger)
  const holes = views.flatMap(({ origins }) => origins.flatMap((state) => state.holes))
  const origins = new Set(views.flatMap((view) => view.origins.map(({ origin }) => origin)))
  return {
    records: Math.max(...views.map(({ copy }) => copy.records)),
    origins: origins.size,
    forked: [...forked],
    holes: holes.length,
    ...promises,
  }
}

/** What a member says it holds is what it holds. */
function checkPositions(views: readonly MemberView[]): void {
  for (const { name, origins, copy } of views) {
    const said = new Map(origins.map((state) => [state.origin, state]))
    for (const { origin, next, holes } of origins) {
      const held = copy.origins.get(origin)?.length ?? 0
      const lost = holes.some(({ from, to }) => from <= held + 1 && to === next)
      if (held + 1 === next || lost) continue
      const text = `${name} says that it holds ${origin} up to ${next}, and holds ${held} of it`
      throw new Violation('gap', text)
    }
    for (const origin of copy.origins.keys()) {
      if (!said.has(origin))
        throw new Violation('gap', `${name} holds ${origin} and does not say so`)
    }
  }
}

/** One name is one record, and one record has one name, wherever it is read. */
function checkAgreement(views: readonly MemberView[]): void {
  const names = new Map<Sent, { readonly identity: string; readonly by: string }>()
  const trusted = new Map<string, { readonly sent: Sent | undefined; readonly by: string }>()
  for (const { name, origins, copy } of views) {
    const stopped = new Set(
      origins.filter(({ status }) => status === quarantined).map(({ origin }) => origin),
    )
    for (const [origin, held] of copy.origins) {
      for (const [index, sent] of held.entries()) {
        if (sent === undefined) continue
        const identity = `${origin}/${index + 1}`
        const known = names.get(sent)
        if (known !== undefined && known.identity !== identity) {
          const text = `${sent.key} is ${known.identity} at ${known.by} and ${identity} at ${name}`
          throw new Violation('twice', text)
        }
        if (known === undefined) names.set(sent, { identity, by: name })
        if (stopped.has(origin)) continue
        const other = trusted.get(identity)
        if (other !== undefined && other.sent !== sent) {
          const text = `${identity} is ${other.sent?.key} at ${other.by} and ${sent.key} at ${name}`
          throw new Violation('fork', `${text}, and neither has stopped that origin`)
        }
        if (other === undefined) trusted.set(identity, { sent, by: name })
      }
    }
  }
}

/** Nobody stops an origin whose member never lost any of its past. */
function checkForks(
  views: readonly MemberView[],
  forked: ReadonlySet<string>,
  ledger: Ledger,
): void {
  for (const { name, origins } of views) {
    const wrong = origins.find(
      ({ origin, member }) => forked.has(origin) && !ledger.rolledBack.has(member),
    )
    if (wrong === undefined) continue
    const text = `${name} has ${wrong.origin} of ${wrong.member} among the forked origins`
    throw new Violation('fork', `${text}, and that disk was never rolled back`)
  }
}

function checkPromises(
  views: readonly MemberView[],
  ledger: Ledger,
): Pick<Findings, 'excused' | 'beyond'> {
  const names = new Map(views.map(({ name, copy }) => [copy.disk, name]))
  let [excused, beyond] = [0, 0]
  for (const sent of ledger.records.values()) {
    const { key, level, origin = '', sequence = 0 } = sent
    const found = views.filter(({ copy }) => copy.identityOf(sent) !== undefined)
    const named = `${key}, acknowledged at ${level} as ${origin}/${sequence}`
    const other = found.find(({ copy }) => copy.at(origin, sequence) !== sent)
    if (level !== undefined && other !== undefined) {
      const as = other.copy.identityOf(sent)
      throw new Violation('moved', `${named}, is ${as} at ${other.name}`)
    }
    const { disks, least } = ledger.owed(sent)
    const on = found.map(({ copy }) => copy.disk)
    const missing = disks.find((disk) => !on.includes(disk))
    if (missing !== undefined || on.length < least) {
      const must = disks.map((disk) => names.get(disk) ?? `disk ${disk}`).join(', ')
      const text = `is on ${found.map(({ name }) => name).join(', ') || 'no disk'}`
      throw new Violation('lost', `${named}, ${text}; owed by ${least}, among them ${must}`)
    }
    if (on.length === 0 && level === 'disk') excused += 1
    if (on.length === 0 && level === 'replicas') beyond += 1
    ledger.seen(sent, on)
  }
  return { excused, beyond }
}
