/**
 * The pure machine, for those with their own event loop or their own network.
 * @packageDocumentation
 */
export type { Command, GossipEvent, Input, JoinOutcome, Output, ProbeReport } from './input.ts'
