// A member of a mixed cluster, whatever it is made of, as the scenarios see it.
import { within } from './process.ts'

export interface SeenMember {
  readonly status: string
  readonly tags: Readonly<Record<string, string>>
}

export interface Party {
  readonly name: string
  /** `host:port` of its gossip. */
  readonly address: string
  members(): Promise<ReadonlyMap<string, SeenMember>>
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>
  /** The graceful way out, and waits for the end. */
  leave(): Promise<void>
  /** The same name at the same address, as a new process. */
  restart(join?: string): Promise<void>
  readonly lines: readonly string[]
}

export async function statusOf(viewer: Party, name: string): Promise<string | undefined> {
  return (await viewer.members()).get(name)?.status
}

/** Milliseconds until all `viewers` see `name` as `status`. */
export function allSee(
  viewers: readonly Party[],
  name: string,
  status: string,
  withinMs: number,
): Promise<number> {
  const look = (): Promise<readonly (string | undefined)[]> =>
    Promise.all(viewers.map((viewer) => statusOf(viewer, name)))
  const holds = async (): Promise<boolean> => (await look()).every((seen) => seen === status)
  return within(withinMs, `${name} is ${status}`, holds, look)
}

/** Milliseconds until all see all of each other alive. */
export function allAlive(parties: readonly Party[], withinMs: number): Promise<number> {
  const look = async (): Promise<readonly string[]> => {
    const views = await Promise.all(parties.map((party) => party.members()))
    return views.flatMap((view, index) =>
      parties
        .filter(({ name }) => view.get(name)?.status !== 'alive')
        .map(({ name }) => `${parties[index]?.name} sees ${name} ${view.get(name)?.status}`),
    )
  }
  const holds = async (): Promise<boolean> => (await look()).length === 0
  return within(withinMs, 'all see all alive', holds, look)
}

/**
 * The longest a failure may take on `lan`: the round that reaches the dead member at its very end,
 * and the suspicion at its longest (memberlist's formula; without room for confirmations its
 * longest is its shortest).
 */
export function failureMsMax(members: number): number {
  const [probeMs, factor, maxFactor] = [1000, 4, 6]
  const scale = Math.max(1, Math.log10(Math.max(1, members)))
  const shortest = factor * Math.floor(scale * 1000) * (probeMs / 1000)
  const confirmable = members - 2 >= factor - 2
  return (2 * members - 1) * probeMs + shortest * (confirmable ? maxFactor : 1)
}
