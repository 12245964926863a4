import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { toHex } from '../src/index.ts'
import { nodeDigests, systemClock, systemRandom } from '../src/node/index.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('nodeDigests', () => {
  it('are the published CRC-32 and SHA-256', () => {
    expect(nodeDigests.crc32(bytes('123456789'))).toBe(0xcbf43926)
    expect(toHex(nodeDigests.sha256(bytes('abc')))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
  })

  it('give the same for parts as for the whole', () => {
    const seed = nodeDigests.crc32(bytes('1234'))
    expect(nodeDigests.crc32(bytes('56789'), seed)).toBe(0xcbf43926)
    expect(nodeDigests.sha256(bytes('a'), bytes('bc'))).toEqual(nodeDigests.sha256(bytes('abc')))
  })
})

describe('systemClock', () => {
  it('runs a callback no sooner than asked', async () => {
    const startedAt = systemClock.now()
    await new Promise<void>((resolve) => systemClock.after(20, resolve))
    // Timers count whole milliseconds, which may have begun just before.
    expect(systemClock.now() - startedAt).toBeGreaterThan(18)
  })

  it('forgets a cancelled callback, and cancels twice without harm', async () => {
    let ran = false
    const cancel = systemClock.after(1, () => {
      ran = true
    })
    cancel()
    cancel()
    await new Promise<void>((resolve) => systemClock.after(20, resolve))
    expect(ran).toBe(false)
  })

  it('keeps no process alive, and does not fire at once for a very long delay', () => {
    const script = `import { systemClock } from '@kith/interface/node'
      systemClock.after(2 ** 40, () => console.log('ran'))
      await new Promise((resolve) => setTimeout(resolve, 50))`
    const args = ['--conditions=@kith/source', '--input-type=module', '-e', script]
    const cwd = new URL('..', import.meta.url)
    const { status, stdout } = spawnSync(process.execPath, args, { cwd, timeout: 20_000 })
    expect(status).toBe(0)
    expect(stdout.toString()).toBe('')
  })
})

describe('systemRandom', () => {
  it('differs from one generator to the next', () => {
    const first = systemRandom()
    const second = systemRandom()
    expect([first.uint32(), first.uint32()]).not.toEqual([second.uint32(), second.uint32()])
  })
})
