import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { openDesk } from '../src/desk.ts'
import { onKeys } from '../src/keys.ts'

describe('a desk', () => {
  it('says whose it is, and is made sick and well by the demo or by anybody', async () => {
    const desk = await openDesk('ada')
    const ask = async (path = '/', method = 'GET'): Promise<[number, string]> => {
      const answer = await fetch(`http://${desk.address}${path}`, { method })
      return [answer.status, await answer.text()]
    }
    try {
      expect(await ask()).toEqual([200, 'ada is here\n'])
      const counted = '# TYPE desk_visits_total counter\ndesk_visits_total 2\n'
      expect(await ask('/metrics')).toEqual([200, counted])
      desk.sick = true
      expect(await ask()).toEqual([503, 'ada is sick\n'])
      expect(await ask('/metrics')).toEqual([503, 'ada is sick\n'])
      expect(await ask('/well', 'POST')).toEqual([204, ''])
      expect(desk.sick).toBe(false)
      expect(await ask('/sick')).toEqual([200, 'ada is here\n'])
      expect(await ask('/sick', 'POST')).toEqual([204, ''])
      expect(desk.sick).toBe(true)
    } finally {
      desk.close()
    }
  })
})

class Keyboard extends EventEmitter {
  readonly isTTY: boolean
  readonly modes: boolean[] = []
  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }
  setRawMode(on: boolean): this {
    this.modes.push(on)
    return this
  }
  setEncoding(): this {
    return this
  }
  resume(): this {
    return this
  }
  pause(): this {
    return this
  }
}

describe('keys', () => {
  it('are read one by one, with Ctrl-C as the signal, until given back', () => {
    const keyboard = new Keyboard(true)
    const pressed: string[] = []
    const giveBack = onKeys(
      keyboard as never,
      (key) => pressed.push(key),
      () => pressed.push('interrupt'),
    )
    keyboard.emit('data', '12\u0003')
    giveBack()
    keyboard.emit('data', '3')
    expect(pressed).toEqual(['1', '2', 'interrupt'])
    expect(keyboard.modes).toEqual([true, false])
  })

  it('are left alone where there is no terminal', () => {
    const keyboard = new Keyboard(false)
    onKeys(keyboard as never, () => {})()
    expect([keyboard.modes, keyboard.listenerCount('data')]).toEqual([[], 0])
  })
})
