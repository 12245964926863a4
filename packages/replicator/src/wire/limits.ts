/** Bounds on everything that arrives: what passes one is refused, never cut or allocated. */

export const wireLimits: {
  /** The msgpack header of a message, and one part of rows. */
  readonly headerBytesMax: number
  readonly rowsBytesMax: number
  /** One stored batch: the log's largest record and its header, with room to spare. */
  readonly batchBytesMax: number
  /** A whole hello or pull request. */
  readonly requestBytesMax: number
  /** A whole answer to a pull: the batches asked for and a full vector. */
  readonly responseBytesMax: number
  /** A whole chain or fetch request, and an answer with chains. */
  readonly smallBytesMax: number
  readonly partsMax: number
  readonly vectorEntriesMax: number
  readonly wantsMax: number
  readonly holesMax: number
  readonly chainsMax: number
  readonly nameBytesMax: number
  readonly versionsMax: number
  readonly nestingMax: number
  readonly itemsMax: number
  readonly pullBytesMax: number
  readonly pullBytesMin: number
  readonly waitMsMax: number
} = Object.freeze({
  headerBytesMax: 64 * 1024,
  rowsBytesMax: 64 * 1024,
  batchBytesMax: 2 * 1024 * 1024,
  requestBytesMax: 20 * 1024 * 1024,
  responseBytesMax: 40 * 1024 * 1024,
  smallBytesMax: 64 * 1024,
  partsMax: 262_144,
  vectorEntriesMax: 65_536,
  wantsMax: 65_536,
  holesMax: 1_024,
  chainsMax: 256,
  nameBytesMax: 128,
  versionsMax: 16,
  nestingMax: 8,
  itemsMax: 32_768,
  pullBytesMax: 16 * 1024 * 1024,
  pullBytesMin: 1,
  waitMsMax: 30_000,
})
