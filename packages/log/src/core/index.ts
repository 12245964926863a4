/**
 * The pure parts of a log: bytes of batches, and the rules of appending and applying.
 * @packageDocumentation
 */
export { checkForeign, decideApply } from './apply.ts'
export type { ApplyDecision, CheckedBatch } from './apply.ts'
export { gateDeadline, startGate, stepGate } from './gate.ts'
export type { GateInput, GateOptions, GateState, GateStep } from './gate.ts'
export { createGroup } from './group.ts'
export type { Group, SealedBatch } from './group.ts'
export { restored } from './restored.ts'
export type { NewIdentity, Restored } from './restored.ts'
export { mayRotate, ROTATION_INTERVAL_MS } from './rotation.ts'
export {
  BATCH_BYTES_MAX,
  BATCH_PAYLOAD_BYTES_MAX,
  BATCH_RECORDS_MAX,
  chainAfter,
  checkBatch,
  HEADER_BYTES,
  originChain,
  RECORD_BYTES_MAX,
} from '../wire/batch.ts'
export type { BatchFailure, BatchHeader, BatchHeaderResult } from '../wire/batch.ts'
export { readEnds, readRecord } from '../wire/record.ts'
export type { DecodedRecord } from '../wire/record.ts'
