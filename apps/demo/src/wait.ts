/** Waiting for a promise of the cluster to come true, with a bound after which it is broken. */
import { setTimeout as delay } from 'node:timers/promises'

/** A promise that did not hold; its text is the reason that the check prints. */
export class BrokenPromise extends Error {
  override readonly name = 'BrokenPromise'
}

const POLL_MS = 50

/** Asks `probe` again and again until it gives undefined; its last text says what was missing. */
export async function eventually(
  what: string,
  timeoutMs: number,
  probe: () => Promise<string | undefined>,
): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs
  for (;;) {
    const missing = await probe().catch((cause: unknown) => (cause as Error).message)
    if (missing === undefined) return
    if (performance.now() > giveUpAt) {
      throw new BrokenPromise(`${what}: not within ${timeoutMs / 1000} s; last: ${missing}`)
    }
    await delay(POLL_MS)
  }
}

export function promised(condition: boolean, text: string): asserts condition {
  if (!condition) throw new BrokenPromise(text)
}
