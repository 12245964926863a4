/**
 * What keeps a member in touch beyond what gossip itself does: its snapshot file, its discoveries,
 * and the looking for others that both feed.
 */
import type { Address, Member, MemberEvent } from '@kith/interface'
import { members, progress } from '../core/index.ts'
import type { GossipEvent, JoinOutcome, Progress, State } from '../core/index.ts'
import { keepLooking } from './looking.ts'
import type { Looking } from './looking.ts'
import type { ResolvedGossipOptions } from './options.ts'
import { openRecorder } from './recorder.ts'
import type { Recorder, Standing } from './recorder.ts'
import { seedsWarning } from './refusal.ts'
import { createSources } from './sources.ts'
import type { Sources } from './sources.ts'
import type { GossipWarning } from './types.ts'
import type { CountOf } from './counters.ts'

/** The running member, as far as it is needed here. */
export interface LookoutMember {
  /** Its address now; it may change. */
  readonly address: Address
  readonly members: () => readonly Member[]
  readonly now: () => Standing
  /** Exchanges state with each address; rejects once this member stops. */
  readonly join: (addresses: readonly Address[]) => Promise<JoinOutcome>
}

export function lookedOutFor(state: State, join: LookoutMember['join']): LookoutMember {
  return {
    get address() {
      return state.address
    },
    members: () => members(state),
    now: () => progress(state),
    join,
  }
}

export interface LookoutOptions {
  readonly options: ResolvedGossipOptions
  readonly count: CountOf
  readonly warn: (warning: GossipWarning) => void
}

export interface Lookout {
  /** What the core goes on with; undefined without a snapshot. */
  readonly restored: Progress | undefined
  /** Whoever was a member in an earlier life wants what it missed; a newcomer missed nothing. */
  readonly belonged: boolean
  /** Rejects where a discovery does not start; `close` is due all the same. */
  begin(member: LookoutMember, signal: AbortSignal): Promise<void>
  tell(event: GossipEvent): void
  /** Looks for nobody any more, and sees to it that the next start does not either. */
  leave(): Promise<void>
  /** Resolves within a bound. */
  close(): Promise<void>
}

/** Rejects with `ERR_GOSSIP_SNAPSHOT` where the snapshot file cannot be used. */
export async function openLookout(options: LookoutOptions): Promise<Lookout> {
  const { name, snapshot, rejoinAfterLeave, timings, context } = options.options
  if (snapshot === undefined) return new OpenLookout(options, undefined)
  const recorder = await openRecorder({
    path: snapshot,
    name,
    rejoinAfterLeave,
    timings,
    clock: context.clock,
    count: options.count,
    failed: (cause) => options.warn({ kind: 'snapshotFailed', cause }),
  })
  return new OpenLookout(options, recorder)
}

class OpenLookout implements Lookout {
  readonly #options: LookoutOptions
  readonly #recorder: Recorder | undefined
  #sources: Sources | undefined
  #looking: Looking | undefined
  #gone = false
  #closed: Promise<void> | undefined

  constructor(options: LookoutOptions, recorder: Recorder | undefined) {
    this.#options = options
    this.#recorder = recorder
  }

  get belonged(): boolean {
    return (this.#recorder?.remembered().length ?? 0) > 0
  }

  get restored(): Progress | undefined {
    return this.#recorder?.restored
  }

  async begin(member: LookoutMember, signal: AbortSignal): Promise<void> {
    const { options, count, warn } = this.#options
    const { seeds, discovery, context } = options
    this.#recorder?.begin(member.now)
    const discoveries = discovery.map((factory) => factory(context))
    const sources = createSources({
      clock: context.clock,
      seeds,
      discoveries,
      defaultPort: member.address.port,
      count,
      failed: (name, cause) => warn({ kind: 'discoveryFailed', name, cause }),
    })
    this.#sources = sources
    const changed = (): void => this.#looking?.nudge('sourceChanged')
    await Promise.all(discoveries.map((one) => one.start({ changed }, { signal })))
    const nothing = seeds.length + discoveries.length === 0 && this.#recorder === undefined
    if (nothing || this.#gone) return
    this.#looking = keepLooking({
      clock: context.clock,
      random: context.random,
      self: () => member.address,
      members: member.members,
      find: () => sources.find(),
      remembered: () => this.#recorder?.remembered() ?? [],
      join: member.join,
      unreachable: (failures, problems) => warn(seedsWarning(failures, problems)),
      count,
    })
  }

  tell(event: GossipEvent): void {
    if (event.kind === 'event') this.#recorder?.delivered('eventClock', event.lamportTime)
    if (event.kind === 'query') this.#recorder?.delivered('queryClock', event.lamportTime)
    if (!isAboutMember(event)) return
    this.#recorder?.member(event)
    if (event.kind === 'fail' || event.kind === 'leave') this.#looking?.nudge('memberGone')
  }

  async leave(): Promise<void> {
    this.#gone = true
    this.#looking?.stop()
    await this.#recorder?.leave()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#gone = true
    this.#looking?.stop()
    await Promise.all([this.#sources?.stop(), this.#recorder?.close()])
  }
}

function isAboutMember(event: GossipEvent): event is GossipEvent & MemberEvent {
  return 'member' in event
}
