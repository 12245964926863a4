/**
 * What becomes of a batch that came from another member (LOG-9 to LOG-13): accepted only at the
 * origin's `next` and only where its chain continues ours.
 */
import type { ApplyOutcome, Digests, StoredBatch, StoredOrigin } from '@kith/interface'
import { BATCH_BYTES_MAX, chainAfter, checkBatch, HEADER_BYTES } from '../wire/batch.ts'
import type { BatchHeader } from '../wire/batch.ts'
import { sameBytes } from '../wire/bytes.ts'
import { wellFormedBody } from '../wire/record.ts'

export type CheckedBatch =
  | { readonly outcome: 'checked'; readonly header: BatchHeader }
  | { readonly outcome: 'corrupt' | 'unsupported'; readonly why: string }

/** Everything that can be said of the bytes alone. Hostile input: never throws. */
export function checkForeign(bytes: Uint8Array, digests: Digests): CheckedBatch {
  if (bytes.length > BATCH_BYTES_MAX) return { outcome: 'corrupt', why: 'length' }
  const checked = checkBatch(bytes, digests)
  if (!checked.ok) {
    const newer = checked.failure === 'version' || checked.failure === 'flags'
    return { outcome: newer ? 'unsupported' : 'corrupt', why: checked.failure }
  }
  const { header } = checked
  return wellFormedBody(bytes.subarray(HEADER_BYTES), header.count, header.timeMaxDelta)
    ? { outcome: 'checked', header }
    : { outcome: 'corrupt', why: 'records' }
}

export type ApplyDecision =
  | { readonly outcome: 'applied'; readonly entry: StoredOrigin }
  | { readonly outcome: 'fork'; readonly why: string }
  | { readonly outcome: Exclude<ApplyOutcome, 'applied' | 'fork'> }

/**
 * The contiguity, duplicate and fork rules for one checked batch. `held` looks up the batch we hold
 * that begins where this one does; it is asked only for what `entry` says is held.
 */
export function decideApply(
  entry: StoredOrigin,
  header: BatchHeader,
  bytes: Uint8Array,
  digests: Digests,
  held: (first: number) => StoredBatch | undefined,
): ApplyDecision {
  if (entry.status === 'quarantined') return { outcome: 'quarantined' }
  const end = header.first + header.count
  if (header.first > entry.next) return { outcome: 'ahead' }
  if (end <= entry.next) {
    const mine = held(header.first)
    return mine === undefined || sameBytes(mine.bytes, bytes)
      ? { outcome: 'duplicate' }
      : { outcome: 'fork', why: `sequence ${header.first} is held with other bytes` }
  }
  if (header.first < entry.next) {
    const why = `a batch from ${header.first} to ${end} spans our end at ${entry.next}`
    return { outcome: 'fork', why }
  }
  const chain = chainAfter(bytes, entry.chain, digests)
  if (chain === undefined) {
    return { outcome: 'fork', why: `the chain at sequence ${entry.next} is another one` }
  }
  const totals = { bytes: entry.bytes + bytes.length, records: entry.records + header.count }
  return { outcome: 'applied', entry: { ...entry, ...totals, next: end, chain } }
}
