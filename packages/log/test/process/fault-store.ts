/** The stores as the fault suite makes them, also in processes that it kills. */
import type { LogStore } from '@kith/interface'
import { segmentStore } from '../../src/store/segment/store.ts'
import { sqliteStore } from '../../src/store/sqlite/store.ts'

export const openStore = (directory: string): LogStore => sqliteStore({ directory })()

/** Segments as small as they can be, so that they end and go while the suite runs. */
export const openSegments = (directory: string): LogStore =>
  segmentStore({ directory, segmentBytesMax: 1024 * 1024 })()
