// The file itself: appended, flushed, written anew in one move, and survived when the disk refuses.
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isKithError } from '@kith/interface'
import { createVirtualClock } from '@kith/sim'
import type { VirtualClock } from '@kith/sim'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createMemory,
  recordMember,
  recordTimes,
  rememberedMembers,
} from '../../src/core/memory.ts'
import type { Memory } from '../../src/core/memory.ts'
import { openSnapshotFile, readSnapshotFile } from '../../src/runtime/snapshot-file.ts'
import type { SnapshotFile } from '../../src/runtime/snapshot-file.ts'

let folder = ''
let files = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kith-snapshot-'))
})
afterAll(() => rm(folder, { recursive: true }))

interface Open {
  readonly path: string
  readonly clock: VirtualClock
  readonly memory: Memory
  readonly file: SnapshotFile
  readonly failures: unknown[]
  readonly counted: Map<string, number>
  text(): Promise<string>
}

async function opened(content?: string, at?: string): Promise<Open> {
  const path = at ?? join(folder, `snapshot-${(files += 1)}`)
  if (content !== undefined) await writeFile(path, content)
  const clock = createVirtualClock()
  const memory = createMemory({ membersMax: 1000, rejoinAfterLeave: false })
  await readSnapshotFile(path, memory, clock.wallNow())
  const failures: unknown[] = []
  const counted = new Map<string, number>()
  const file = await openSnapshotFile({
    path,
    memory,
    clock,
    failed: (cause) => failures.push(cause),
    count: (kind) => void counted.set(kind, (counted.get(kind) ?? 0) + 1),
  })
  return { path, clock, memory, file, failures, counted, text: () => readFile(path, 'utf8') }
}

function joined(memory: Memory, name: string): string {
  const member = { name, address: { host: '10.0.0.1', port: 7946 }, tags: {}, incarnation: 1 }
  return recordMember(memory, { kind: 'join', member: { ...member, status: 'alive' } }, 0)
}

const noClocks = 'clock: 0\nevent-clock: 0\nquery-clock: 0\n'

