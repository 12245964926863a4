/**
 * Which parts of the decoders' sources ran, by V8's own precise block coverage through the
 * inspector, in process. Counting costs next to nothing; asking costs a millisecond, hence once a
 * batch.
 */
import { Session } from 'node:inspector'
import type { Profiler } from 'node:inspector'
import { lengthOf, sorted, without } from './spans.ts'
import type { Span } from './spans.ts'

/** Function to the spans of its source. */
export type Parts = ReadonlyMap<string, readonly Span[]>

export interface Coverage {
  /** What ran since the last call and never before. */
  takeNew(): Parts
  /** What of `parts` ran since the last call. */
  takeOf(parts: Parts): Parts
  /** Characters of source that ran. */
  readonly characters: number
  /** Begins anew. */
  forget(): void
}

const ours = /\/packages\/[^/]+\/src\//

/** What one call reported of a function: V8 tells the blocks that did not run. */
interface Ran {
  readonly all: Span
  readonly idle: readonly Span[]
}

function post<Result>(session: Session, method: string, parameters: object = {}): Result {
  let result: Result | undefined
  session.post(method, parameters, (error: Error | null, value?: object) => {
    if (error) throw error
    result = value as Result
  })
  // Within one process the inspector answers before `post` returns.
  return result as Result
}

export function startCoverage(): Coverage {
  const session = new Session()
  session.connect()
  post(session, 'Profiler.enable')
  post(session, 'Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const known = new Map<string, { readonly all: Span; idle: readonly Span[] }>()
  return {
    takeNew() {
      const found = new Map<string, readonly Span[]>()
      for (const [name, { all, idle }] of take(session)) {
        const before = known.get(name)
        const fresh = without(before === undefined ? [all] : before.idle, idle)
        if (fresh.length === 0) continue
        found.set(name, fresh)
        known.set(name, { all, idle: before === undefined ? idle : without(before.idle, fresh) })
      }
      return found
    },
    takeOf(parts) {
      const found = new Map<string, readonly Span[]>()
      for (const [name, { idle }] of take(session)) {
        const ran = without(parts.get(name) ?? [], idle)
        if (ran.length > 0) found.set(name, ran)
      }
      return found
    },
    get characters() {
      return [...known.values()].reduce(
        (sum, { all, idle }) => sum + all[1] - all[0] - lengthOf(idle),
        0,
      )
    },
    forget: () => known.clear(),
  }
}

function take(session: Session): ReadonlyMap<string, Ran> {
  const { result } = post<Profiler.TakePreciseCoverageReturnType>(
    session,
    'Profiler.takePreciseCoverage',
  )
  const functions = new Map<string, Ran>()
  for (const { url, scriptId, functions: reported } of result) {
    if (!ours.test(url)) continue
    for (const { ranges } of reported) {
      const [whole] = ranges
      if (whole === undefined || whole.count === 0) continue
      const idle = ranges.filter(({ count }) => count === 0)
      functions.set(`${scriptId}:${whole.startOffset}`, {
        all: [whole.startOffset, whole.endOffset],
        idle: sorted(idle.map(({ startOffset, endOffset }) => [startOffset, endOffset] as const)),
      })
    }
  }
  return functions
}
