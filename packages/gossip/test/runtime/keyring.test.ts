// Keyrings in memory and in files, and every way in which a file can be wrong.
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRandom } from '@kith/interface'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createKeyring } from '../../src/index.ts'
import type { Keyring } from '../../src/index.ts'
import { decodeKeyring, fromBase64, toBase64 } from '../../src/wire/codec.ts'
import { utf8 } from '../wire/support.ts'

const first = Buffer.alloc(16, 1).toString('base64')
const second = Buffer.alloc(24, 2).toString('base64')
const third = Buffer.alloc(32, 3).toString('base64')

function code(name: string, text: string): object {
  return { code: `ERR_GOSSIP_${name}`, message: expect.stringContaining(text) as string }
}

describe('keys in memory', () => {
  it('GOS-101 are listed with the primary first, each once', () => {
    const keyring = createKeyring({ keys: [second, Buffer.alloc(16, 1), second, first] })
    expect(keyring.keys).toEqual([second, first])
    expect(keyring.secrets).toEqual([new Uint8Array(24).fill(2), new Uint8Array(16).fill(1)])
  })

  it('GOS-101 are installed behind, used in front, and removed, as Serf does', async () => {
    const keyring = createKeyring({ keys: [first] })
    await keyring.install(second)
    await keyring.install(third)
    await keyring.install(second)
    expect(keyring.keys).toEqual([first, second, third])
    await keyring.use(third)
    expect(keyring.keys).toEqual([third, first, second])
    await keyring.use(third)
    expect(keyring.keys).toEqual([third, first, second])
    await keyring.remove(first)
    await keyring.remove(first)
    expect(keyring.keys).toEqual([third, second])
  })

  it('GOS-101 are refused in the words of Serf, and change nothing', async () => {
    const keyring = createKeyring({ keys: [first, second] })
    const absent = 'requested key is not in the keyring'
    await expect(keyring.use(third)).rejects.toMatchObject(code('KEY_NOT_INSTALLED', absent))
    const primary = 'removing the primary key is not allowed'
    await expect(keyring.remove(first)).rejects.toMatchObject(code('KEY_PRIMARY', primary))
    const size = 'key size must be 16, 24 or 32 bytes'
    for (const bytes of [0, 15, 17, 31, 33, 64]) {
      const bad = Buffer.alloc(bytes)
      await expect(keyring.install(bad)).rejects.toMatchObject(code('KEY_INVALID', size))
      const text = bad.toString('base64')
      await expect(keyring.install(text)).rejects.toMatchObject(code('KEY_INVALID', size))
    }
    for (const text of ['?', first.slice(0, -1), `${first.slice(0, -4)}=A==`, 'öööö']) {
      await expect(keyring.use(text)).rejects.toMatchObject(code('KEY_INVALID', 'base64'))
    }
    expect(keyring.keys).toEqual([first, second])
  })

  it('GOS-101 are at most 32, and at least one', async () => {
    const keys = Array.from({ length: 33 }, (_, at) => Buffer.alloc(32, at + 1))
    const keyring = createKeyring({ keys: keys.slice(0, 32) })
    const added = keyring.install(keys[32] ?? '')
    await expect(added).rejects.toMatchObject(code('KEYS_FULL', '32'))
    for (const given of [[], keys]) {
      expect(() => createKeyring({ keys: given })).toThrow('1 to 32 keys')
    }
    expect(() => createKeyring({})).toThrow('either keys or a file')
    expect(() => createKeyring({ keys, file: 'x' })).toThrow('either keys or a file')
  })

  it('GOS-101 never stand in an error', async () => {
    const secret = `${Buffer.alloc(31, 7).toString('base64')}`
    const keyring = createKeyring({ keys: [first] })
    const failures = await Promise.allSettled([
      keyring.use(third),
      keyring.remove(first),
      keyring.install(secret),
    ])
    for (const failure of failures) {
      const text = JSON.stringify(failure, Object.getOwnPropertyNames(Error.prototype))
      for (const key of [first, third, secret]) expect(text).not.toContain(key)
    }
  })

  it('GOS-101 keep to bytes of their own', () => {
    const given = Buffer.alloc(16, 9)
    const keyring = createKeyring({ keys: [given] })
    given.fill(0)
    expect(keyring.keys).toEqual([Buffer.alloc(16, 9).toString('base64')])
  })
})

