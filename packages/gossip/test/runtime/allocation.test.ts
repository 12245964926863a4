// What a packet from somebody without the key costs in memory, before its tag is found wrong.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import type { Allocated } from './allocation-child.ts'

const script = fileURLToPath(new URL('allocation-child.ts', import.meta.url))
/** Enough for all young objects of a run, so that nothing is collected in it. */
const youngHalfMiB = 64
/** Small objects of a packet and of a trial, whatever their size: views, a cipher, its options. */
const packetObjectsBytesMax = 4096
const trialObjectsBytesMax = 2048

it('GOS-106 sealed bytes allocate at most four times as many, and small objects', async () => {
  const young = ['min', 'max'].map((end) => `--${end}-semi-space-size=${youngHalfMiB}`)
  const flags = ['--conditions=@kith/source', ...young, script]
  const { stdout } = await promisify(execFile)(process.execPath, flags)
  const measured = JSON.parse(stdout) as readonly Allocated[]
  expect(measured).toHaveLength(6)
  for (const { packetBytes, keys, objectBytes, outsideBytes, collections } of measured) {
    const which = `${packetBytes} bytes, ${keys} keys`
    expect(collections, which).toBe(0)
    expect(objectBytes, which).toBeGreaterThan(0)
    // What a trial made of the packet is given back before the next one.
    expect(outsideBytes, which).toBeLessThanOrEqual(packetBytes)
    const small = packetObjectsBytesMax + keys * trialObjectsBytesMax
    expect(objectBytes + outsideBytes, which).toBeLessThanOrEqual(4 * packetBytes + small)
  }
})
