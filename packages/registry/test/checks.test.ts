/**
 * Checks in the core: when they run, what their results mean, and what staying critical leads to.
 */
import type { CheckStatus } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { lookUp, step } from '../src/core/index.ts'
import type { CheckPlan, Output, State } from '../src/core/index.ts'
import { checkOf, coreOf, outputsOf, planOf, runUntil, started } from './support/core.ts'

function withCheck(changes: Partial<CheckPlan> = {}, settings = {}): State {
  const state = started(coreOf('a', settings))
  step(state, { kind: 'register', plan: planOf('web', { checks: [checkOf('web/c', changes)] }) }, 0)
  return state
}

const statusOf = (state: State): CheckStatus | undefined => lookUp(state, 'web').all[0]?.status

function runsIn(
  list: readonly { at: number; output: Output }[],
): { at: number; id: string; run: number }[] {
  return list.flatMap(({ at, output }) =>
    output.kind === 'run' ? [{ at, id: output.id, run: output.run }] : [],
  )
}

const isRun = ({ kind }: Output): boolean => kind === 'run'

/** Runs until the check starts, and ends that run with `status`. */
function runOnce(state: State, from: number, status: CheckStatus, output = ''): number {
  const [run] = runsIn(runUntil(state, from, isRun))
  if (run === undefined) throw new Error(`no run until ${from}`)
  step(state, { kind: 'checked', id: run.id, run: run.run, result: { status, output } }, run.at)
  return run.at
}

describe('when a check runs', () => {
  it('REG-11: first within its interval, then every 0.9 to 1.0 of it', () => {
    const state = withCheck({ intervalMs: 1_000 })
    let last = runOnce(state, 1_000, 'passing')
    const gaps = Array.from({ length: 20 }, () => {
      const at = runOnce(state, last + 1_000, 'passing')
      const gap = at - last
      last = at
      return gap
    })
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(900)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1_000)
    expect(new Set(gaps).size).toBeGreaterThan(10)
  })

  it('REG-11: never beside a run that has not ended, even long over its time', () => {
    const state = withCheck({ intervalMs: 1_000, timeoutMs: 200 })
    const all = runUntil(state, 60_000)
    const [first] = runsIn(all)
    expect(runsIn(all)).toHaveLength(1)
    expect(
      outputsOf(
        all.map(({ output }) => output),
        'abortRun',
      ),
    ).toHaveLength(1)
    expect([statusOf(state), state.counters.checkTimeouts]).toEqual(['critical', 1])
    // Once it ends, late and well, its result counts no more, and the next run comes.
    const result = { status: 'passing', output: '' } as const
    step(state, { kind: 'checked', id: 'web/c', run: first?.run ?? 0, result }, 60_000)
    expect(statusOf(state)).toBe('critical')
    expect(runsIn(runUntil(state, 60_000))).toHaveLength(1)
  })

  it('REG-11: a timeout says so and counts as critical', () => {
    const state = withCheck({ intervalMs: 1_000, timeoutMs: 200, initialStatus: 'passing' })
    const changes = outputsOf(
      runUntil(state, 1_300).map(({ output }) => output),
      'checkChanged',
    )
    expect(changes).toMatchObject([{ status: 'critical', output: 'no answer within 200 ms' }])
  })

  it('REG-11: at most checksRunningMax at once, and the others get their turn', () => {
    const state = started(coreOf('a', { checksRunningMax: 2 }))
    const ids = Array.from({ length: 10 }, (_, index) => `i${index}`)
    for (const id of ids) {
      step(
        state,
        {
          kind: 'register',
          plan: planOf(id, { checks: [checkOf(`${id}/c`, { timeoutMs: 900 })] }),
        },
        0,
      )
    }
    const open: { id: string; run: number }[] = runsIn(runUntil(state, 800))
    const ran = new Set(open.map(({ id }) => id))
    expect(open).toHaveLength(2)
    for (let next = open.shift(); next !== undefined; next = open.shift()) {
      const result = { status: 'passing', output: '' } as const
      const outputs = step(state, { kind: 'checked', ...next, result }, 800)
      for (const { id, run } of outputsOf(outputs, 'run')) {
        open.push({ id, run })
        ran.add(id)
      }
      expect(open.length).toBeLessThanOrEqual(2)
    }
    expect(ran.size).toBe(10)
  })

  it('REG-11: a thousand checks start spread out', () => {
    const state = started(coreOf('a', { checksRunningMax: 10_000 }))
    for (let index = 0; index < 1_000; index += 1) {
      const checks = [checkOf(`i${index}/c`, { intervalMs: 10_000, timeoutMs: 9_000 })]
      step(state, { kind: 'register', plan: planOf(`i${index}`, { checks }) }, 0)
    }
    const perSlice = new Map<number, number>()
    for (const { at } of runsIn(runUntil(state, 10_000))) {
      const slice = Math.floor(at / 500)
      perSlice.set(slice, (perSlice.get(slice) ?? 0) + 1)
    }
    expect(perSlice.size).toBe(20)
    // The first to register spread over less time than the last, hence not evenly.
    expect(Math.max(...perSlice.values())).toBeLessThan(250)
  })
})

