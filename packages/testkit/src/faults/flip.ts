/** One bit of one byte of a store is another: it is noticed, or nothing that is read changes. */
import type { LogStore, LogStoreReader, StoredBatchRead } from '@kith/interface'
import { ConformanceFailure, expectEqual, expectThat, written } from '../expect.ts'
import type { Bench } from './bench.ts'
import { tally } from './bench.ts'
import { bytesPass, stepCursor } from './history.ts'
import type { History, StoredRows } from './history.ts'
import { putImage, takeImage } from './image.ts'
import type { Image } from './image.ts'
import { allBatches, modelRows, smallRowsOf, textOf } from './judge.ts'

/** What a flip led to: the store did not open, something was said, or all was as before. */
type Outcome = 'refused' | 'reported' | 'harmless'

interface Place {
  readonly file: string
  readonly at: number
}

/** A store as it was left, and how much must be held of it wherever nothing is said. */
interface Left {
  readonly image: Image
  readonly history: History
  readonly atLeast: number
  readonly steps: number
}

const shortFlips = 25
const groupSize = 256

export function flippedBits(bench: Bench): void {
  const history = bench.history(20)
  const closed = left(bench, history, 10, 'closed')
  bench.report(`bit flips after closing: ${flipAll(bench, closed)}`)
  // What a crash left behind may end early at the damage, by whole commits.
  const crashed = left(bench, history, 5, 'crashed')
  bench.report(`bit flips after a crash: ${flipAll(bench, crashed)}`)
}

function left(bench: Bench, history: History, steps: number, as: 'crashed' | 'closed'): Left {
  const directory = bench.folder()
  const store = bench.open(directory)
  store.open()
  try {
    for (let index = 0; index < steps; index += 1) {
      store.commit(history.step(index).changes, true)
    }
    // As a process leaves its files that is killed here.
    if (as === 'crashed') return { image: takeImage(directory), history, atLeast: 0, steps }
  } finally {
    store.close()
  }
  return { image: takeImage(directory), history, atLeast: steps, steps }
}

function flipAll(bench: Bench, it: Left): string {
  const { image } = it
  const directory = bench.folder()
  const attempt = (group: readonly Place[]): Outcome => {
    putImage(directory, flipped(image, group, bench.seed))
    const { file = '', at = 0 } = group[0] ?? {}
    return outcomeOf(bench.open(directory), it, `byte ${at} of ${file} flipped`)
  }
  const { idle, busy } = placesOf(image)
  if (!bench.full) {
    const some = Array.from({ length: shortFlips }, () => busy[bench.random.below(busy.length)])
    return tally(some.map((place) => attempt(place === undefined ? [] : [place])))
  }
  const harmless = new Set<Place>(idle)
  for (const group of groupsOf(idle, bench)) {
    if (attempt(group) === 'harmless') continue
    for (const place of group) harmless.delete(place)
  }
  const alone = [...busy, ...idle.filter((place) => !harmless.has(place))]
  const outcomes = alone.map((place) => attempt([place]))
  const all = [...outcomes, ...Array.from(harmless, () => 'harmless')]
  return `${all.length} bytes, ${alone.length} of them alone: ${tally(all)}`
}

/** Of eight seeds in a row each flips another bit of every byte. */
function flipped(image: Image, group: readonly Place[], seed: number): Image {
  const changed = new Map(image)
  for (const { file, at } of group) {
    const before = changed.get(file)
    const content = before === image.get(file) ? Buffer.from(before ?? []) : before
    if (content === undefined) continue
    content[at] = (content[at] ?? 0) ^ (1 << ((at + seed) % 8))
    changed.set(file, content)
  }
  return changed
}

/** Bytes so far inside a stretch of zeros that nothing is likely to be stored there. */
const idleMargin = 64

/** Every byte of every file: where something may be stored, and where nothing is. */
function placesOf(image: Image): { idle: readonly Place[]; busy: readonly Place[] } {
  const idle: Place[] = []
  const busy: Place[] = []
  for (const [file, content] of image) {
    let from = 0
    while (from < content.length) {
      let to = from
      while (to < content.length && content[to] === 0) to += 1
      for (let at = from; at < to; at += 1) {
        const inside = at >= from + idleMargin && at < to - idleMargin
        ;(inside ? idle : busy).push({ file, at })
      }
      if (to < content.length) busy.push({ file, at: to })
      from = to + 1
    }
  }
  return { idle, busy }
}

/**
 * Bytes of unused space are flipped many at once, each twice and in other company. Where all of a
 * group are harmless together each of them is alone: one that is noticed would be so here too,
 * unless another one undid just that, and then the second company would tell.
 */
