/** What `createRegistry` refuses, all of it at once. */
import { type CheckKind, type OptionProblem, showValue } from '@kith/interface'
import { problemError } from '../errors.ts'
import { isKindName, isMemberName } from '../wire/limits.ts'
import type { RegistryOptions } from './types.ts'

const optionNames: ReadonlySet<string> = new Set<keyof RegistryOptions>([
  'membership',
  'extensions',
  'member',
  'directory',
  'checkKinds',
  'rtt',
  'settings',
  'clock',
  'random',
  'logger',
])

/** The settings and the names of check kinds are checked where they are read. */
export function checkOptions(options: RegistryOptions): void {
  const { member, directory, checkKinds, rtt, membership, extensions } = options
  const problems: OptionProblem[] = Object.entries(options)
    .filter(([field]) => !optionNames.has(field))
    .map(([field, value]) => ({ field, got: showValue(value), want: 'absent (not an option)' }))
  for (const [field, port] of Object.entries({ membership, extensions })) {
    if (typeof port === 'object' && port !== null) continue
    problems.push({ field, got: showValue(port), want: 'given: createGossip() fits both' })
  }
  if (member !== undefined && (typeof member !== 'string' || !isMemberName(member))) {
    const want = 'text of 1 to 128 bytes without control characters'
    problems.push({ field: 'member', got: showValue(member), want })
  }
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) {
    problems.push({
      field: 'directory',
      got: showValue(directory),
      want: 'the path of a directory',
    })
  }
  if (rtt !== undefined && typeof rtt !== 'function') {
    problems.push({ field: 'rtt', got: showValue(rtt), want: 'a function of two member names' })
  }
  if (checkKinds !== undefined && !Array.isArray(checkKinds)) {
    problems.push({
      field: 'checkKinds',
      got: showValue(checkKinds),
      want: 'a list of check kinds',
    })
  }
  if (problems.length > 0) throw problemError('ERR_REGISTRY_OPTIONS', problems)
}

export function checkKindName(kind: CheckKind): void {
  if (typeof kind?.kind === 'string' && isKindName(kind.kind)) return
  const want = 'a check kind named with 1 to 32 of [a-z0-9-], starting with a letter'
  throw problemError('ERR_REGISTRY_OPTIONS', [
    { field: 'checkKinds', got: showValue(kind?.kind), want },
  ])
}
