/**
 * How fast batches may come in, over all members and from each one (REP-39): buckets that fill with
 * time and are spent by what arrived. Batches are never cut, so that a bucket may go below zero;
 * the next pull then waits until it is not.
 */
import type { ReplicatorTuning } from '../options.ts'

type Rates = Pick<ReplicatorTuning, 'bytesPerSecondMax' | 'memberBytesPerSecondMax'>

export interface Bucket {
  /** Bytes that may still come, at `at`; negative while something is owed. */
  bytes: number
  at: number
}

/** What a bucket holds at most, as time at its rate: after a pause so much may come at once. */
const burstMs = 1_000

/** It is full when it is first looked at. */
export function newBucket(): Bucket {
  return { bytes: 0, at: -Infinity }
}

/** When the next pull may be asked for; undefined for now. */
export function heldUntil(
  { bytesPerSecondMax, memberBytesPerSecondMax }: Rates,
  all: Bucket,
  member: Bucket,
  now: number,
): number | undefined {
  const total = until(all, bytesPerSecondMax, now)
  const own = until(member, memberBytesPerSecondMax, now)
  const later = Math.max(total ?? now, own ?? now)
  return later > now ? later : undefined
}

/** Bytes arrived. */
export function spend(
  { bytesPerSecondMax, memberBytesPerSecondMax }: Rates,
  all: Bucket,
  member: Bucket,
  bytes: number,
  now: number,
): void {
  take(all, bytesPerSecondMax, bytes, now)
  take(member, memberBytesPerSecondMax, bytes, now)
}

/** A second's worth at most, so that news never waits longer behind old records. */
export function windowWithin(
  { bytesPerSecondMax, memberBytesPerSecondMax }: Rates,
  windowBytes: number,
  leastBytes: number,
): number {
  const rates = [bytesPerSecondMax, memberBytesPerSecondMax].filter((rate) => rate > 0)
  return Math.max(leastBytes, Math.min(windowBytes, ...rates))
}

/** Brings a bucket up to `now`; without a rate nothing is counted. */
function fill(bucket: Bucket, rate: number, now: number): void {
  const most = (rate * burstMs) / 1_000
  bucket.bytes = Math.min(most, bucket.bytes + ((now - bucket.at) * rate) / 1_000)
  bucket.at = now
}

function until(bucket: Bucket, rate: number, now: number): number | undefined {
  if (rate === 0) return undefined
  fill(bucket, rate, now)
  return bucket.bytes < 0 ? now + Math.ceil((-bucket.bytes * 1_000) / rate) : undefined
}

function take(bucket: Bucket, rate: number, bytes: number, now: number): void {
  if (rate === 0) return
  fill(bucket, rate, now)
  bucket.bytes -= bytes
}
