/**
 * The key and the certificates of the RPC, over every command that there is: who shows none or a
 * wrong one reads nothing and changes nothing.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { type Agent, createAgent } from '@kith/agent'
import { parseAddress } from '@kith/interface'
import { createSerfClient } from '@kith/serf-rpc'
import { encodeRequest, type Request } from '@kith/serf-rpc/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CertificateName, certificatePath, pem, shownBy } from '../support/certificates.ts'
import { declaredCommands } from './bad-input/declared.ts'

const rpcAuth = 'the-key-of-the-rpc'
const [first, second] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64'))
const folder = mkdtempSync(join(tmpdir(), 'kith-access-'))
const keyring = join(folder, 'keyring.json')
const payload = new TextEncoder().encode('x')

let plain: Agent
let secure: Agent
const happened: string[] = []
beforeAll(async () => {
  writeFileSync(keyring, JSON.stringify([first]), { mode: 0o600 })
  const shared = { profile: 'local', rpcAuth, tags: { role: 'hidden' } } as const
  plain = createAgent({ ...shared, name: 'guarded', keyring, rpc: '127.0.0.1:0' })
  const [tlsCert, tlsKey] = [certificatePath('member'), certificatePath('member-key')]
  const files = { tlsCert, tlsKey, tlsCa: certificatePath('ca') }
  secure = createAgent({ ...shared, ...files, name: 'guarded-too', rpc: 'tls:127.0.0.1:0' })
  await Promise.all([plain.start(), secure.start()])
  for (const { gossip } of [plain, secure]) {
    gossip.on('event', ({ name }) => void happened.push(name))
    gossip.on('query', ({ name }) => void happened.push(name))
  }
})
afterAll(async () => {
  await plain.stop()
  await secure.stop()
  rmSync(folder, { recursive: true })
})

interface Row {
  readonly request: Request
  /** The agent's word to whoever may; default none, which is a success. */
  readonly error?: string
  /** What may be asked before the key, since it is how one shows it. */
  readonly first?: true
}

const nobody = 'nobody'
const command = (name: 'members' | 'leave' | 'list-keys' | 'stats'): Row => {
  return { request: { command: name } }
}
const key = (name: 'install-key' | 'use-key' | 'remove-key', error?: string): Row => {
  const request: Request = { command: name, key: second ?? '' }
  return error === undefined ? { request } : { request, error }
}
const rows: Readonly<Record<string, Row>> = {
  handshake: { request: { command: 'handshake', version: 1 }, first: true },
  auth: { request: { command: 'auth', key: rpcAuth }, first: true },
  event: { request: { command: 'event', name: 'deploy', payload, coalesce: false } },
  'force-leave': {
    request: { command: 'force-leave', name: nobody, prune: false },
  },
  join: {
    request: { command: 'join', addresses: ['127.0.0.1:1'], replay: false },
    error: '127.0.0.1:1',
  },
  members: command('members'),
  'members-filtered': {
    request: { command: 'members-filtered', name: '', status: '', tags: undefined },
  },
  tags: { request: { command: 'tags', set: new Map([['role', 'changed']]), remove: [] } },
  stream: { request: { command: 'stream', filter: '*' } },
  monitor: { request: { command: 'monitor', level: 'DEBUG' } },
  stop: { request: { command: 'stop', stream: 1n } },
  query: {
    request: {
      command: 'query',
      name: 'load',
      payload,
      filterMembers: undefined,
      filterTags: undefined,
      acks: false,
      relayFactor: 0,
      timeoutNs: 1_000_000n,
    },
  },
  respond: {
    request: { command: 'respond', id: 1n, payload },
    error: 'No pending queries matching ID',
  },
  'install-key': key('install-key'),
  'use-key': key('use-key'),
  'remove-key': key('remove-key', 'fail'),
  'list-keys': command('list-keys'),
  stats: command('stats'),
  'get-coordinate': { request: { command: 'get-coordinate', name: 'guarded' } },
  // The last of them: the agent goes.
  leave: command('leave'),
}

/** What whoever may not could have changed. */
const state = (): unknown => [
  happened.length,
  [plain, secure].map(({ gossip }) => [
    gossip.self.status,
    gossip.self.tags,
    gossip.members().length,
  ]),
  readFileSync(keyring, 'utf8'),
]

