/** Running the cases of a contract against any implementation, under any test runner. */

export interface ConformanceCase<Subject> {
  /** The clause it proves: `TRA-3`. */
  readonly id: string
  /** What must hold, as a sentence without its subject. */
  readonly title: string
  /** Features without which the case makes no sense; an implementation may declare them absent. */
  readonly needs?: readonly string[]
  /** Rejects where the clause does not hold. Gets a fresh subject. */
  run(subject: Subject): Promise<void> | void
}

/** The part of a test runner that is needed: vitest's, node:test's, mocha's and jest's all fit. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown
  it: {
    (name: string, body: () => Promise<void>): unknown
    skip(name: string, body: () => Promise<void>): unknown
  }
}

export interface ConformanceOptions {
  /** Features this implementation does not have, each with the reason, which the report shows. */
  readonly absent?: Readonly<Record<string, string>>
}

/**
 * Defines one test for each case. `open` makes the subject of one case; where it has
 * `Symbol.asyncDispose` that runs after the case, also when it failed.
 *
 * Throws at once where `absent` names a feature that no case needs: such an excuse would outlive
 * its reason unseen.
 */
export function runConformance<Subject extends object>(
  name: string,
  cases: readonly ConformanceCase<Subject>[],
  runner: TestRunner,
  open: () => Promise<Subject> | Subject,
  options: ConformanceOptions = {},
): void {
  const absent = new Map(Object.entries(options.absent ?? {}))
  const needed = new Set(cases.flatMap((one) => one.needs ?? []))
  const unknown = [...absent.keys()].filter((feature) => !needed.has(feature))
  if (unknown.length > 0) {
    throw new TypeError(`${name}: absent features that no case needs: ${unknown.join(', ')}`)
  }
  runner.describe(name, () => {
    for (const one of cases) {
      const missing = one.needs?.find((feature) => absent.has(feature))
      const title = `${one.id} ${one.title}`
      if (missing === undefined) runner.it(title, () => runCase(one, open))
      else {
        // The body runs nowhere; a runner that ignores `skip` must not report a pass.
        const reason = `${title} (absent: ${missing}, ${absent.get(missing) ?? ''})`
        runner.it.skip(reason, () => Promise.reject(new Error(reason)))
      }
    }
  })
}

/** One case against one fresh subject, for callers without a test runner. */
export async function runCase<Subject extends object>(
  one: ConformanceCase<Subject>,
  open: () => Promise<Subject> | Subject,
): Promise<void> {
  const subject = await open()
  try {
    await one.run(subject)
  } finally {
    const dispose = (subject as Partial<AsyncDisposable>)[Symbol.asyncDispose]
    await dispose?.call(subject)
  }
}

/**
 * Runs all cases and returns the ids of those that failed, with why. Serves to prove that a suite
 * catches a broken implementation.
 */
export async function failingCases<Subject extends object>(
  cases: readonly ConformanceCase<Subject>[],
  open: () => Promise<Subject> | Subject,
): Promise<ReadonlyMap<string, unknown>> {
  const failures = new Map<string, unknown>()
  for (const one of cases) {
    try {
      await runCase(one, open)
    } catch (cause) {
      failures.set(one.id, cause)
    }
  }
  return failures
}