describe('base64', () => {
  it('GOS-102 is written and read as Node.js does, for all lengths and bytes', () => {
    const random = createRandom(3)
    for (let length = 0; length < 70; length += 1) {
      const bytes = Uint8Array.from({ length }, () => random.below(256))
      const text = Buffer.from(bytes).toString('base64')
      expect(toBase64(bytes)).toBe(text)
      expect(fromBase64(text)).toEqual(bytes)
      expect(fromBase64(`${text}\r\n`)).toEqual(bytes)
    }
    for (const text of ['a', 'ab', 'abc', 'ab=c', 'a===', '====', 'ab==abcd', '_-_-', 'ab c']) {
      expect(fromBase64(text), text).toBeUndefined()
    }
  })
})

describe('a keyring file', () => {
  let folder = ''
  let file = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kith-keyring-'))
    file = join(folder, 'keyring.json')
  })
  afterEach(() => rm(folder, { recursive: true }))

  async function given(text: string | Uint8Array, mode = 0o600): Promise<void> {
    await rm(file, { force: true })
    await writeFile(file, text, { mode })
    await chmod(file, mode)
  }
  async function written(keys: readonly string[]): Promise<Keyring> {
    await given(JSON.stringify(keys))
    return createKeyring({ file })
  }
  async function onDisk(): Promise<unknown> {
    return JSON.parse(await readFile(file, 'utf8')) as unknown
  }

  it('GOS-102 is a JSON list of base64, the primary first, and rewritten on each change', async () => {
    const keyring = await written([second, first, second])
    expect(keyring.keys).toEqual([second, first])
    await Promise.all([keyring.install(third), keyring.use(first), keyring.remove(second)])
    expect(keyring.keys).toEqual([first, third])
    expect(await onDisk()).toEqual([first, third])
    expect(createKeyring({ file }).keys).toEqual([first, third])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['keyring.json'])
  })

  it('GOS-102 is replaced, never written into: who has it open keeps what was there', async () => {
    const keyring = await written([first])
    const before = (await stat(file)).ino
    await keyring.install(second)
    expect((await stat(file)).ino).not.toBe(before)
  })

  it('GOS-102 is the old one after a crash while the new one was written', async () => {
    const keyring = await written([first])
    await writeFile(`${file}.tmp`, '["AAEC', { mode: 0o644 })
    expect(createKeyring({ file }).keys).toEqual([first])
    await keyring.install(second)
    expect(await onDisk()).toEqual([first, second])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['keyring.json'])
  })

  it('GOS-102 may be a link, which stays one', async () => {
    await given(JSON.stringify([first]))
    const link = join(folder, 'link.json')
    await symlink(file, link)
    await createKeyring({ file: link }).install(second)
    expect(await onDisk()).toEqual([first, second])
    expect((await readdir(folder)).toSorted()).toEqual(['keyring.json', 'link.json'])
  })

  it('GOS-102 that cannot be written leaves the keys as they were', async () => {
    const keyring = await written([first])
    await rm(file)
    const failure = keyring.install(second)
    await expect(failure).rejects.toMatchObject(code('KEYRING_FILE', 'cannot be replaced'))
    await expect(failure).rejects.toMatchObject({
      details: { keyring: { file, problem: 'unwritable' } },
    })
    expect(keyring.keys).toEqual([first])
    await given(JSON.stringify([first]))
    await keyring.install(second)
    expect(await onDisk()).toEqual([first, second])
  })

  const shape = /JSON list of base64 keys/
  const wrong: readonly (readonly [string, string | Uint8Array, object, RegExp])[] = [
    ['empty', '', { problem: 'empty' }, /is empty.* restore it/],
    ['of blanks', ' \n\t\n', { problem: 'empty' }, /is empty/],
    ['half written', `["${first}", "AAE`, { problem: 'notJson' }, /cut off: restore it/],
    ['no JSON', 'key = 1', { problem: 'notJson' }, shape],
    ['no text', Uint8Array.of(0xff, 0xfe, 0x00), { problem: 'notJson' }, shape],
    ['a bare key', first, { problem: 'notJson' }, shape],
    ['an object', '{"keys":[]}', { problem: 'notList' }, shape],
    ['null', 'null', { problem: 'notList' }, shape],
    ['a list without keys', '[]', { problem: 'noKeys' }, shape],
    ['a number', `["${first}", 7]`, { problem: 'keyNotText', index: 1 }, /key 2 of/],
    ['not base64', '["no key!"]', { problem: 'keyNotBase64', index: 0 }, /copy it again whole/],
    ['a cut key', `["${third.slice(0, -4)}"]`, { problem: 'keySize', index: 0 }, /16, 24 or 32/],
    ['too large', ' '.repeat(65_537), { problem: 'tooLarge' }, /more than 65536 bytes/],
    [
      'too many keys',
      JSON.stringify(Array.from({ length: 33 }, (_, at) => toBase64(new Uint8Array(16).fill(at)))),
      { problem: 'tooManyKeys' },
      /more than 32 keys/,
    ],
  ]

  it.each(wrong)(
    'GOS-102 %s is refused by name and with what to do',
    async (_w, text, problem, says) => {
      await given(text)
      const attempt = (): Keyring => createKeyring({ file })
      expect(attempt).toThrow(expect.objectContaining(code('KEYRING_FILE', file)))
      expect(attempt).toThrow(says)
      expect(attempt).toThrow(
        expect.objectContaining({ details: { keyring: { file, ...problem } } }),
      )
      expect(await readFile(file)).toEqual(Buffer.from(text as string))
    },
  )

  it('GOS-102 is read again on demand, after the changes before', async () => {
    const keyring = await written([first, second])
    expect(await keyring.reload()).toBe(false)
    await given(JSON.stringify([third, first]))
    const reloaded = keyring.reload()
    const installed = keyring.install(second)
    expect(await reloaded).toBe(true)
    await installed
    expect(keyring.keys).toEqual([third, first, second])
    expect(await onDisk()).toEqual([third, first, second])
    expect(await createKeyring({ keys: [first] }).reload()).toBe(false)
  })

  it('GOS-102 that has become bad leaves the keys in force', async () => {
    const keyring = await written([first, second])
    for (const text of ['', '[', '[]', '["AAEC"]']) {
      await given(text)
      await expect(keyring.reload()).rejects.toMatchObject({ code: 'ERR_GOSSIP_KEYRING_FILE' })
      expect(keyring.keys).toEqual([first, second])
    }
    await given(JSON.stringify([second]))
    expect(await keyring.reload()).toBe(true)
    expect(keyring.keys).toEqual([second])
  })

  it('GOS-102 that is missing, a folder or a device is refused and never waited for', () => {
    const missing = code('KEYRING_FILE', 'ENOENT')
    expect(() => createKeyring({ file })).toThrow(expect.objectContaining(missing))
    const folders = code('KEYRING_FILE', 'no regular file')
    expect(() => createKeyring({ file: folder })).toThrow(expect.objectContaining(folders))
    const endless = (): Keyring => createKeyring({ file: '/dev/zero' })
    expect(endless).toThrow(expect.objectContaining(code('KEYRING_FILE', 'no regular file')))
  })

  it.each([
    [0o600, undefined],
    [0o400, undefined],
    [0o640, 'read'],
    [0o604, 'read'],
    [0o660, 'write'],
    [0o602, 'write'],
  ])('GOS-102 of mode %o is warned of where others can use it', async (mode, others) => {
    await given(JSON.stringify([first]), mode)
    const warned: string[] = []
    const silent = (): void => {}
    const warn = (_fields: object, text = ''): void => void warned.push(text)
    createKeyring({ file, logger: { debug: silent, info: silent, warn, error: silent } })
    const expected = `users other than its owner can ${others} the keyring file: chmod 600 it`
    expect(warned).toEqual(others === undefined ? [] : [expected])
  })

  it('GOS-102 of any bytes is keys or a named problem, never a throw', () => {
    const random = createRandom(11)
    const good = utf8(JSON.stringify([first, second, third]))
    for (let round = 0; round < 20_000; round += 1) {
      const bytes = good.slice(0, random.below(4) === 0 ? random.below(good.length) : good.length)
      for (let flips = random.below(4); flips > 0; flips -= 1) {
        bytes[random.below(bytes.length)] = random.below(256)
      }
      const found = decodeKeyring(bytes)
      const keys = Array.isArray(found) ? (found as readonly Uint8Array[]) : []
      expect(keys.every((key) => [16, 24, 32].includes(key.length))).toBe(true)
      expect(Array.isArray(found) || typeof (found as { kind: string }).kind === 'string').toBe(
        true,
      )
    }
    expect(decodeKeyring(utf8('['.repeat(65_536)))).toEqual({ kind: 'notJson' })
  })
})
