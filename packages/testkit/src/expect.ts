/** The few assertions that cases need, so that no test runner is. */
import type { Clock } from '@kith/interface'
import { isKithError } from '@kith/interface'

/** A conformance case that did not hold. */
export class ConformanceFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConformanceFailure'
  }
}

export function expectThat(condition: unknown, message: string): asserts condition {
  if (!condition) throw new ConformanceFailure(message)
}

/** Compares values that JSON can write, with fields in any order, and byte arrays by content. */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const [got, want] = [written(actual), written(expected)]
  expectThat(got === want, `${what}: expected ${shortened(want)}, got ${shortened(got)}`)
}

const byName = ([one]: readonly [string, unknown], [two]: readonly [string, unknown]): number =>
  one < two ? -1 : 1

/** The same text for values that `expectEqual` takes for the same. */
export function written(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) => {
    if (inner instanceof Uint8Array) return `bytes:${Array.from(inner).join(',')}`
    if (typeof inner === 'bigint') return `${inner}n`
    const plain = typeof inner === 'object' && inner !== null && !Array.isArray(inner)
    return plain ? Object.fromEntries(Object.entries(inner).toSorted(byName)) : inner
  })
  return text ?? 'undefined'
}

const shownMax = 400

function shortened(text: string): string {
  return text.length > shownMax ? `${text.slice(0, shownMax)}...` : text
}

/** Same length and content; says where they first differ. */
export function expectBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  expectEqual(actual.length, expected.length, `${what}: length`)
  for (let index = 0; index < actual.length; index += 1) {
    if (actual[index] !== expected[index]) {
      throw new ConformanceFailure(
        `${what}: byte ${index} is ${actual[index]}, expected ${expected[index]}`,
      )
    }
  }
}

/**
 * The rejection of `promise`, which must be a `KithError` whose `details.reason` is one of these.
 */
export async function expectReason(
  promise: Promise<unknown>,
  reasons: readonly string[],
  what: string,
): Promise<void> {
  const cause = await expectRejects(promise, what)
  expectTypedReason(cause, reasons, what)
}

export function expectTypedReason(cause: unknown, reasons: readonly string[], what: string): void {
  expectThat(isKithError(cause), `${what}: not a KithError but ${String(cause)}`)
  const { reason } = (cause.details ?? {}) as { reason?: string }
  const wanted = reasons.join(' or ')
  expectThat(reasons.includes(reason ?? ''), `${what}: expected ${wanted}, got ${reason}`)
}

export async function expectRejects(promise: Promise<unknown>, what: string): Promise<unknown> {
  try {
    await promise
  } catch (cause) {
    return cause
  }
  throw new ConformanceFailure(`${what}: resolved, but had to reject`)
}

/** Fails where `promise` takes longer than `ms` on this clock. */
export async function within<Value>(
  clock: Clock,
  ms: number,
  promise: PromiseLike<Value>,
  what: string,
): Promise<Value> {
  let cancel = (): void => {}
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(ms, () => reject(new ConformanceFailure(`${what}: not within ${ms} ms`)))
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    cancel()
  }
}

/** Resolves after `ms` on this clock: only to show that something does *not* happen. */
export function pass(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.after(ms, resolve))
}

/** A list that others push to and a test awaits. */
export class Mailbox<Item> {
  readonly items: Item[] = []
  readonly #clock: Clock
  #wake: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  put(item: Item): void {
    this.items.push(item)
    const waiting = this.#wake
    this.#wake = []
    for (const wake of waiting) wake()
  }

  /** Resolves with the first `count` items once there are as many. */
  async take(count: number, what: string, ms = 5_000): Promise<readonly Item[]> {
    while (this.items.length < count) {
      const more = new Promise<void>((resolve) => void this.#wake.push(resolve))
      await within(this.#clock, ms, more, `${what} (${this.items.length} of ${count})`)
    }
    return this.items.slice(0, count)
  }
}
