/** The table of a frame as bytes: JSON, with byte fields in base64. Its checksum is the frame's. */
import type { StoreChanges, StoredBatch, StoredProducer, StoredReplica } from '@kith/interface'

/** A batch named by its place behind the table. */
export interface FrameBatch extends Omit<StoredBatch, 'bytes'> {
  readonly start: number
  readonly length: number
  readonly headCrc: number
}

export interface FrameTable {
  readonly batches: readonly FrameBatch[]
  /** Everything but batches, repairs and statements. */
  readonly changes: StoreChanges
}

type Plain<Row, Field extends keyof Row> = Omit<Row, Field> & Readonly<Record<Field, string>>

interface PlainTable extends Pick<FrameTable, 'batches'> {
  readonly changes: Omit<StoreChanges, 'producers' | 'replicas'>
  readonly producers?: readonly Plain<StoredProducer, 'answers'>[]
  readonly replicas?: readonly Plain<StoredReplica, 'acked'>[]
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function fromText(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}

export function encodeTable({ batches, changes }: FrameTable): Uint8Array {
  const { producers = [], replicas = [], ...rest } = changes
  const plain: PlainTable = {
    batches,
    changes: rest,
    ...(producers.length === 0
      ? {}
      : { producers: producers.map((row) => ({ ...row, answers: toText(row.answers) })) }),
    ...(replicas.length === 0
      ? {}
      : { replicas: replicas.map((row) => ({ ...row, acked: toText(row.acked) })) }),
  }
  return Buffer.from(JSON.stringify(plain), 'utf8')
}

/** Undefined for what `encodeTable` did not make, as far as that can be seen; never throws. */
export function decodeTable(bytes: Uint8Array): FrameTable | undefined {
  try {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
    const { batches, changes, producers, replicas } = JSON.parse(text) as PlainTable
    if (!Array.isArray(batches) || typeof changes !== 'object') return undefined
    return {
      batches,
      changes: {
        ...changes,
        ...(producers === undefined
          ? {}
          : { producers: producers.map((row) => ({ ...row, answers: fromText(row.answers) })) }),
        ...(replicas === undefined
          ? {}
          : { replicas: replicas.map((row) => ({ ...row, acked: fromText(row.acked) })) }),
      },
    }
  } catch {
    return undefined
  }
}