function* groupsOf(places: readonly Place[], bench: Bench): Generator<readonly Place[]> {
  for (const _ of [1, 2]) {
    const mixed = [...places]
    for (let last = mixed.length - 1; last > 0; last -= 1) {
      const other = bench.random.below(last + 1)
      const [one, two] = [mixed[last], mixed[other]]
      if (one === undefined || two === undefined) continue
      mixed[last] = two
      mixed[other] = one
    }
    for (let at = 0; at < mixed.length; at += groupSize) yield mixed.slice(at, at + groupSize)
  }
}

function outcomeOf(store: LogStore, it: Left, what: string): Outcome {
  try {
    return inspectFlipped(store, it)
  } catch (cause) {
    if (cause instanceof ConformanceFailure) {
      throw new ConformanceFailure(`${what}: ${cause.message}`, { cause })
    }
    // Whatever throws has noticed.
    return 'refused'
  } finally {
    store.close()
  }
}

function inspectFlipped(store: LogStore, { history, atLeast, steps }: Left): Outcome {
  const state = store.open()
  const reader = store.reader()
  try {
    const said = state.damage.length > 0
    const cursor = state.cursors.find(({ name }) => name === stepCursor)
    const held = cursor?.revision ?? (said ? steps : 0)
    expectThat(held >= atLeast && held <= steps, `it holds ${held} of ${steps} steps`)
    const rows = history.after(held)
    const doubts: string[] = state.damage.map(({ reason }) => reason)
    expectTrueRows(state, rows, said)
    const batches = batchDoubts(() => allBatches(reader), rows)
    doubts.push(...batches, ...lookupDoubts(reader, rows))
    if (doubts.length === 0) doubts.push(...store.inspect().map(({ reason }) => reason))
    return doubts.length === 0 ? 'harmless' : 'reported'
  } finally {
    reader.close()
  }
}

/** Each row is one that was stored; one that is missing, or the meta row, only with a word. */
function expectTrueRows(
  state: ReturnType<LogStore['open']>,
  rows: StoredRows,
  said: boolean,
): void {
  const meta = written(state.meta) === written(rows.meta)
  expectThat(meta || (said && state.meta === undefined), 'the meta row is another, or gone')
  const next = state.nextOffset === rows.nextOffset
  // Past the last batch that is there: what is said to be missing is known from the origins.
  expectThat(next || state.nextOffset < rows.nextOffset, `the next offset is ${state.nextOffset}`)
  const wanted = new Map(modelRows(rows))
  for (const [table, got] of smallRowsOf(state)) {
    const want = new Set((wanted.get(table) ?? []).map(written))
    for (const row of got) {
      expectThat(want.has(written(row)), `a row of ${table} is ${written(row)}`)
    }
    const complete = got.length === want.size
    expectThat(complete || said, `${want.size - got.length} rows of ${table} are gone, unsaid`)
  }
}

/** What a caller would notice of all batches; throws where it would take a wrong one for right. */
function batchDoubts(read: () => readonly StoredBatchRead[], rows: StoredRows): readonly string[] {
  let reads: readonly StoredBatchRead[]
  try {
    reads = read()
  } catch (cause) {
    return [textOf(cause)]
  }
  const doubts = reads.flatMap((one) => readDoubts(one, rows))
  const missing = reads.length === rows.batches.length ? [] : ['batches are missing']
  return [...doubts, ...missing]
}

function readDoubts(read: StoredBatchRead, rows: StoredRows): readonly string[] {
  if (!read.ok) return [read.reason]
  const { batch } = read
  const own = rows.batches.find(({ offset }) => bytesPass(batch.bytes, offset))
  // Its own checksum tells whoever reads it.
  if (own === undefined) return ['the bytes of a batch fail their own check']
  // So does a batch's header, which has its origin, its first sequence and its count.
  const { origin, first, count } = batch
  if (origin !== own.origin || first !== own.first || count !== own.count) {
    return ['a row does not fit its batch']
  }
  expectEqual(batch, own, `the batch at ${own.offset}`)
  return []
}

function lookupDoubts(reader: LogStoreReader, rows: StoredRows): readonly string[] {
  const doubts: string[] = []
  for (const want of rows.batches) {
    for (const look of [
      () => reader.atOffset(want.offset + want.count - 1),
      () => reader.atSequence(want.origin, want.first),
    ]) {
      let found: StoredBatchRead | undefined
      try {
        found = look()
      } catch (cause) {
        doubts.push(textOf(cause))
        continue
      }
      if (found === undefined) doubts.push('a batch is not found')
      else doubts.push(...readDoubts(found, rows))
      // One that does not hold what was asked for is seen to be another.
      const other = found?.ok === true && found.batch.offset !== want.offset
      if (other) doubts.push('another batch is found')
    }
  }
  return doubts
}
