import { createRandom } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { describe, expect, it } from 'vitest'
import { createState, type Input, type Output, resolveOptions, step } from '../../src/core/index.ts'
import { encodeMessage, encodePacket, encodeSerf } from '../../src/wire/codec.ts'
import type { PacketMessage } from '../../src/wire/message.ts'

const from = { host: '127.0.0.1', port: 2 }

function started(): (input: Input) => string[] {
  const address = { host: '127.0.0.1', port: 1 }
  const options = { name: 'a', address, tags: {}, timings: resolveOptions('local') }
  const state = createState({ ...options, digests: nodeDigests }, createRandom(1))
  const feed = (input: Input): string[] => events(step(state, input, 0))
  feed({ kind: 'command', command: { kind: 'start' } })
  return feed
}

function events(outputs: readonly Output[]): string[] {
  return outputs.flatMap((output) => {
    if (output.kind !== 'event' || !('member' in output.event)) return []
    return [`${output.event.kind} ${output.event.member.name} ${output.event.member.status}`]
  })
}

function packet(message: PacketMessage): Input {
  return { kind: 'packet', from, bytes: encodePacket([encodeMessage(message)], {}) }
}

const alive: PacketMessage = {
  kind: 'alive',
  incarnation: 1,
  node: 'b',
  address: new Uint8Array([127, 0, 0, 1]),
  port: 2,
  meta: new Uint8Array(0),
  versions: [1, 5, 2, 2, 5, 5],
}

describe('GOS-26 a good-bye', () => {
  it('GOS-26 counts as a leave also where the intent to leave comes after it', () => {
    const feed = started()
    expect(feed(packet(alive))).toEqual(['join b alive'])
    const dead: PacketMessage = { kind: 'dead', incarnation: 1, node: 'b', from: 'b' }
    expect(feed(packet(dead))).toEqual(['leave b left'])
    const bytes = encodeSerf({ kind: 'leaveIntent', lamportTime: 9n, node: 'b', prune: false })
    expect(feed(packet({ kind: 'user', message: undefined, bytes }))).toEqual([])
  })

  it('GOS-26 is only the word of the member itself: of others it is a failure', () => {
    const feed = started()
    feed(packet(alive))
    const dead: PacketMessage = { kind: 'dead', incarnation: 1, node: 'b', from: 'c' }
    expect(feed(packet(dead))).toEqual(['fail b failed'])
  })
})
