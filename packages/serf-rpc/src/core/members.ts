/** Members between what a host or a caller sees and what the wire carries. */
import { addressBytes, addressText } from '@kith/interface'
import type { SerfMember, SerfStatus } from '../words.ts'
import type { WireMember } from '../wire/message.ts'

const unknownAddress = new Uint8Array(4)

export function toWireMember(member: SerfMember): WireMember {
  const { name, address, status, protocol, delegate } = member
  return {
    name,
    address: addressBytes(address.host) ?? unknownAddress,
    port: address.port,
    tags: new Map(Object.entries(member.tags)),
    status,
    protocol,
    delegate,
  }
}

export function fromWireMember(member: WireMember): SerfMember {
  const { name, address, port, tags, status, protocol, delegate } = member
  return Object.freeze({
    name,
    address: { host: addressText(address) ?? '', port },
    tags: Object.freeze(Object.fromEntries(tags)),
    // Shown as it is: what a newer agent says is better than nothing.
    status: status as SerfStatus,
    protocol,
    delegate,
  })
}

export interface MemberFilter {
  readonly name: string
  readonly status: string
  readonly tags: ReadonlyMap<string, string>
}

type Compile = (expression: string) => ((text: string) => boolean) | undefined

/**
 * Members that pass every filter, as Serf reads them: an expression stands between `^` and `$`, an
 * empty one for name or status passes everybody, a tag that is absent is empty text. Undefined,
 * with the expression at fault, where one is not valid.
 */
export function filterMembers(
  members: readonly SerfMember[],
  filter: MemberFilter,
  compile: Compile,
): { readonly members: readonly SerfMember[] } | { readonly invalid: string } {
  const tests: ((member: SerfMember) => boolean)[] = []
  const wanted: readonly (readonly [string, (member: SerfMember) => string])[] = [
    ...(filter.name === '' ? [] : [[filter.name, nameOf] as const]),
    ...(filter.status === '' ? [] : [[filter.status, statusOf] as const]),
    ...[...filter.tags].map(
      ([tag, expression]) =>
        [expression, (member: SerfMember): string => tagOf(member, tag)] as const,
    ),
  ]
  for (const [expression, read] of wanted) {
    const test = compile(`^${expression}$`)
    if (test === undefined) return { invalid: expression }
    tests.push((member) => test(read(member)))
  }
  return { members: members.filter((member) => tests.every((test) => test(member))) }
}

const nameOf = (member: SerfMember): string => member.name
const statusOf = (member: SerfMember): string => member.status

function tagOf({ tags }: SerfMember, tag: string): string {
  return Object.hasOwn(tags, tag) ? (tags[tag] ?? '') : ''
}
