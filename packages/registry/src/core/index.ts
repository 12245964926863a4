/**
 * The registry's pure machine, for people with their own event loop.
 * @packageDocumentation
 */
export { lookUp, serviceNames } from './catalog.ts'
export { createState, nextEpoch } from './state.ts'
export type { StateOptions } from './state.ts'
export { nextDeadline, step } from './step.ts'
export type {
  CheckPlan,
  Counters,
  Input,
  InstancePlan,
  Output,
  ResolvedLists,
  State,
} from './types.ts'
