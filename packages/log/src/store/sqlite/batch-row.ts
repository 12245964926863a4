/** Rows of the batch table: what their checksum covers, and what it takes to believe one. */
import { toHex } from '@kith/interface'
import type { Digests, OriginId, StoredBatchRead } from '@kith/interface'
import { HEADER_BYTES } from '../../wire/batch.ts'
import { plainBytes, rowCrc } from './rows.ts'
import type { Value } from './rows.ts'

/** The columns a batch's checksum covers: all but the body, which has its own. */
export function batchCrc(values: readonly Value[], bytes: Uint8Array, digests: Digests): number {
  const covered = [...values.slice(0, -1), bytes.subarray(0, HEADER_BYTES), bytes.length]
  return rowCrc('kith_batch', covered, digests)
}

/** True where a row of `batchColumns` and its checksum agree. */
export function batchRowWhole(row: readonly Value[], digests: Digests): boolean {
  const bytes = row[7]
  if (!(bytes instanceof Uint8Array)) return false
  return batchCrc(row.slice(0, -1), bytes, digests) === row[8]
}

/** A row of `batchColumns` and its checksum. */
export function readBatchRow(
  row: readonly Value[],
  originOf: (id: number) => OriginId | undefined,
  digests: Digests,
): StoredBatchRead {
  const [offset, originId, first, count, storedAt, previous, chain, bytes] = row
  const at = Number(offset)
  if (!batchRowWhole(row, digests)) {
    const chains = chainsOf(previous, chain)
    return { ok: false, offset: at, reason: 'the checksum of the row is wrong', ...chains }
  }
  const origin = originOf(Number(originId))
  if (origin === undefined) return { ok: false, offset: at, reason: 'its origin has no row' }
  return {
    ok: true,
    batch: {
      offset: at,
      origin,
      first: first as number,
      count: count as number,
      storedAt: storedAt as number,
      previousChain: toHex(previous as Uint8Array),
      chain: toHex(chain as Uint8Array),
      bytes: plainBytes(bytes as Uint8Array),
    },
  }
}

function chainsOf(previous: unknown, chain: unknown): { chains?: readonly [string, string] } {
  if (!(previous instanceof Uint8Array) || !(chain instanceof Uint8Array)) return {}
  return { chains: [toHex(previous), toHex(chain)] }
}