describe('what results mean', () => {
  it('REG-11: thresholds count runs in a row', () => {
    const state = withCheck({ successThreshold: 3, failureThreshold: 2 })
    const story: [CheckStatus, CheckStatus][] = [
      ['passing', 'critical'],
      ['passing', 'critical'],
      ['critical', 'critical'],
      ['passing', 'critical'],
      ['warning', 'critical'],
      ['passing', 'passing'],
      ['critical', 'passing'],
      ['warning', 'warning'],
      ['critical', 'warning'],
      ['critical', 'critical'],
    ]
    for (const [at, [result, expected]] of story.entries()) {
      runOnce(state, (at + 1) * 1_000, result)
      expect(statusOf(state), `after run ${at}`).toBe(expected)
    }
  })

  it('REG-11: an instance is as well as its worst check', () => {
    const state = started(coreOf('a'))
    const check = (id: string): CheckPlan => checkOf(id, { passive: true, intervalMs: 60_000 })
    step(
      state,
      { kind: 'register', plan: planOf('web', { checks: [check('web/x'), check('web/y')] }) },
      0,
    )
    const set = (id: string, status: CheckStatus): unknown =>
      step(state, { kind: 'setCheck', id, result: { status, output: '' } }, 1)
    set('web/x', 'passing')
    expect(statusOf(state)).toBe('critical')
    set('web/y', 'warning')
    expect([statusOf(state), lookUp(state, 'web').passing]).toEqual(['warning', []])
    set('web/y', 'passing')
    expect(lookUp(state, 'web').passing).toHaveLength(1)
  })

  it('REG-11: output is cut to 4 KiB, and only a change of status is announced', () => {
    const state = withCheck()
    const first = runOnce(state, 1_000, 'passing', 'x'.repeat(10_000))
    expect(state.checks.get('web/c')?.entry.output).toHaveLength(4_096)
    runUntil(state, first + 20)
    const version = state.own.replica.floor
    for (let turn = 2; turn < 20; turn += 1) runOnce(state, turn * 1_000, 'passing', `run ${turn}`)
    expect(state.own.replica.floor).toBe(version)
    expect(state.checks.get('web/c')?.entry.output).toBe('run 19')
  })

  it('REG-11: a passive check holds what it was told for intervalMs, and then asks why', () => {
    const state = withCheck({ passive: true, intervalMs: 1_000 })
    const pass = (at: number): unknown =>
      step(
        state,
        { kind: 'setCheck', id: 'web/c', result: { status: 'passing', output: 'fine' } },
        at,
      )
    expect(statusOf(state)).toBe('critical')
    for (let at = 500; at < 5_000; at += 900) {
      pass(at)
      expect(runsIn(runUntil(state, at + 890))).toEqual([])
      expect(statusOf(state)).toBe('passing')
    }
    const last = 500 + 4 * 900
    pass(last)
    const [silent] = runsIn(runUntil(state, last + 1_000))
    expect(silent?.at).toBe(last + 1_000)
    const result = { status: 'critical', output: 'silence' } as const
    step(state, { kind: 'checked', id: 'web/c', run: silent?.run ?? 0, result }, last + 1_001)
    expect(statusOf(state)).toBe('critical')
    // Asked once: only the next word starts its time again.
    expect(runsIn(runUntil(state, last + 60_000))).toEqual([])
    pass(last + 60_000)
    expect(statusOf(state)).toBe('passing')
  })

  it('REG-11: a word that comes while silence is being explained counts instead', () => {
    const state = withCheck({ passive: true, intervalMs: 1_000 })
    const [silent] = runsIn(runUntil(state, 1_000))
    const word = { status: 'passing', output: '' } as const
    step(state, { kind: 'setCheck', id: 'web/c', result: word }, 1_001)
    const result = { status: 'critical', output: 'silence' } as const
    step(state, { kind: 'checked', id: 'web/c', run: silent?.run ?? 0, result }, 1_002)
    expect(statusOf(state)).toBe('passing')
  })
})

