import { describe, expect, it } from 'vitest'
import { fieldPath, schemaProblems, showValue } from '../src/index.ts'

describe('showValue', () => {
  const loop: { self?: unknown } = {}
  loop.self = loop
  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    ['7', '"7"'],
    [7, '7'],
    [Number.NaN, 'NaN'],
    [7n, '7n'],
    [() => {}, 'a function'],
    [Symbol('x'), 'symbol'],
    [loop, 'something of type object'],
    [{ a: [1] }, '{"a":[1]}'],
  ])('shows %o as %s', (value, text) => {
    expect(showValue(value)).toBe(text)
  })

  it('cuts what is long', () => {
    const text = showValue('x'.repeat(10_000))
    expect(text.length).toBeLessThan(70)
    expect(text.endsWith('…')).toBe(true)
  })
})

describe('schemaProblems', () => {
  it('writes paths as the caller would', () => {
    expect(fieldPath(['services', 0, 'port'])).toBe('services[0].port')
    expect(fieldPath([])).toBe('')
  })

  it('names each field with what was given', () => {
    const input = { services: [{ port: -1 }] }
    const message = 'an integer from 1 to 65535'
    const problems = schemaProblems([{ path: ['services', 0, 'port'], message }], input, 'options')
    expect(problems).toEqual([{ field: 'services[0].port', got: '-1', want: message }])
  })

  it('makes one problem of every unknown name, and names the whole where no field is meant', () => {
    const unknown = { code: 'unrecognized_keys', path: ['log'], message: '', keys: ['a', 'b'] }
    const input = { log: { a: 1, b: 'x' } }
    expect(
      schemaProblems([unknown], input, 'options').map(({ field, got }) => [field, got]),
    ).toEqual([
      ['log.a', '1'],
      ['log.b', '"x"'],
    ])
    const whole = schemaProblems([{ path: [], message: 'an object' }], null, 'the body')
    expect(whole).toEqual([{ field: 'the body', got: 'null', want: 'an object' }])
  })

  it('does not follow a path into what every object inherits', () => {
    const [problem] = schemaProblems([{ path: ['constructor'], message: 'absent' }], {}, 'options')
    expect(problem?.got).toBe('nothing')
  })
})
