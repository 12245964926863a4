// A Kith member with a registry, as a process that may run in a network namespace of its own.
import { createGossip } from '@kith/gossip'
import type { ExtensionHost } from '@kith/interface'
import { createRegistry } from '@kith/registry'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'
import { sharedNow, type WalledOrder, type WalledTold } from './walled-orders.ts'

const [name = '', host = '', directory = '', ...join] = process.argv.slice(2)
const port = 7946
const gossip = createGossip({
  name,
  packets: udpTransport({ host, port }),
  streams: tcpTransport({ host, port }),
  join,
})
let largest = 0
let fetched = 0
const extensions: ExtensionHost = {
  extend: (extension, handlers) => gossip.extend(extension, handlers),
  broadcastBytesMax: (extension) => gossip.broadcastBytesMax(extension),
  broadcast(extension, bytes) {
    largest = Math.max(largest, bytes.length)
    gossip.broadcast(extension, bytes)
  },
  async fetch(member, extension, request, options) {
    const answer = await gossip.fetch(member, extension, request, options)
    fetched += 1
    return answer
  },
}
const verdicts: { at: number; text: string }[] = []
for (const kind of ['fail', 'join'] as const) {
  gossip.on(kind, ({ member }) => {
    verdicts.push({ at: sharedNow(), text: `${kind} of ${member.name}` })
  })
}
const registry = createRegistry({ membership: gossip, extensions, directory })
await gossip.start()
await registry.start()
const tell = (told: WalledTold): void => void process.send?.(told)

process.on('message', (order: WalledOrder) => void carryOut(order))

async function carryOut(order: WalledOrder): Promise<void> {
  const { question } = order
  const answer = (): void => tell({ question, at: sharedNow(), ...figures() })
  switch (order.order) {
    case 'register': {
      const at = sharedNow()
      await registry.register(order.service, { persist: true })
      tell({ question, at, ...figures() })
      break
    }
    case 'hear': {
      const { service, ids, revision } = order
      const look = (): void => {
        const found = registry.resolve(service).filter(({ meta }) => meta['rev'] === revision)
        const held = new Set(found.map(({ id }) => id))
        if (!ids.every((id) => held.has(id))) return
        unsubscribe()
        answer()
      }
      const unsubscribe = registry.on('change', look)
      look()
      break
    }
    case 'look':
      answer()
  }
}
tell({ question: 0, at: sharedNow(), ...figures() })

function figures(): Omit<WalledTold, 'question' | 'at'> {
  return {
    status: Object.fromEntries(gossip.members().map((member) => [member.name, member.status])),
    largest,
    largestMax: gossip.broadcastBytesMax('registry'),
    fetched,
    verdicts,
  }
}
