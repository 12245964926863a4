/** The virtual clock: one order, no surprises. */
import { describe, expect, it } from 'vitest'
import { createVirtualClock } from '../src/index.ts'

describe('createVirtualClock', () => {
  it('runs timers by deadline, and equal deadlines in the order they were set', () => {
    const clock = createVirtualClock()
    const ran: string[] = []
    clock.after(20, () => ran.push('c'))
    clock.after(10, () => ran.push('a'))
    clock.after(10, () => ran.push('b'))
    clock.after(30, () => ran.push('never'))
    clock.advanceTo(25)
    expect(ran).toEqual(['a', 'b', 'c'])
    expect(clock.now()).toBe(25)
    expect(clock.nextTimerAt()).toBe(30)
  })

  it('shows each timer its own deadline as now and runs what timers start', () => {
    const clock = createVirtualClock(100)
    const seen: number[] = []
    clock.after(5, () => {
      seen.push(clock.now())
      clock.after(5, () => seen.push(clock.now()))
    })
    clock.advanceBy(50)
    expect(seen).toEqual([105, 110])
  })

  it('forgets cancelled timers, also when most of a large heap is cancelled', () => {
    const clock = createVirtualClock()
    let ran = 0
    const cancels = Array.from({ length: 5000 }, (_, index) =>
      clock.after(index % 97, () => (ran += 1)),
    )
    for (const [index, cancel] of cancels.entries()) if (index % 10 !== 0) cancel()
    cancels[1]?.()
    expect(clock.pendingTimers).toBe(500)
    let last = -1
    while (clock.nextTimerAt() !== undefined) {
      const at = clock.nextTimerAt() ?? 0
      expect(at).toBeGreaterThan(last)
      last = at
      clock.advanceTo(at)
    }
    expect(ran).toBe(500)
    expect(clock.pendingTimers).toBe(0)
  })

  it('refuses to go back, to nest, and to spin without time passing', () => {
    const clock = createVirtualClock(10, { instantTimersMax: 100 })
    expect(() => clock.advanceTo(9)).toThrow(expect.objectContaining({ code: 'ERR_SIM_CLOCK' }))
    clock.after(1, () => clock.advanceBy(1))
    expect(() => clock.advanceBy(5)).toThrow(expect.objectContaining({ code: 'ERR_SIM_CLOCK' }))
    const spin = (): void => void clock.after(0, spin)
    spin()
    const endless = expect.objectContaining({ code: 'ERR_SIM_NO_PROGRESS' })
    expect(() => clock.advanceBy(5)).toThrow(endless)
  })

  it('lets promises settle between moments when run', async () => {
    const clock = createVirtualClock()
    const times: number[] = []
    const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
    const task = (async () => {
      for (let round = 0; round < 3; round += 1) {
        await wait(10)
        times.push(clock.now())
      }
    })()
    await clock.run({ until: 100 })
    await task
    expect(times).toEqual([10, 20, 30])
    expect(clock.now()).toBe(100)
  })

  it('stops a run early when asked, at the timer that made it so', async () => {
    const clock = createVirtualClock()
    let done = false
    clock.after(10, () => (done = true))
    clock.after(20, () => {
      throw new Error('too far')
    })
    await clock.run({ until: 100, stopWhen: () => done })
    expect(clock.now()).toBe(10)
  })

  it('keeps wall time apart from the start of monotonic time', () => {
    const clock = createVirtualClock(5_000, { wallStartMs: 1_000 })
    clock.advanceBy(250.7)
    expect(clock.wallNow()).toBe(1_250)
  })
})