interface Caller extends Disposable {
  say(...requests: readonly Request[]): void
  /** What came so far, once that holds `text` so many times. */
  heard(text: string, times?: number): Promise<string>
  readonly closed: Promise<unknown>
}

/** Requests are numbered from `#1`; whatever comes is read as text. */
function caller(socket: Socket): Caller {
  let came = ''
  let wake = (): void => {}
  let sequence = 0n
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    came += chunk.toString('latin1')
    wake()
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  return {
    say(...requests) {
      for (const request of requests) socket.write(encodeRequest((sequence += 1n), request))
    },
    async heard(text, times = 1) {
      while (came.split(text).length <= times) {
        await Promise.race([
          new Promise<void>((resolve) => (wake = resolve)),
          closed.then(() => Promise.reject(new Error(`it hung up after ${came}`))),
        ])
      }
      return came
    },
    closed,
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

const addressOf = (agent: Agent): { host: string; port: number } =>
  parseAddress((agent.rpcAddress ?? '').replace(/^tls:/, '')) ?? { host: '', port: 0 }

const handshake: Request = { command: 'handshake', version: 1 }
const auth = (shown: string): Request => ({ command: 'auth', key: shown })
const known = /guarded|hidden|role|coordinate|agent|[A-Za-z0-9+/]{43}=/

it('has a row for each command that there is', () => {
  expect(Object.keys(rows).toSorted()).toEqual(declaredCommands().toSorted())
  for (const [name, { request }] of Object.entries(rows)) expect(request.command).toBe(name)
})

const named = Object.entries(rows).map(([name, row]) => ({ name, ...row }))
const others = named.filter(({ first: isFirst }) => !isFirst)

it.each(named.slice(1))('refuses $name before the handshake', async ({ request }) => {
  const before = state()
  using stranger = caller(connect(addressOf(plain)))
  stranger.say(request)
  expect(await stranger.heard('Handshake required')).not.toMatch(known)
  await stranger.closed
  expect(state()).toEqual(before)
})

it.each(others)('refuses $name without the key, and with a wrong one', async ({ request }) => {
  const before = state()
  for (const shown of [undefined, '', 'wrong', `${rpcAuth}x`, rpcAuth.slice(1)]) {
    using stranger = caller(connect(addressOf(plain)))
    stranger.say(handshake, ...(shown === undefined ? [] : [auth(shown)]), request, request)
    if (shown !== undefined) await stranger.heard('Invalid authentication token')
    expect(await stranger.heard('Authentication required', 2)).not.toMatch(known)
  }
  expect(state()).toEqual(before)
})

it.each(named)('refuses $name without a certificate of ours', async ({ name, request }) => {
  const before = state()
  const strangers: readonly (CertificateName | undefined)[] = [undefined, 'stranger', 'expired']
  for (const certificate of strangers) {
    const shown = certificate === undefined ? { ca: pem('ca') } : shownBy(certificate)
    using stranger = caller(connectTls({ ...addressOf(secure), ...shown }))
    // The right key besides is of no help.
    stranger.say(...(name === 'handshake' ? [] : [handshake, auth(rpcAuth)]), request)
    expect(await stranger.heard('Certificate required: ')).not.toMatch(known)
    await stranger.closed
  }
  expect(state()).toEqual(before)
})

// `leave` too, which ends it: all else comes before.
it('answers all of them to whoever may ask', async () => {
  const answered: [string, string][] = []
  for (const { name, request, error } of others) {
    using friend = caller(connect(addressOf(plain)))
    friend.say(handshake, auth(rpcAuth), request)
    // Error, then Seq: an empty text and the third number, or the words.
    const wanted = error ?? '\xa5Error\xa0\xa3Seq\x03'
    const said = await friend.heard(wanted)
    answered.push([name, /required/.test(said) ? said : ''])
  }
  expect(answered).toEqual(answered.map(([name]) => [name, '']))
  expect(happened).toEqual(['deploy', 'load'])
  await expect(plain.ended).resolves.toBeUndefined()
})

it('commands over TLS whoever shows certificate and key', async () => {
  const address = addressOf(secure)
  await using client = createSerfClient({ address, authKey: rpcAuth, tls: shownBy('client') })
  const [member] = await client.members()
  expect(member?.name).toBe('guarded-too')
  await using unknown = createSerfClient({ address, authKey: 'wrong', tls: shownBy('client') })
  await expect(unknown.members()).rejects.toMatchObject({ code: 'ERR_RPC_AUTH_INVALID' })
})
