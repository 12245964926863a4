import { silentLogger } from '@kith/interface'
import { describe, expect, it } from 'vitest'
import { createAgent } from '../src/index.ts'
import { resolveAgentOptions } from '../src/options.ts'
import { toldHttpAddress } from '../src/replication.ts'

const key = 'AAECAwQFBgcICQoLDA0ODw=='

interface Thrown {
  readonly code: string
  readonly details: { readonly problems: readonly { readonly field: string }[] }
}

function thrownBy(run: () => unknown): Thrown {
  try {
    run()
  } catch (cause) {
    return cause as Thrown
  }
  throw new Error('nothing was thrown')
}

describe('the token shown to the others', () => {
  it('is one of the smallest role, or the one that is named', () => {
    const token = (role: 'read' | 'write' | 'operator') => ({ role, token: `${role}-0123456789ab` })
    const httpTokens = [token('operator'), token('read'), token('write')]
    expect(resolveAgentOptions({ httpTokens }).httpToken).toBe('read-0123456789ab')
    const some = httpTokens.filter(({ role }) => role !== 'read')
    expect(resolveAgentOptions({ httpTokens: some }).httpToken).toBe('write-0123456789ab')
    const httpToken = 'another-0123456789ab'
    expect(resolveAgentOptions({ httpTokens, httpToken }).httpToken).toBe(httpToken)
    expect(resolveAgentOptions({}).httpToken).toBeUndefined()
  })
})

describe('options', () => {
  it('name everything that is wrong at once', () => {
    const wrong = {
      name: 'a b',
      bind: 'nowhere',
      http: '127.0.0.1:70000',
      join: ['127.0.0.1:0', 'x/127.0.0.1:1'],
      profile: 'slow',
      data: '',
      tags: { 'kith.v': '1', role: 5 },
      plugins: [{ name: 'x' }],
      encrypt: 'key',
      password: 'x',
    } as never
    const cause = thrownBy(() => createAgent(wrong))
    expect(cause.code).toBe('ERR_AGENT_OPTIONS')
    expect(cause.details.problems.map(({ field }) => field).toSorted()).toEqual([
      'bind',
      'data',
      'encrypt',
      'http',
      'join[0]',
      'name',
      'password',
      'plugins[0]',
      'profile',
      'tags.kith.v',
      'tags.role',
    ])
  })

  it.each([
    { bind: '0.0.0.0:7946', advertise: '10.0.0.1:7946' },
    { bind: '10.0.0.1:7946' },
    { http: '0.0.0.0:80' },
    { http: '[::]:80' },
  ])('refuses %j unless plaintext is allowed', (options) => {
    expect(() => createAgent(options)).toThrow(
      /must be a loopback address unless there is a key .* or insecurePlaintext/,
    )
    expect(() => createAgent({ ...options, insecurePlaintext: true })).not.toThrow()
    expect(() => createAgent({ ...options, encrypt: key })).not.toThrow()
    // Half of a migration is plaintext still.
    for (const half of [{ verifyIncoming: false }, { verifyOutgoing: false }]) {
      expect(() => createAgent({ ...options, encrypt: key, ...half })).toThrow(/insecurePlaintext/)
    }
  })

  it('never show the key they refuse', () => {
    const secret = 'AAECAwQFBgcICQoLDA0ODw='
    expect(() => createAgent({ encrypt: secret })).toThrow(/encrypt must be base64.* got 23 charac/)
    for (const options of [{ encrypt: secret }, { encrypt: key, keyring: 'none.json' }]) {
      const { details } = thrownBy(() => createAgent(options))
      expect(JSON.stringify(details)).not.toContain('AAEC')
      expect(details.problems.map(({ field }) => field)).toEqual(['encrypt'])
    }
  })

  it('asks for an address that others reach where every address is bound', () => {
    const options = { bind: '0.0.0.0:7946', insecurePlaintext: true }
    expect(() => createAgent(options)).toThrow(/advertise must be host:port that others reach/)
    expect(() => createAgent({ ...options, advertise: 'auto' })).not.toThrow()
  })

  it('look for the own address only where every address is bound', () => {
    for (const bind of [undefined, '127.0.0.1:7946'] as const) {
      const options = { advertise: 'auto', ...(bind === undefined ? {} : { bind }) }
      expect(() => createAgent(options)).toThrow(/"auto" needs as bind every address/)
    }
    expect(() => createAgent({ advertise: 'automatic' })).toThrow(/or "auto"/)
  })

  it('make names that differ, and one that a restart keeps where there is data', () => {
    expect(createAgent().name).not.toBe(createAgent().name)
    expect(createAgent({ data: 'here' }).name).toBe(createAgent({ data: './here' }).name)
    expect(createAgent({ data: 'here' }).name).not.toBe(createAgent({ data: 'there' }).name)
  })

  it('do not write into what they were given', () => {
    const options = Object.freeze({ tags: Object.freeze({ role: 'web' }) })
    expect(() => createAgent(options)).not.toThrow()
  })
})

describe('the address told for HTTP', () => {
  const told = (options: object, host: string): unknown => {
    const resolved = resolveAgentOptions({ insecurePlaintext: true, ...options })
    const { bind, advertise } = resolved
    // What gossip finds where it is to look for it.
    const found = advertise === 'auto' ? '10.0.0.7' : (advertise ?? bind).host
    return toldHttpAddress(resolved, { host, port: 80 }, found)
  }

  it('is where it listens', () => {
    expect(told({}, '127.0.0.1')).toEqual({ host: '127.0.0.1', port: 80 })
    expect(told({ bind: '10.0.0.1:1' }, '10.0.0.2')).toEqual({ host: '10.0.0.2', port: 80 })
  })

  it('is the advertised gossip host for a wildcard', () => {
    const options = { bind: '0.0.0.0:1', advertise: '10.0.0.9:1' }
    expect(told(options, '0.0.0.0')).toEqual({ host: '10.0.0.9', port: 80 })
    expect(told({ bind: '10.0.0.1:1' }, '::')).toEqual({ host: '10.0.0.1', port: 80 })
    const auto = { bind: '0.0.0.0:1', advertise: 'auto' }
    expect(told(auto, '0.0.0.0')).toEqual({ host: '10.0.0.7', port: 80 })
  })

  it('is what the options say, with the port that was bound for port 0', () => {
    expect(told({ httpAdvertise: '10.0.0.3:0' }, '127.0.0.1')).toEqual({
      host: '10.0.0.3',
      port: 80,
    })
    expect(told({ httpAdvertise: '10.0.0.3:81' }, '0.0.0.0')).toEqual({
      host: '10.0.0.3',
      port: 81,
    })
  })

  it('is kept back, with a warning, where it would lead others to themselves', () => {
    const warnings: (string | undefined)[] = []
    const warn = (_fields: object, text?: string): void => void warnings.push(text)
    const logger = { ...silentLogger, warn }
    expect(told({ bind: '10.0.0.1:1', logger }, '127.0.0.1')).toBeUndefined()
    expect(warnings).toHaveLength(1)
  })
})
