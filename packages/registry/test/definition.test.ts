/** Every rule of a definition refuses what breaks it and names the field. */
import type { CheckKind, OptionProblem } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { functionCheck, RegistryError, tcpCheck, ttlCheck } from '../src/index.ts'
import { resolveSettings } from '../src/options.ts'
import { checkDefinition } from '../src/runtime/definition.ts'

const listed: CheckKind[] = [tcpCheck(), ttlCheck(), functionCheck()]
const kinds = new Map(listed.map((kind) => [kind.kind, kind]))
const good = { service: 'web', port: 80 }

function problems(definition: unknown): readonly OptionProblem[] {
  try {
    checkDefinition(definition, kinds, '10.0.0.1')
    return []
  } catch (cause) {
    if (!(cause instanceof RegistryError) || cause.code !== 'ERR_REGISTRY_SERVICE') throw cause
    return cause.details?.problems ?? []
  }
}

const check = (changes: object): unknown => ({ ...good, checks: [{ kind: 'tcp', ...changes }] })
const texts = (count: number): string[] => Array.from({ length: count }, (_, index) => `t${index}`)

describe('a definition', () => {
  it.each<[string, unknown]>([
    ['service definition', undefined],
    ['service definition', []],
    ['service', { port: 80 }],
    ['service', { ...good, service: '' }],
    ['service', { ...good, service: 'a.b' }],
    ['service', { ...good, service: '-web' }],
    ['service', { ...good, service: 'x'.repeat(64) }],
    ['service', { ...good, service: 7 }],
    ['id', { ...good, id: 'a/b' }],
    ['id', { ...good, id: '' }],
    ['id', { ...good, id: 'x'.repeat(129) }],
    ['address', { ...good, address: '' }],
    ['address', { ...good, address: '0.0.0.0' }],
    ['address', { ...good, address: '::' }],
    ['address', { ...good, address: 'a b' }],
    ['port', { service: 'web' }],
    ['port', { ...good, port: 0 }],
    ['port', { ...good, port: 65_536 }],
    ['port', { ...good, port: 1.5 }],
    ['port', { ...good, port: '80' }],
    ['port', { ...good, port: Number.NaN }],
    ['tags', { ...good, tags: 'x' }],
    ['tags', { ...good, tags: texts(33) }],
    ['tags[1]', { ...good, tags: ['a', 'b\n'] }],
    ['tags[0]', { ...good, tags: ['\ud800'] }],
    ['tags[0]', { ...good, tags: ['ö'.repeat(65)] }],
    ['meta', { ...good, meta: [] }],
    ['meta', { ...good, meta: Object.fromEntries(texts(65).map((key) => [key, ''])) }],
    ['meta.a', { ...good, meta: { a: 1 } }],
    ['meta.a b', { ...good, meta: { 'a b': 'x' } }],
    ['meta.a', { ...good, meta: { a: 'x'.repeat(1_025) } }],
    [
      'meta',
      { ...good, meta: Object.fromEntries(texts(5).map((key) => [key, 'x'.repeat(1_000)])) },
    ],
    ['checks', { ...good, checks: {} }],
    ['checks', { ...good, checks: texts(17).map((name) => ({ kind: 'ttl', name })) }],
    ['checks[0]', { ...good, checks: ['tcp'] }],
    ['checks[0].kind', { ...good, checks: [{ kind: 'telepathy' }] }],
    ['checks[0].kind', { ...good, checks: [{}] }],
    ['checks[0].name', check({ name: 'a/b' })],
    ['checks[1].name', { ...good, checks: [{ kind: 'tcp' }, { kind: 'tcp' }] }],
    ['checks[0].intervalMs', check({ intervalMs: 99 })],
    ['checks[0].intervalMs', check({ intervalMs: 86_400_001 })],
    ['checks[0].intervalMs', check({ intervalMs: '1s' })],
    ['checks[0].timeoutMs', check({ timeoutMs: 0 })],
    ['checks[0].successThreshold', check({ successThreshold: 0 })],
    ['checks[0].failureThreshold', check({ failureThreshold: 1_001 })],
    ['checks[0].initialStatus', check({ initialStatus: 'fine' })],
    ['checks[0].deregisterCriticalAfterMs', check({ deregisterCriticalAfterMs: 99 })],
    ['checks[0].options', check({ options: { port: 0 } })],
    ['checks[0].options', { ...good, checks: [{ kind: 'function' }] }],
    ['checks[0].interval', check({ interval: 1 })],
    ['prot', { ...good, prot: 80 }],
  ])('REG-18: names %s in %o', (field, definition) => {
    expect(problems(definition).map((problem) => problem.field)).toEqual([field])
  })

  it('REG-18: names everything at fault at once, each with what would be right', () => {
    const found = problems({ service: '', port: -1, tags: 5, checks: [{ kind: 'x' }], more: 1 })
    expect(found.map(({ field }) => field)).toEqual([
      'more',
      'service',
      'port',
      'tags',
      'checks[0].kind',
    ])
    for (const { want } of found) expect(want.length).toBeGreaterThan(5)
  })

  it('REG-18: takes what keeps to the rules and fills in the rest', () => {
    const { plan } = checkDefinition(
      { ...good, tags: ['a', 'a'], meta: { __proto__x: 'y' }, checks: [{ kind: 'tcp' }] },
      kinds,
      '10.0.0.9',
    )
    expect(plan).toMatchObject({
      id: 'web',
      address: '10.0.0.9',
      tags: ['a'],
      meta: { __proto__x: 'y' },
    })
    expect(plan.checks).toEqual([
      {
        id: 'web/tcp',
        kind: 'tcp',
        passive: false,
        intervalMs: 10_000,
        timeoutMs: 5_000,
        successThreshold: 1,
        failureThreshold: 1,
        initialStatus: 'critical',
        deregisterCriticalAfterMs: undefined,
      },
    ])
    expect([Object.isFrozen(plan), Object.isFrozen(plan.tags), Object.isFrozen(plan.meta)]).toEqual(
      [true, true, true],
    )
  })
})

describe('settings', () => {
  it('REG-18: names every setting out of range or unknown at once', () => {
    const given = { gapMs: -1, membersMax: 1.5, bytesMax: '1', gap: 3 }
    const fields = ['bytesMax', 'gap', 'gapMs', 'membersMax']
    expect(() => resolveSettings(given as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_REGISTRY_OPTIONS',
        details: {
          problems: expect.arrayContaining(
            fields.map((field) => expect.objectContaining({ field })),
          ),
        },
      }),
    )
    expect(Object.isFrozen(resolveSettings())).toBe(true)
  })
})
