/**
 * Keeps trying the configured seeds while this member is alone: at its start, and after a
 * partition.
 */
import type { CancelTimer, Clock, Random } from '@kith/interface'

const retryMsMin = 500
const retryMsMax = 30_000
/** How often a member in company looks whether it still is. */
const checkMs = 10_000

export interface SeedsOptions {
  readonly clock: Clock
  readonly random: Random
  /** One attempt with all seeds; rejects, and has reported it, where none answered. */
  readonly join: () => Promise<unknown>
  readonly alone: () => boolean
}

/** Begins at once; the returned function ends it. */
export function keepJoining({ clock, random, join, alone }: SeedsOptions): CancelTimer {
  let stopped = false
  let retryMs = retryMsMin
  let cancel: CancelTimer = () => {}
  const later = (delayMs: number): void => {
    if (!stopped) cancel = clock.after(delayMs * (0.75 + random.float() / 2), tick)
  }
  const attempt = async (): Promise<void> => {
    // Success alone proves nothing: the only seed that answered may be this member itself.
    await join().catch(() => {})
    if (!alone()) return inCompany()
    later(retryMs)
    retryMs = Math.min(retryMs * 2, retryMsMax)
  }
  const inCompany = (): void => {
    retryMs = retryMsMin
    later(checkMs)
  }
  const tick = (): void => {
    if (alone()) void attempt()
    else inCompany()
  }
  void attempt()
  return () => {
    stopped = true
    cancel()
  }
}
