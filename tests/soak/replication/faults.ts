/** Does to the members what the plan says; faults overlap, but not too many are down at once. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Ground } from './ground.ts'
import type { Ledger } from './ledger.ts'
import type { Member } from './member.ts'
import type { Cut, Fault, Kill, Partition, Replacement, RollBack, Shape } from './plan.ts'

export interface FaultCounts {
  kills: number
  /** Of them, so soon after a start that the member was not ready. */
  killsInStart: number
  partitions: number
  replacements: number
  rollBacks: number
  /** Of them, with nobody to ask after the start. */
  blindRollBacks: number
  /** Partitions by shape; `paused` stops a process instead. */
  shapes: Record<Shape | 'paused', number>
}

export const noFaults = (): FaultCounts => ({
  kills: 0,
  killsInStart: 0,
  partitions: 0,
  replacements: 0,
  rollBacks: 0,
  blindRollBacks: 0,
  shapes: { alone: 0, halves: 0, oneWay: 0, paused: 0 },
})

/** Most that are down at once, two of five: the others are a majority, with one to copy to. */
const downMax = (members: number): number => Math.floor((members - 1) / 2)
const pollMs = 20

export interface FaultsOptions {
  readonly ground: Ground
  readonly members: readonly Member[]
  readonly ledger: Ledger
  /** For whoever has to find out what happened. */
  readonly note: (text: string) => void
  /** A member that appends no more, which a replacement may help. */
  readonly stuck: () => number | undefined
}

export class Faults {
  readonly counts: FaultCounts = noFaults()
  readonly #options: FaultsOptions
  readonly #running = new Set<Promise<void>>()
  /** Members that a fault has in its hands, which no other touches meanwhile. */
  readonly #held = new Set<Member>()
  #failure: unknown

  constructor(options: FaultsOptions) {
    this.#options = options
  }

  /** Does one phase, and resolves when everything in it is over. */
  async phase(faults: readonly Fault[], signal: AbortSignal): Promise<void> {
    for (const fault of faults) {
      await delay(fault.afterMs, undefined, { signal }).catch(() => {})
      if (this.#failure !== undefined || signal.aborted) break
      await this.#begin(fault)
    }
    await this.settled()
  }

  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
    if (this.#failure !== undefined) throw this.#failure
  }

  async #begin(fault: Fault): Promise<void> {
    if (fault.kind === 'partition') return this.#cut(fault)
    const stuck = fault.kind === 'replacement' ? this.#options.stuck() : undefined
    const fits = (member: Member): boolean => fault.kind !== 'rollBack' || !member.rolledBack
    const member = await this.#take(stuck ?? fault.place, fits)
    const act = async (): Promise<void> => {
      if (fault.kind === 'kill') await this.#kill(member, fault)
      else if (fault.kind === 'replacement') await this.#replace(member, fault)
      else await this.#rollBack(member, fault)
    }
    this.#go(act().finally(() => this.#held.delete(member)))
  }

  #go(work: Promise<void>): void {
    const watched = work
      .catch((cause: unknown) => {
        this.#failure ??= cause
      })
      .finally(() => this.#running.delete(watched))
    this.#running.add(watched)
  }

  /** The member that is meant, or the next that nothing is done to, once few enough are down. */
  async #take(place: number, fits: (member: Member) => boolean = () => true): Promise<Member> {
    const { members } = this.#options
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const order = members.map((_, at) => members[(place + at) % members.length])
      const free = order.filter((each) => each !== undefined && !this.#held.has(each))
      const member = free.find((each) => each !== undefined && fits(each)) ?? free[0]
      if (member !== undefined && this.#held.size < downMax(members.length)) {
        this.#held.add(member)
        return member
      }
      await delay(pollMs)
    }
  }

  async #kill(member: Member, { downMs, againMs }: Kill): Promise<void> {
    await this.#killNow(member, 'kill -9')
    await delay(downMs)
    if (againMs !== undefined) {
      const starting = member.start()
      await delay(againMs)
      this.counts.killsInStart += (await isPending(starting)) ? 1 : 0
      await this.#killNow(member, `kill -9, ${againMs} ms after its start`)
      await starting
    }
    await this.#start(member)
  }

  async #killNow(member: Member, what: string): Promise<void> {
    this.#options.note(`${member.name}: ${what}`)
    this.counts.kills += 1
    await member.end('SIGKILL')
  }

  async #start(member: Member): Promise<void> {
    await member.start()
    this.#options.note(`${member.name}: runs again`)
  }

  async #cut(partition: Partition): Promise<void> {
    const { ground } = this.#options
    const { shape, cuts, forMs } = partition
    this.counts.partitions += 1
    if (ground.firewall === undefined) return this.#pause(cuts, forMs)
    this.counts.shapes[shape] += 1
    this.#options.note(`partition, ${shape}, for ${forMs} ms: ${showCuts(cuts)}`)
    const heal = await ground.firewall.cut(cuts)
    this.#go(
      delay(forMs).then(async () => {
        await heal()
        this.#options.note(`healed: ${showCuts(cuts)}`)
      }),
    )
  }

  /** Without a firewall: nobody hears anything from a process that stands still. */
  async #pause(cuts: readonly Cut[], forMs: number): Promise<void> {
    this.counts.shapes.paused += 1
    const member = await this.#take(cuts[0]?.[0] ?? 0)
    this.#options.note(`${member.name}: stands still for ${forMs} ms`)
    member.signal('SIGSTOP')
    this.#go(
      delay(forMs).then(() => {
        member.signal('SIGCONT')
        this.#options.note(`${member.name}: goes on`)
        this.#held.delete(member)
      }),
    )
  }

  async #replace(member: Member, { name, downMs }: Replacement): Promise<void> {
    const { ledger, note } = this.#options
    note(`${member.name}: gone for good with its disk ${member.disk}`)
    ledger.diskLost(member.disk)
    await member.end('SIGKILL')
    await member.replace(name)
    this.counts.replacements += 1
    await delay(downMs)
    await member.start()
    note(`${member.name}: new, with the empty disk ${member.disk}`)
  }

  async #rollBack(member: Member, fault: RollBack): Promise<void> {
    const { ledger, note, ground } = this.#options
    await member.end(fault.image === 'orderly' ? 'SIGTERM' : 'SIGKILL')
    await member.takeImage()
    note(`${member.name}: an image was taken, ${fault.image}`)
    await this.#start(member)
    await delay(fault.ageMs)
    note(`${member.name}: disk ${member.disk} rolled back by ${fault.ageMs} ms`)
    ledger.diskLost(member.disk)
    ledger.rolledBack.add(member.name)
    await member.end('SIGKILL')
    await member.rollBack()
    this.counts.rollBacks += 1
    await delay(fault.downMs)
    const blind = fault.blindMs > 0 ? ground.firewall : undefined
    const heal = await blind?.cut(this.#aloneness(member))
    if (heal !== undefined) this.counts.blindRollBacks += 1
    await this.#start(member)
    if (heal === undefined) return
    await delay(fault.blindMs)
    await heal()
    note(`${member.name}: hears the others again`)
  }

  #aloneness(member: Member): readonly Cut[] {
    const { members } = this.#options
    const me = members.indexOf(member)
    return members.flatMap((_, at): Cut[] => {
      return at === me
        ? []
        : [
            [me, at],
            [at, me],
          ]
    })
  }
}

function showCuts(cuts: readonly Cut[]): string {
  return cuts.map(([from, to]) => `p${from + 1}>p${to + 1}`).join(' ')
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending')
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending
}
