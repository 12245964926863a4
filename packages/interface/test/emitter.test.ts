import { describe, expect, it } from 'vitest'
import { createEmitter } from '../src/index.ts'

interface Events {
  readonly said: string
}

describe('createEmitter', () => {
  it('calls listeners at once and in the order in which they subscribed', () => {
    const seen: string[] = []
    const emitter = createEmitter<Events>(() => {})
    emitter.on('said', (text) => seen.push(`first ${text}`))
    emitter.on('said', (text) => seen.push(`second ${text}`))
    emitter.emit('said', 'a')
    expect(seen).toEqual(['first a', 'second a'])
  })

  it('reports a listener that throws and goes on with the next', () => {
    const errors: unknown[] = []
    const seen: string[] = []
    const emitter = createEmitter<Events>((cause) => errors.push(cause))
    const broken = new Error('broken')
    emitter.on('said', () => {
      throw broken
    })
    emitter.on('said', (text) => seen.push(text))
    emitter.emit('said', 'a')
    expect(errors).toEqual([broken])
    expect(seen).toEqual(['a'])
  })

  it('reports a listener that rejects later, and nobody waits for it', async () => {
    const broken = new Error('broken')
    const reported = new Promise((resolve) => {
      const emitter = createEmitter<Events>(resolve)
      emitter.on('said', async () => {
        await Promise.resolve()
        throw broken
      })
      emitter.emit('said', 'a')
    })
    expect(await reported).toBe(broken)
  })

  it('takes one function twice, and takes each subscription back once', () => {
    const seen: string[] = []
    const emitter = createEmitter<Events>(() => {})
    const listener = (text: string): void => void seen.push(text)
    const stop = emitter.on('said', listener)
    emitter.on('said', listener)
    emitter.emit('said', 'a')
    stop()
    stop()
    emitter.emit('said', 'b')
    expect(seen).toEqual(['a', 'a', 'b'])
  })

  it('tells who subscribes during an event of the next one only', () => {
    const seen: string[] = []
    const emitter = createEmitter<Events>(() => {})
    emitter.on('said', () => {
      if (seen.length === 0) emitter.on('said', (text) => seen.push(`late ${text}`))
      seen.push('early')
    })
    emitter.emit('said', 'a')
    expect(seen).toEqual(['early'])
    emitter.emit('said', 'b')
    expect(seen).toEqual(['early', 'early', 'late b'])
  })
})
