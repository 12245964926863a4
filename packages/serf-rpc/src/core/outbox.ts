/** Records that wait for a slow reader: as many as a stream may hold, then news are dropped. */

export interface Outbox {
  readonly waiting: Uint8Array[]
  bytes: number
  dropped: number
}

export interface OutboxLimits {
  readonly recordsMax: number
  readonly recordsBytesMax: number
}

export function createOutbox(): Outbox {
  return { waiting: [], bytes: 0, dropped: 0 }
}

/** False where the record was dropped. `must` is for the one record that ends a stream. */
export function put(
  outbox: Outbox,
  record: Uint8Array,
  limits: OutboxLimits,
  must: boolean,
): boolean {
  const full =
    outbox.waiting.length >= limits.recordsMax ||
    outbox.bytes + record.length > limits.recordsBytesMax
  if (full && !must) {
    outbox.dropped += 1
    return false
  }
  outbox.waiting.push(record)
  outbox.bytes += record.length
  return true
}

export function take(outbox: Outbox): Uint8Array | undefined {
  const record = outbox.waiting.shift()
  outbox.bytes -= record?.length ?? 0
  return record
}
