/**
 * A small log of either store with every kind of row, as files; what a log that opens a damaged
 * copy of them says, and whether that is wrong.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { isKithError } from '@kith/interface'
import { expect } from 'vitest'
import { createLog } from '../src/index.ts'
import type { Log, LogOptions } from '../src/index.ts'
import { all, bytes, makeBatch, records } from './support.ts'

// In memory where there is such a place: thousands of logs are opened here.
export const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export type Storage = 'sqlite' | 'segment'
/** `stopped` in order, or `killed` with the last commits where a process leaves them. */
export type Ending = 'stopped' | 'killed'
/** The files of a log by name. */
export type Files = ReadonlyMap<string, Buffer>

const strangers = ['ab'.repeat(16), 'cd'.repeat(16)] as const
const replica = '77'.repeat(16)
const producer = { id: 'producer-1', sequence: 5 }

function optionsOf(storage: Storage, directory: string): LogOptions {
  return { directory, storage, writer: 'inline' }
}

/** What a log says to anybody who asks; errors by their code. */
interface Observation {
  readonly identity: readonly string[]
  readonly vector: ReadonlyMap<string, string>
  readonly records: readonly string[]
  readonly runs: readonly string[]
  readonly cursors: readonly string[]
  readonly retry: string
  /** What may be dropped once another log acknowledged it. */
  readonly acknowledged: string
}

export interface Image {
  readonly name: string
  readonly storage: Storage
  readonly files: Files
  readonly whole: Observation
  /** What it was before each commit that a crash could have taken. */
  readonly cuts: readonly Observation[]
  /** As it was stopped in order the last time. */
  readonly before: Files
}

function takeFiles(directory: string): Files {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/-shm$|^writer\.lock/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
  return new Map(names.map((file) => [file.slice(directory.length + 1), readFileSync(file)]))
}

export function putFiles(files: Files, directory: string): void {
  rmSync(directory, { recursive: true, force: true })
  for (const [name, content] of files) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), content)
  }
}

async function fill(log: Log): Promise<void> {
  await log.append(records(2))
  await log.retain({ recordsMax: 0 })
  await log.append([{ value: bytes('first'), key: bytes('k'), headers: { a: 'b' } }, ...records(2)])
  const [one, two] = [makeBatch(strangers[0]), makeBatch(strangers[1], 5, '05'.repeat(32))]
  await log.applyBatches([one.bytes], new Map([[strangers[0], 'member-a']]))
  await log.recordGap(strangers[0], 9, '09'.repeat(32), 'lost')
  await log.recordGap(strangers[1], 5, '05'.repeat(32), 'never held')
  await log.applyBatches([two.bytes, makeBatch(strangers[0], 9, '09'.repeat(32)).bytes])
  await log.append(records(2, 9), { producer })
  await log.cursor('one').commit({ next: 3 })
  await log.cursor('two').commit({ next: 7 })
  log.acknowledged(replica, new Map([[log.origin, 4]]), '', all(log))
  await log.quarantine(strangers[1], 'because')
}

/** The commits that are still where a killed process leaves them, one after the other. */
const lastCommits: readonly ((log: Log) => Promise<unknown>)[] = [
  (log) => log.append(records(2, 20)),
  (log) => log.cursor('three').commit({ next: 4 }),
]

export async function makeImage(storage: Storage, ending: Ending, home: string): Promise<Image> {
  const directory = join(home, `${storage}-${ending}`)
  const options = optionsOf(storage, directory)
  let log = createLog(options)
  await log.start()
  await fill(log)
  await log.stop()
  const taken = [takeFiles(directory)]
  if (ending === 'killed') {
    log = createLog(options)
    await log.start()
    taken.push(takeFiles(directory))
    for (const commit of lastCommits) {
      await commit(log)
      taken.push(takeFiles(directory))
    }
    await log.stop()
  }
  const seen: Observation[] = []
  for (const files of taken) {
    putFiles(files, directory)
    const again = createLog(options)
    await again.start()
    expect(await again.verify()).toMatchObject({ ok: true })
    seen.push(await observe(again))
    await again.stop()
  }
  rmSync(directory, { recursive: true })
  const [before, files, whole] = [taken.at(0), taken.at(-1), seen.at(-1)]
  if (before === undefined || files === undefined || whole === undefined) throw new Error('nothing')
  return { name: `${storage}, ${ending}`, storage, files, whole, cuts: seen.slice(0, -1), before }
}

async function said(ask: () => unknown): Promise<string> {
  try {
    const answer = await ask()
    const hex = (_: string, value: unknown): unknown =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
    return answer === undefined ? 'undefined' : JSON.stringify(answer, hex)
  } catch (cause) {
    if (!isKithError(cause)) throw cause
    return cause.code
  }
}

