/** Members, instances and checks in the shapes that Consul's clients read. */
import { createHash } from 'node:crypto'
import type { CheckState, Member, MemberStatus, ServiceInstance } from '@kith/interface'
import type { ShapeRecord } from './filter/schema.ts'
import { decodeLabels, labelOf, visibleMeta } from './labels.ts'

/** What a member tells for Kith itself is nobody's metadata. */
const OWN_TAGS = 'kith.'
const statusNumbers: Readonly<Record<MemberStatus, number>> = {
  alive: 1,
  leaving: 2,
  left: 3,
  failed: 4,
}

export interface NodeShape {
  readonly ID: string
  readonly Node: string
  readonly Address: string
  readonly Datacenter: string
  readonly TaggedAddresses: Readonly<Record<string, string>>
  readonly Meta: Readonly<Record<string, string>>
  readonly CreateIndex: number
  readonly ModifyIndex: number
}

export interface CheckShape {
  readonly Node: string
  readonly CheckID: string
  readonly Name: string
  readonly Status: string
  readonly Notes: string
  readonly Output: string
  readonly ServiceID: string
  readonly ServiceName: string
  readonly ServiceTags: readonly string[]
  readonly Type: string
  readonly Definition: Readonly<Record<never, never>>
  readonly CreateIndex: number
  readonly ModifyIndex: number
}

/** The same for one name everywhere: half a digest of it in the form of a UUID. */
export function nodeId(name: string): string {
  const hex = createHash('sha256').update(`kith member ${name}`).digest('hex')
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
  ]
  return [...parts, hex.slice(20, 32)].join('-')
}

export function nodeShape(member: Member, datacenter: string): NodeShape {
  const { name, address, tags, incarnation } = member
  const meta = Object.entries(tags).filter(([key]) => !key.startsWith(OWN_TAGS))
  const index = Math.max(1, incarnation)
  return {
    ID: nodeId(name),
    Node: name,
    Address: address.host,
    Datacenter: datacenter,
    TaggedAddresses: { lan: address.host, wan: address.host },
    Meta: Object.fromEntries(meta),
    CreateIndex: 1,
    ModifyIndex: index,
  }
}

export function memberShape({ name, address, tags, status, protocol }: Member): object {
  const { min = 1, max = 5, version = 2 } = protocol ?? {}
  return {
    Name: name,
    Addr: address.host,
    Port: address.port,
    Tags: tags,
    Status: statusNumbers[status],
    ProtocolMin: min,
    ProtocolMax: max,
    ProtocolCur: version,
    DelegateMin: 2,
    DelegateMax: 5,
    DelegateCur: 4,
  }
}

/** An instance as an agent or a node lists it. */
export function serviceShape(instance: ServiceInstance, datacenter: string): object {
  const { id, service, tags, meta, port, address, version } = instance
  return {
    Kind: '',
    ID: id,
    Service: service,
    Tags: tags,
    Meta: visibleMeta(meta),
    Port: port,
    Address: address,
    TaggedAddresses: {},
    Weights: { Passing: 1, Warning: 1 },
    EnableTagOverride: false,
    Datacenter: datacenter,
    CreateIndex: 1,
    ModifyIndex: Math.max(1, version),
  }
}

/** An instance as the catalog lists it, with its node. */
export function catalogShape(instance: ServiceInstance, node: NodeShape): object {
  const { Meta, CreateIndex: _created, ModifyIndex: _modified, ...rest } = node
  const { id, service, tags, meta, port, address, version } = instance
  return {
    ...rest,
    NodeMeta: Meta,
    ServiceKind: '',
    ServiceID: id,
    ServiceName: service,
    ServiceTags: tags,
    ServiceAddress: address,
    ServiceTaggedAddresses: {},
    ServiceWeights: { Passing: 1, Warning: 1 },
    ServiceMeta: visibleMeta(meta),
    ServicePort: port,
    ServiceEnableTagOverride: false,
    CreateIndex: 1,
    ModifyIndex: Math.max(1, version),
  }
}

/** The checks of an instance; `latest` are outputs that were not told to others yet. */
export function checkShapes(
  instance: ServiceInstance,
  latest?: ReadonlyMap<string, CheckState>,
): readonly CheckShape[] {
  const labels = decodeLabels(instance.meta)
  return instance.checks.map((check) => {
    const { checkId, name, notes } = labelOf(instance, check, labels)
    return {
      Node: instance.member,
      CheckID: checkId,
      Name: name,
      Status: check.status,
      Notes: notes,
      Output: check.kind === 'maintenance' ? '' : (latest?.get(check.id) ?? check).output,
      ServiceID: instance.id,
      ServiceName: instance.service,
      ServiceTags: instance.tags,
      Type: check.kind,
      Definition: {},
      CreateIndex: 1,
      ModifyIndex: Math.max(1, instance.version),
    }
  })
}

/** What gossip says of a member, as the check that each of Consul's nodes has. */
export function memberCheck({ name, status, incarnation }: Member): CheckShape {
  const alive = status === 'alive'
  return {
    Node: name,
    CheckID: 'serfHealth',
    Name: 'Serf Health Status',
    Status: alive ? 'passing' : 'critical',
    Notes: '',
    Output: alive ? 'the member is alive and reachable' : `the member is ${status}`,
    ServiceID: '',
    ServiceName: '',
    ServiceTags: [],
    Type: '',
    Definition: {},
    CreateIndex: 1,
    ModifyIndex: Math.max(1, incarnation),
  }
}

const node: ShapeRecord = {
  ID: 'text',
  Node: 'text',
  Address: 'text',
  Datacenter: 'text',
  TaggedAddresses: 'pairs',
  Meta: 'pairs',
}
const service: ShapeRecord = {
  Kind: 'text',
  ID: 'text',
  Service: 'text',
  Tags: 'texts',
  Meta: 'pairs',
  Port: 'number',
  Address: 'text',
  TaggedAddresses: 'pairs',
  Weights: { Passing: 'number', Warning: 'number' },
  EnableTagOverride: 'flag',
  Datacenter: 'text',
}
const check: ShapeRecord = {
  Node: 'text',
  CheckID: 'text',
  Name: 'text',
  Status: 'text',
  Notes: 'text',
  Output: 'text',
  ServiceID: 'text',
  ServiceName: 'text',
  ServiceTags: 'texts',
  Type: 'text',
}
const catalog: ShapeRecord = {
  ID: 'text',
  Node: 'text',
  Address: 'text',
  Datacenter: 'text',
  TaggedAddresses: 'pairs',
  NodeMeta: 'pairs',
  ServiceKind: 'text',
  ServiceID: 'text',
  ServiceName: 'text',
  ServiceTags: 'texts',
  ServiceAddress: 'text',
  ServiceTaggedAddresses: 'pairs',
  ServiceWeights: { Passing: 'number', Warning: 'number' },
  ServiceMeta: 'pairs',
  ServicePort: 'number',
  ServiceEnableTagOverride: 'flag',
}
const member: ShapeRecord = {
  Name: 'text',
  Addr: 'text',
  Port: 'number',
  Tags: 'pairs',
  Status: 'number',
}

/** What a filter may select in each of these shapes. */
export const selectable: Readonly<
  Record<'node' | 'service' | 'check' | 'catalog' | 'member' | 'health', ShapeRecord>
> = {
  node,
  service,
  check,
  catalog,
  member,
  health: { Node: node, Service: service, Checks: [check] },
}
