/**
 * The append gate (LOG-14): a log that has a history and expects other members does not append
 * before it heard from one, because another may know more of that history than its disk does.
 */

export interface GateOptions {
  readonly gate: 'open' | 'wait'
  readonly gateMs: number
}

export type GateState =
  | { readonly kind: 'open' }
  | { readonly kind: 'waiting'; readonly deadline: number; readonly clean: boolean }

export type GateInput =
  /** `openGate()`: a member was heard from, or nobody is expected. */
  { readonly kind: 'open' } | { readonly kind: 'deadline' }

export interface GateStep {
  readonly state: GateState
  /** The origin must be rotated before the first append. */
  readonly rotate: boolean
}

/**
 * `history` is true where the own origin holds records; `clean` where the last writer stopped in
 * order.
 */
export function startGate(
  options: GateOptions,
  history: boolean,
  clean: boolean,
  now: number,
): GateState {
  if (options.gate === 'open' || !history) return { kind: 'open' }
  return { kind: 'waiting', deadline: now + options.gateMs, clean }
}

export function stepGate(state: GateState, input: GateInput, now: number): GateStep {
  if (state.kind === 'open') return { state, rotate: false }
  if (input.kind === 'open') return { state: { kind: 'open' }, rotate: false }
  if (now < state.deadline) return { state, rotate: false }
  return { state: { kind: 'open' }, rotate: !state.clean }
}

/** When `stepGate` must be told of a deadline; undefined means never. */
export function gateDeadline(state: GateState): number | undefined {
  return state.kind === 'waiting' ? state.deadline : undefined
}
