import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { expect, it } from 'vitest'
import { type ChannelMessage, createChannelEmitter } from '../src/node/index.ts'

interface Events {
  join: { readonly name: string }
}

it('tells its own listeners, then the channel, with whose event it is', () => {
  const name = 'kith:test:order'
  const heard: unknown[] = []
  const source = {}
  const emitter = createChannelEmitter<Events>(
    name,
    () => ({ source, member: 'ada' }),
    () => {},
  )
  const listener = (message: unknown): void => void heard.push(message)
  const off = emitter.on('join', (event) => heard.push(event))
  subscribe(name, listener)
  emitter.emit('join', { name: 'ben' })
  unsubscribe(name, listener)
  emitter.emit('join', { name: 'cy' })
  off()
  emitter.emit('join', { name: 'di' })
  const message: ChannelMessage = { source, member: 'ada', kind: 'join', event: { name: 'ben' } }
  expect(heard).toEqual([{ name: 'ben' }, message, { name: 'cy' }])
  expect((heard[1] as ChannelMessage).source).toBe(source)
})

it('makes no message where nobody subscribed, and none after the last left', () => {
  const name = 'kith:test:idle'
  let asked = 0
  const origin = (): { source: object; member: string } => ({
    source: {},
    member: String((asked += 1)),
  })
  const emitter = createChannelEmitter<Events>(name, origin, () => {})
  emitter.emit('join', { name: 'ben' })
  expect(asked).toBe(0)
  const listener = (): void => {}
  subscribe(name, listener)
  emitter.emit('join', { name: 'ben' })
  unsubscribe(name, listener)
  emitter.emit('join', { name: 'ben' })
  expect(asked).toBe(1)
})
