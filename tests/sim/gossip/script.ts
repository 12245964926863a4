/** Small scenarios as text: who said what to whom, and what each member told its user. */
import { decodePacket, resolveOptions } from '@kith/gossip/core'
import type { Input, Output } from '@kith/gossip/core'
import { formatAddress } from '@kith/interface'
import type { Address } from '@kith/interface'
import { nodeDigests } from '@kith/interface/node'
import { Transcript } from '@kith/sim'
import { Cluster } from './cluster.ts'
import type { Actor, Watcher } from './cluster.ts'
import { World } from './world.ts'

/** Messages as one line; a probe of a healthy member says nothing worth reading. */
function packetLine(bytes: Uint8Array): string | undefined {
  const { messages } = decodePacket(bytes, nodeDigests)
  const [first] = messages
  if (messages.length === 1 && (first?.kind === 'ping' || first?.kind === 'ack')) return undefined
  const parts = messages.map((message) => {
    if (message.kind === 'alive') return `alive ${message.node}@${message.incarnation}`
    if (message.kind === 'suspect' || message.kind === 'dead') {
      return `${message.kind} ${message.node}@${message.incarnation} by ${message.from}`
    }
    if (message.kind === 'indirectPing') return `indirect ping ${message.node}`
    if (message.kind !== 'user') return message.kind
    const { message: serf } = message
    if (serf?.kind !== 'joinIntent' && serf?.kind !== 'leaveIntent') return serf?.kind ?? 'unknown'
    return `${serf.kind} ${serf.node} time ${serf.lamportTime}`
  })
  return parts.join(', ')
}

class Writer implements Watcher {
  readonly transcript = new Transcript()
  readonly #names: ReadonlyMap<string, string>

  constructor(actors: readonly Actor[]) {
    this.#names = new Map(actors.map(({ name, address }) => [formatAddress(address), name]))
  }

  transition(actor: Actor, _input: Input, outputs: readonly Output[], now: number): void {
    for (const output of outputs) {
      const line = this.#line(output)
      if (line !== undefined) this.transcript.add(now, actor.name, line)
    }
  }

  #line(output: Output): string | undefined {
    if (output.kind === 'send') {
      const line = packetLine(output.bytes)
      return line && `-> ${this.#name(output.to)}: ${line}`
    }
    if (output.kind === 'request')
      return `=> ${this.#name(output.to)}: ${output.bytes.length} bytes`
    if (output.kind === 'done') return `done ${output.id} ${JSON.stringify(output.join ?? {})}`
    if (output.kind !== 'event') return undefined
    const { event } = output
    if (!('member' in event)) return `** ${JSON.stringify(event)}`
    const { name, status, incarnation, tags } = event.member
    return `** ${event.kind} ${name} ${status}@${incarnation} ${JSON.stringify(tags)}`
  }

  #name(address: Address): string {
    return this.#names.get(formatAddress(address)) ?? formatAddress(address)
  }
}

export interface Stage {
  readonly world: World
  readonly actors: readonly Actor[]
  until(seconds: number): void
}

/** A cluster of this size on a quiet network, formed, with `play` to follow. */
export function record(members: number, play: (stage: Stage) => void): Transcript {
  const watchers: Watcher[] = []
  const timings = resolveOptions('lan')
  const cluster = new Cluster({ seed: 1, members, timings, watchers })
  const writer = new Writer(cluster.actors)
  watchers.push(writer)
  const world = new World(cluster)
  const until = (seconds: number): void => cluster.clock.advanceTo(seconds * 1000)
  const [first] = cluster.actors
  for (const actor of cluster.actors) {
    world.start(actor, first === undefined || actor === first ? [] : [first])
    cluster.clock.advanceBy(100)
  }
  until(3)
  play({ world, actors: cluster.actors, until })
  return writer.transcript
}