describe('the snapshot file', () => {
  it('GOS-143 lines are with the system half a second later, without another line', async () => {
    const { path, clock, memory, file, text } = await opened()
    expect(await text()).toBe(noClocks)
    file.append(joined(memory, 'a'))
    expect(await text()).toBe(noClocks)
    clock.advanceBy(499)
    clock.advanceBy(1)
    // The timer has run: what follows waits for the write it began.
    await file.flush(false)
    expect(await text()).toBe(`${noClocks}alive: a 10.0.0.1:7946\n`)
    expect(clock.pendingTimers).toBe(0)
    file.append(joined(memory, 'b'))
    await file.close()
    expect(await text()).toBe(`${noClocks}alive: a 10.0.0.1:7946\nalive: b 10.0.0.1:7946\n`)
    file.append(joined(memory, 'c'))
    // Nothing is opened again by whoever comes too late.
    await rm(path)
    await Promise.all([file.flush(true), file.close()])
    await expect(text()).rejects.toThrow(/ENOENT/)
  })

  it('GOS-143 a torn tail does not swallow what comes after it', async () => {
    const { memory, file, text } = await opened('alive: a 10.0.0.1:7946\nclock: 4\nalive: b 10.')
    file.append(joined(memory, 'c'))
    await file.close()
    expect(await text()).toContain('alive: a 10.0.0.1:7946\nclock: 4\n')
    expect(await text()).toMatch(/\nalive: c 10\.0\.0\.1:7946\n$/)
    expect(await text()).not.toContain('alive: b')
  })

  it('GOS-143 damaged lines are skipped and counted, and gone after the next start', async () => {
    const lines = [
      'alive: a 10.0.0.1:7946',
      'alive: b',
      'x'.repeat(5000),
      'clock: 3',
      '\u0000\u0000',
    ]
    const { memory, file, text } = await opened(`${lines.join('\n')}\n`)
    expect([memory.readable, memory.unreadable]).toEqual([2, 3])
    await file.close()
    expect(await text()).toBe('alive: a 10.0.0.1:7946\nclock: 3\nevent-clock: 0\nquery-clock: 0\n')
  })

  it('GOS-143 outgrown, it is written anew in one move, and nothing of it is lost', async () => {
    const { path, memory, file, counted, text } = await opened()
    for (let time = 1; time <= 20_000; time += 1) {
      const seen = { clock: BigInt(time), eventClock: BigInt(time), queryClock: 0n }
      file.append(recordTimes(memory, seen))
      if (time % 1000 === 0) file.append(joined(memory, `m${time}`))
      if (time % 100 === 0) await file.flush(false)
    }
    await file.close()
    // 20,000 times 40 bytes came in, and the bound is 131,072.
    expect(counted.get('snapshotRewrites')).toBeGreaterThanOrEqual(5)
    expect((await text()).length).toBeLessThan(135_000)
    expect(await readdir(folder)).not.toContain(`${path}.compact`)
    const again = createMemory({ membersMax: 1000, rejoinAfterLeave: false })
    await readSnapshotFile(path, again, 0)
    expect(again.times).toEqual({ clock: 20_000n, eventClock: 20_000n, queryClock: 0n })
    expect(rememberedMembers(again, '')).toHaveLength(20)
    expect(again.unreadable).toBe(0)
  })

  it('GOS-143 what cannot be written is told once, tried again, and made up for', async () => {
    const { path, clock, memory, file, failures, counted, text } = await opened()
    // Nothing fits any more: the next write rewrites, and cannot.
    await mkdir(`${path}.compact`)
    file.append(joined(memory, 'a'))
    file.append(recordTimes(memory, { clock: 1n, eventClock: 0n, queryClock: 0n }))
    file.append('#'.repeat(200_000) + '\n')
    await file.flush(false)
    file.append(joined(memory, 'b'))
    await file.flush(true)
    expect(failures).toHaveLength(1)
    expect(counted.get('snapshotWritesFailed')).toBe(2)
    clock.advanceBy(29_999)
    expect(counted.get('snapshotWritesFailed')).toBe(2)
    await rmdir(`${path}.compact`)
    clock.advanceBy(1)
    await file.flush(false)
    expect(await text()).toContain('alive: b 10.0.0.1:7946\nclock: 1\n')
    file.append(joined(memory, 'c'))
    await file.close()
    expect(await text()).toMatch(/alive: c 10\.0\.0\.1:7946\n$/)
    expect(failures).toHaveLength(1)
  })

  it('GOS-143 lines that wait for a slow disk are bounded, and made up for', async () => {
    const { memory, file, counted, text } = await opened()
    for (let number = 0; number < 3; number += 1) file.append('#'.repeat(600_000) + '\n')
    file.append(joined(memory, 'a'))
    expect(counted.get('snapshotLinesDropped')).toBe(1)
    await file.close()
    expect(await text()).toBe(`alive: a 10.0.0.1:7946\n${noClocks}`)
  })

  it('GOS-143 a file that is none, or cannot be, is refused and left as it is', async () => {
    const other = join(folder, 'passwd')
    const somebodys = 'root:x:0:0:root:/root:/bin/bash\nnobody:x:1:1::/:/bin/false\n'
    await expect(opened(somebodys, other)).rejects.toThrow(/cannot be used: it is no snapshot/)
    expect(await readFile(other, 'utf8')).toBe(somebodys)
    const long = join(folder, 'long')
    await expect(opened('x'.repeat(5000), long)).rejects.toThrow(/it is no snapshot/)
    const refusals = [folder, join(folder, 'none', 'snapshot'), join(other, 'snapshot')]
    for (const path of refusals) {
      const cause: unknown = await opened(undefined, path).catch((error: unknown) => error)
      expect(isKithError(cause) && cause.code, path).toBe('ERR_GOSSIP_SNAPSHOT')
      expect((cause as Error).message).toContain(path)
    }
    // What a first start leaves that was cut off is none of these.
    const { file, text } = await opened('alive: a 10.0.')
    await file.close()
    expect(await text()).toBe(noClocks)
  })
})
