/**
 * How many lookups a second does one member answer from memory, with 1,000 instances of one
 * service that 50 members offer? Best of several slices on one thread: what else the machine does
 * only makes one slower.
 *
 * Prints one line of JSON a figure and exits with 1 where a bound is missed: resolve at least
 * 1,000,000 a second, pick at least 2,000,000 a second in turn (the default), at random, by load,
 * by key (of 10,000 keys, each in its turn) and by distance (of a second in which nobody moves: the
 * clock stands still). What looks at every instance, with a tag or by key after one of them
 * changed, is told without a bound.
 */
import type { PickOptions, ResolveOptions } from '@kith/registry'
import { type Figure, quantile, tell } from './support/figures.ts'
import { World } from './support/world.ts'

const members = 50
const instances = 1_000
const slices = Number(process.env['KITH_BENCH_ROUNDS'] ?? 15)
const sliceMs = Number(process.env['KITH_BENCH_SLICE_MS'] ?? 100)
const resolveMin = 1_000_000
const pickMin = 2_000_000
const changes = 200

const world = new World(members)
await world.form(2_000, instances / members, async (registry) => {
  for (let at = 0; at < instances / members; at += 1) {
    await registry.register({ service: 'web', id: `web-${at}`, port: 8_000 + at, tags: [`t${at}`] })
  }
})
const registry = world.registryOf(7)

/** Calls a second, the most of all slices. */
function rate(call: () => unknown): number {
  let best = 0
  for (let slice = 0; slice < slices; slice += 1) {
    let [calls, seen] = [0, 0]
    const from = performance.now()
    let ms = 0
    while (ms < sliceMs) {
      for (let at = 0; at < 100; at += 1) if (call() !== undefined) seen += 1
      calls += 100
      ms = performance.now() - from
    }
    if (seen !== calls) throw new Error('a call found nothing')
    best = Math.max(best, (calls * 1_000) / ms)
  }
  return best
}

const resolve = (name: string, options?: ResolveOptions): Figure => {
  const value = rate(() => registry.resolve('web', options)[0])
  return { figure: name, value, unit: 'a second' }
}
const pick = (name: string, options?: () => PickOptions): Figure => {
  const value = rate(() => registry.pick('web', options?.()))
  return { figure: name, value, unit: 'a second' }
}
/** Microseconds of a pick by key for which nothing that was worked out before holds. */
async function firstPickUs(): Promise<number> {
  const took: number[] = []
  for (let at = 0; at < changes; at += 1) {
    await registry.register({ service: 'web', id: 'web-0', port: 8_000, tags: [`change-${at}`] })
    // The list itself is made anew by whoever asks first.
    registry.resolve('web')
    const from = performance.now()
    if (registry.pick('web', byKey()) === undefined) throw new Error('a call found nothing')
    took.push((performance.now() - from) * 1_000)
  }
  return quantile(took, 0.5)
}
const keys = Array.from({ length: 10_000 }, (_, at) => `user-${at}`)
let turn = 0
const byKey = (): PickOptions => {
  turn = (turn + 1) % keys.length
  return { strategy: 'rendezvous', key: keys[turn] ?? '' }
}
const leases = Array.from({ length: 100 }, () => registry.lease('web', { strategy: 'random' }))
tell([
  { ...resolve('resolve'), least: resolveMin },
  { ...pick('pick in turn'), least: pickMin },
  { ...pick('pick at random', () => ({ strategy: 'random' })), least: pickMin },
  { ...pick('pick by load', () => ({ strategy: 'least-loaded' })), least: pickMin },
  { ...pick('pick by key', byKey), least: pickMin },
  { ...pick('pick by distance', () => ({ strategy: 'nearest' })), least: pickMin },
  resolve('resolve with a tag', { tags: ['t7'] }),
  { figure: 'pick by key after a change', value: await firstPickUs(), unit: 'us' },
])
for (const lease of leases) lease?.release()
await world.stop()
