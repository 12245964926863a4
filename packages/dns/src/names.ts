/** What a name asks for: `web.service.kith`, `eu.web.service.kith`, `ada.node.kith`. */
import { addressText, fromHex } from '@kith/interface'

export type Asked =
  | { readonly kind: 'service'; readonly service: string; readonly tag: string | undefined }
  | { readonly kind: 'node'; readonly member: string }
  /** An address as a name, to which answers of type SRV lead: `7f000001.addr.kith`. */
  | { readonly kind: 'address'; readonly address: string }
  /** The zone itself. */
  | { readonly kind: 'zone' }
  /** A name under which there are others, and nothing of its own. */
  | { readonly kind: 'empty' }
  /** A name of this zone that cannot be. */
  | { readonly kind: 'nothing' }
  /** A name of another zone. */
  | { readonly kind: 'foreign' }

const groups = new Set(['service', 'node', 'addr'])

/** Names compare without case; the returned parts are as they were written. */
export function readName(name: string, domain: string): Asked {
  const lower = name.toLowerCase()
  if (lower === domain) return { kind: 'zone' }
  if (!lower.endsWith(`.${domain}`)) return { kind: 'foreign' }
  const labels = name.slice(0, -domain.length - 1).split('.')
  const group = labels.pop()?.toLowerCase() ?? ''
  if (!groups.has(group)) return { kind: 'nothing' }
  if (labels.length === 0) return { kind: 'empty' }
  if (group === 'node') return { kind: 'node', member: labels.join('.') }
  if (group === 'addr') return readAddressName(labels)
  return readServiceName(labels)
}

/** `_web._tcp` as RFC 2782 has it means the service, whatever the protocol. */
function readServiceName(labels: readonly string[]): Asked {
  const [first = '', second = ''] = labels
  const isPair = labels.length === 2 && first.startsWith('_') && /^_(?:tcp|udp)$/i.test(second)
  if (isPair) return { kind: 'service', service: first.slice(1), tag: undefined }
  const service = labels.at(-1) ?? ''
  const tag = labels.length > 1 ? labels.slice(0, -1).join('.') : undefined
  return { kind: 'service', service, tag }
}

function readAddressName(labels: readonly string[]): Asked {
  const [hex = ''] = labels
  if (labels.length > 1 || !/^(?:[0-9a-f]{8}|[0-9a-f]{32})$/i.test(hex)) return { kind: 'nothing' }
  const address = addressText(fromHex(hex) ?? new Uint8Array())
  return address === undefined ? { kind: 'nothing' } : { kind: 'address', address }
}
