/** Contenders that take turns: slice after slice, each round in another order. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Contender, Page } from './contender.ts'
import { turns } from './statistics.ts'

export interface Plan {
  readonly rounds: number
  readonly sliceMs: number
}

/** Rates of each contender, one a round. */
export type Rates = ReadonlyMap<Contender, readonly number[]>

/** Records a second that were acknowledged, one commit of `values` after the other. */
export async function appendRates(
  contenders: readonly Contender[],
  values: readonly Uint8Array[],
  plan: Plan,
): Promise<Rates> {
  return takeTurns(contenders, plan, async (contender) => {
    await contender.append(values)
    return values.length
  })
}

/** Records a second that were read, in order, page by page, out of what was appended before. */
export async function readRates(
  contenders: readonly Contender[],
  recordBytes: number,
  plan: Plan,
): Promise<Rates> {
  return takeTurns(contenders, plan, async (contender) => {
    const { records, bytes }: Page = await contender.read()
    if (bytes === records * recordBytes) return records
    throw new Error(`${contender.name} read ${bytes} bytes in ${records} records`)
  })
}

/** Records read for a second of processor time, which others on the machine do not take away. */
export async function readsForProcessor(contender: Contender, ms: number): Promise<number> {
  const [used, from] = [process.cpuUsage(), performance.now()]
  let records = 0
  while (performance.now() - from < ms) records += (await contender.read()).records
  const { user, system } = process.cpuUsage(used)
  return (records * 1e6) / (user + system)
}

async function takeTurns(
  contenders: readonly Contender[],
  { rounds, sliceMs }: Plan,
  work: (contender: Contender) => Promise<number>,
): Promise<Rates> {
  const rates = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]))
  // The first round is not counted: programs are loaded, files begun and code compiled in it.
  for (let round = -1; round < rounds; round += 1) {
    for (const at of turns(contenders.length, round + contenders.length)) {
      const contender = contenders[at]
      if (contender === undefined) continue
      const rate = await slice(() => work(contender), sliceMs)
      if (round >= 0) rates.get(contender)?.push(rate)
    }
  }
  return rates
}

async function slice(work: () => Promise<number>, ms: number): Promise<number> {
  // Whoever waited for its turn is woken, and what others left for this thread is done.
  await nextTurn()
  await work()
  let records = 0
  const from = performance.now()
  let took = 0
  while (took < ms) {
    records += await work()
    took = performance.now() - from
  }
  return (records * 1_000) / took
}
