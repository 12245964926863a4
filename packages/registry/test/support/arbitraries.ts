/**
 * Arbitrary statements. Each is drawn from one number: building fast-check's arbitraries anew for
 * each statement took most of a test's time.
 */
import { createRandom, type Random, type ServiceInstance } from '@kith/interface'
import fc, { type Arbitrary } from 'fast-check'
import { worstStatus } from '../../src/wire/instance.ts'
import type { Broadcast, Digest, Entry, Header, Snapshot } from '../../src/wire/message.ts'

const texts = ['', 'a', 'two words', 'größer', '日本', '🧭 compass', 'x'.repeat(200), '__proto__']
const statuses = ['passing', 'warning', 'critical'] as const

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[random.below(items.length)] as Item
}

function list<Item>(random: Random, max: number, make: (index: number) => Item): Item[] {
  return Array.from({ length: random.below(max + 1) }, (_, index) => make(index))
}

function drawn<Value>(draw: (random: Random) => Value): Arbitrary<Value> {
  return fc.nat(2 ** 31 - 1).map((seed) => draw(createRandom(seed)))
}

export function drawHeader(random: Random): Header {
  const epoch = random.below(2 ** 31) * 1_000
  return {
    member: pick(random, ['a', 'member-b', 'größer', 'm'.repeat(128)]),
    epoch,
    version: random.below(1_000),
  }
}

export function drawInstance(
  random: Random,
  member: string,
  id: string,
  version: number,
): ServiceInstance {
  const checks = list(random, 3, (index) => ({
    id: `${id}/check-${index}`,
    kind: pick(random, ['tcp', 'ttl']),
    status: pick(random, statuses),
    output: pick(random, texts),
  }))
  return {
    service: pick(random, ['web', 'A-b_c', '0']),
    id,
    member,
    address: pick(random, ['10.0.0.1', '::1', 'host.example']),
    port: 1 + random.below(65_535),
    tags: list(random, 3, (index) => `${index} tag ö`),
    meta: Object.fromEntries(list(random, 4, (index) => [`key-${index}`, pick(random, texts)])),
    checks,
    status: worstStatus(checks),
    version,
  }
}

function drawEntries(random: Random, header: Header, removals: boolean): Entry[] {
  return list(random, 5, (index): Entry => {
    const id = `i${index}.${random.below(9)}`
    const version = random.below(header.version + 1)
    const choice = random.below(removals ? 3 : 2)
    if (choice === 0) return { kind: 'large', id, version }
    if (choice === 1)
      return { kind: 'put', instance: drawInstance(random, header.member, id, version) }
    return { kind: 'remove', id }
  })
}

export function drawSnapshot(random: Random): Snapshot {
  const header = drawHeader(random)
  const parts = 1 + random.below(9)
  const entries = drawEntries(random, header, false)
  const bounds = random.below(2) === 0 ? { after: '', upto: '' } : { after: 'a', upto: 'j' }
  return {
    kind: 'snapshot',
    ...header,
    part: random.below(parts),
    parts,
    draining: false,
    ...bounds,
    entries,
  }
}

function drawFragment(random: Random, { epoch, version }: Header): Broadcast {
  const count = 2 + random.below(3)
  const piece = Uint8Array.from(list(random, 40, () => random.below(256)).concat(1))
  const index = random.below(count)
  return { kind: 'fragment', epoch, version, hash: random.uint32(), index, count, piece }
}

/** Any message that an owner or an asker broadcasts. */
export function statements(): Arbitrary<Broadcast> {
  return drawn((random): Broadcast => {
    const header = drawHeader(random)
    const choice = random.below(7)
    if (choice === 6) return drawFragment(random, header)
    if (choice === 0) return { kind: 'summary', ...header, hash: random.uint32() }
    if (choice === 1) return { kind: 'solicit', ...header }
    if (choice < 4) return drawSnapshot(random)
    const entries = drawEntries(random, header, true)
    return {
      kind: 'delta',
      ...header,
      part: 0,
      parts: 1 + random.below(4),
      draining: true,
      entries,
    }
  })
}

export function headers(): Arbitrary<Header[]> {
  return drawn((random) => list(random, 20, () => drawHeader(random)))
}

export function digestLists(): Arbitrary<Digest[]> {
  return drawn((random) =>
    list(random, 20, () => ({
      ...drawHeader(random),
      hash: random.uint32(),
      complete: random.below(2) === 0,
    })),
  )
}

export function snapshotLists(): Arbitrary<Snapshot[]> {
  return drawn((random) => list(random, 4, () => drawSnapshot(random)))
}
