/** Small cores to poke at: defaults, plans, and two members that hear each other. */
import { createRandom } from '@kith/interface'
import { createState, step } from '../../src/core/index.ts'
import type { CheckPlan, Input, InstancePlan, Output, State } from '../../src/core/index.ts'
import { type RegistrySettings, resolveSettings } from '../../src/options.ts'
import { type Broadcast, decodeBroadcast } from '../../src/wire/message.ts'

export const wallMs = 1_767_225_600_000

export function coreOf(
  member: string,
  settings: Partial<RegistrySettings> = {},
  epoch: number = wallMs,
  broadcastBytes = 800,
  seed = 1,
): State {
  return createState({
    member,
    epoch,
    wallMs,
    settings: resolveSettings(settings),
    random: createRandom(seed),
    broadcastBytesMax: () => broadcastBytes,
    now: 0,
  })
}

export function planOf(id: string, changes: Partial<InstancePlan> = {}): InstancePlan {
  return {
    service: 'web',
    id,
    address: '10.0.0.1',
    port: 80,
    tags: [],
    meta: {},
    checks: [],
    ...changes,
  }
}

export function checkOf(id: string, changes: Partial<CheckPlan> = {}): CheckPlan {
  return {
    id,
    kind: 'tcp',
    passive: false,
    intervalMs: 1_000,
    timeoutMs: 500,
    successThreshold: 1,
    failureThreshold: 1,
    initialStatus: 'critical',
    deregisterCriticalAfterMs: undefined,
    ...changes,
  }
}

/** Steps up to `until`, deadline by deadline, and gives all outputs with their times. */
export function runUntil(
  state: State,
  until: number,
  enough: (output: Output) => boolean = () => false,
): { at: number; output: Output }[] {
  const all: { at: number; output: Output }[] = []
  for (
    let at = state.deadlines.next();
    at !== undefined && at <= until;
    at = state.deadlines.next()
  ) {
    const outputs = step(state, { kind: 'deadline' }, at)
    for (const output of outputs) all.push({ at, output })
    if (outputs.some(enough)) break
  }
  return all
}

export function outputsOf<Kind extends Output['kind']>(
  outputs: readonly Output[],
  kind: Kind,
): Extract<Output, { kind: Kind }>[] {
  return outputs.filter((output): output is Extract<Output, { kind: Kind }> => output.kind === kind)
}

export function broadcastsOf(outputs: readonly Output[]): Broadcast[] {
  return outputsOf(outputs, 'broadcast').map(({ bytes }) => {
    const decoded = decodeBroadcast(bytes)
    if (!decoded.ok) throw new Error(decoded.failure)
    return decoded.message
  })
}

/** Starts a core and forgets its first announcement. */
export function started(state: State, now = 0): State {
  step(state, { kind: 'start' }, now)
  return state
}

/** Registers and flushes; gives the broadcasts. */
export function registered(state: State, plan: InstancePlan, now: number): Uint8Array[] {
  const outputs = [...step(state, { kind: 'register', plan }, now)]
  outputs.push(...runUntil(state, now + state.settings.coalesceMs).map(({ output }) => output))
  return outputsOf(outputs, 'broadcast').map(({ bytes }) => bytes)
}

export function hear(
  state: State,
  from: string,
  bytes: Uint8Array,
  now: number,
): readonly Output[] {
  return step(state, { kind: 'broadcast', from, bytes }, now)
}

export function sees(
  state: State,
  name: string,
  status: Extract<Input, { kind: 'member' }>['status'],
  now = 0,
): readonly Output[] {
  return step(state, { kind: 'member', name, status, kith: true }, now)
}

export function handedOut(
  ids: readonly { readonly member: string; readonly id: string }[],
): string[] {
  return ids.map(({ member, id }) => `${member}/${id}`)
}