/** Asks for everything; what it appends and drops in the end is of this copy alone. */
async function observe(log: Log): Promise<Observation> {
  const { next } = log.status()
  const at = Array.from({ length: Math.max(next, 17) }, (_, from) => from)
  const asked = {
    identity: [log.logId, log.origin],
    vector: new Map(log.vector().map((state) => [state.origin, JSON.stringify(state)])),
    records: await Promise.all(at.map((from) => said(() => log.read({ from, limit: 1 })))),
    runs: await Promise.all(
      [log.origin, ...strangers].flatMap((origin) =>
        [1, 2, 4, 5, 8, 9].flatMap((from) => [
          // One batch each: a longer run may rightly end before a damaged one.
          said(() => log.readBatches(origin, from, 1)),
          said(() => log.fetchBatch(origin, from)),
          said(() => log.chainAt(origin, from)),
        ]),
      ),
    ),
    cursors: await Promise.all(
      ['one', 'two', 'three'].map((name) => said(() => log.cursor(name).get())),
    ),
  }
  const retry = await said(() => log.append(records(2, 9), { producer }))
  return { ...asked, retry, acknowledged: await droppable(log) }
}

async function droppable(log: Log): Promise<string> {
  const report = await said(() => log.retain({ recordsMax: 0, minReplicas: 1 }))
  return report.startsWith('ERR_') ? report : String(log.status().floor)
}

/**
 * An answer that is neither the one that the log gave when it was whole nor a refusal. Where the
 * vector lost a row, nothing is known of that origin, and that is said.
 */
function firstWrong(seen: Observation, whole: Observation): string | undefined {
  const wrong: string[] = []
  const check = (got: string, want: string, where: string): void => {
    if (got === want || got === 'ERR_LOG_CORRUPT') return
    wrong.push(`${where} was answered ${got} instead of ${want}`)
  }
  check(seen.identity.join(' '), whole.identity.join(' '), 'who it is')
  for (const [origin, state] of seen.vector) {
    check(state, whole.vector.get(origin) ?? 'nothing', 'the vector')
  }
  for (const name of ['records', 'runs', 'cursors'] as const) {
    whole[name].forEach((want, index) => {
      const got = seen[name][index] ?? 'nothing'
      const unknown = seen.vector.size < whole.vector.size && isUnknown(got)
      if (!unknown) check(got, want, `${name} ${index}`)
    })
  }
  check(seen.retry, whole.retry, 'the retry')
  // That less is known to be elsewhere keeps more here.
  const less = Number(seen.acknowledged) < Number(whole.acknowledged)
  if (!less) check(seen.acknowledged, whole.acknowledged, 'what may be dropped')
  return wrong[0]
}

function isUnknown(answer: string): boolean {
  return answer === '{"kind":"unknown"}' || answer === 'undefined'
}

function sameAs(one: Observation, other: Observation): boolean {
  const flat = ({ vector, ...rest }: Observation): string => JSON.stringify([...vector, rest])
  return flat(one) === flat(other)
}

/**
 * `cut`: the log is exactly what it was before one of its last commits, as after a power cut:
 * nothing tells that from a commit that never was. `misnamed`: damage is told, and as something
 * that the system does not let us read.
 */
export type Outcome = 'refused' | 'reported' | 'harmless' | 'cut' | 'misnamed'

/** Opens what is in `directory` and holds what it says against the image; throws where it lies. */
export async function judge(image: Image, directory: string, what: string): Promise<Outcome> {
  const log = createLog(optionsOf(image.storage, directory))
  try {
    await log.start()
  } catch (cause) {
    const code = isKithError(cause) ? cause.code : ''
    if (/^ERR_LOG_(CORRUPT|FORMAT|DIRECTORY|POISONED)$/.test(code)) return 'refused'
    throw new Error(`${what}: the start failed without a reason of ours`, { cause })
  }
  try {
    const ok = await verified(log)
    const seen = await observe(log)
    if (sameAs(seen, image.whole)) return ok === true ? 'harmless' : named(ok)
    const cut = image.cuts.some((before) => sameAs(seen, before))
    if (ok === true && cut) return 'cut'
    if (ok === true) throw new Error(`${what}: something changed and verify saw nothing`)
    // A log that ends where a broken commit begins, and says so, is as it was before that one.
    const wrong = [image.whole, ...image.cuts].map((known) => firstWrong(seen, known))
    if (wrong.every((answer) => answer !== undefined)) throw new Error(`${what}: ${wrong[0]}`)
    return named(ok)
  } finally {
    await log.stop()
  }
}

/** Whether all is well, as the log says of itself when it is open and when it looks. */
async function verified(log: Log): Promise<boolean | 'unreadable'> {
  const opened = log.status().gate !== 'damaged'
  try {
    return (await log.verify()).ok && opened
  } catch (cause) {
    if (isKithError(cause) && cause.code === 'ERR_LOG_IO') return 'unreadable'
    throw cause
  }
}

function named(ok: false | 'unreadable'): Outcome {
  return ok === false ? 'reported' : 'misnamed'
}
