import { describe, expect, it } from 'vitest'
import { describeProblems, invariant, isKithError, KithError } from '../src/index.ts'

describe('KithError', () => {
  it('carries code, details and cause', () => {
    const cause = new Error('below')
    const error = new KithError('ERR_X', 'it broke', { cause, details: { field: 'a' } })
    expect(error).toMatchObject({ code: 'ERR_X', message: 'it broke', details: { field: 'a' } })
    expect(error.cause).toBe(cause)
    expect(new KithError('ERR_X', 'it broke')).not.toHaveProperty('cause')
  })

  it('is recognised by its brand, which another copy of the package shares', () => {
    class Own extends KithError<'ERR_OWN'> {}
    expect(isKithError(new Own('ERR_OWN', 'x'))).toBe(true)
    expect(isKithError({ [Symbol.for('@kith/error')]: true })).toBe(true)
    for (const other of [new Error('ERR_OWN'), { code: 'ERR_OWN' }, null, undefined, 'ERR_OWN']) {
      expect(isKithError(other)).toBe(false)
    }
  })

  it('keeps the brand out of what is printed', () => {
    const copy = Object.assign({}, new KithError('ERR_X', 'x'))
    expect(Object.getOwnPropertySymbols(copy)).toEqual([])
  })
})

describe('invariant', () => {
  it('throws a typed error where the condition fails, and only there', () => {
    expect(() => invariant(1, 'never')).not.toThrow()
    expect(() => invariant(0, 'one is one')).toThrow(
      expect.objectContaining({ code: 'ERR_KITH_INVARIANT' }),
    )
    expect(() => invariant(0, 'one is one')).toThrow(/one is one/)
  })
})

describe('describeProblems', () => {
  it('names every field, what is wanted and what was given', () => {
    const text = describeProblems([
      { field: 'port', got: '-1', want: 'an integer from 0 to 65535' },
      { field: 'name', got: '""', want: 'not empty' },
    ])
    expect(text).toBe(
      'port must be an integer from 0 to 65535, got -1; name must be not empty, got ""',
    )
  })
})