describe('staying critical', () => {
  it('REG-12: deregisters after deregisterCriticalAfterMs without a break', () => {
    const state = withCheck({ deregisterCriticalAfterMs: 5_000, failureThreshold: 1 })
    let at = 0
    for (let turn = 0; turn < 4; turn += 1) at = runOnce(state, at + 1_000, 'critical')
    at = runOnce(state, at + 1_000, 'passing')
    at = runOnce(state, at + 1_000, 'critical')
    const since = at
    const all: { at: number; output: Output }[] = []
    while (state.own.live.size > 0 && at < since + 20_000) {
      for (const entry of runUntil(state, at + 100)) {
        all.push(entry)
        if (entry.output.kind !== 'run') continue
        const result = { status: 'critical', output: '' } as const
        step(state, { kind: 'checked', id: 'web/c', run: entry.output.run, result }, entry.at)
      }
      at += 100
    }
    const gone = all.find(({ output }) => output.kind === 'deregistered')
    expect(gone).toEqual({
      at: since + 5_000,
      output: { kind: 'deregistered', id: 'web', reason: 'critical' },
    })
    expect([lookUp(state, 'web').all, state.checks.size]).toEqual([[], 0])
  })

  it('REG-12: a start that never gets well counts from the registration', () => {
    const state = withCheck({ deregisterCriticalAfterMs: 3_000, passive: true, intervalMs: 60_000 })
    runUntil(state, 2_999)
    expect(state.own.live.size).toBe(1)
    runUntil(state, 3_000)
    expect(state.own.live.size).toBe(0)
  })
})

describe('registering again', () => {
  it('REG-18: keeps the status of checks of the same name and kind, and ends the run under way', () => {
    const state = withCheck()
    runOnce(state, 1_000, 'passing')
    const [under] = runsIn(runUntil(state, 2_000, isRun))
    const plan = planOf('web', { port: 81, checks: [checkOf('web/c'), checkOf('web/d')] })
    const outputs = step(state, { kind: 'register', plan }, 2_000)
    expect(outputsOf(outputs, 'abortRun')).toMatchObject([{ run: under?.run }])
    const states = lookUp(state, 'web').all[0]?.checks.map(({ id, status }) => [id, status])
    expect(states).toEqual([
      ['web/c', 'passing'],
      ['web/d', 'critical'],
    ])
    // The end of the old run is nobody's result.
    const result = { status: 'critical', output: '' } as const
    step(state, { kind: 'checked', id: 'web/c', run: under?.run ?? 0, result }, 2_001)
    expect(lookUp(state, 'web').all[0]?.checks[0]?.status).toBe('passing')
    expect(state.runs.size).toBe(0)
    step(state, { kind: 'deregister', id: 'web' }, 2_002)
    expect([state.checks.size, runsIn(runUntil(state, 60_000))]).toEqual([0, []])
  })
})
