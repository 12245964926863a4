import { afterEach, describe, expect, it } from 'vitest'
import { bytes, contents, positions, until, Village } from './support.ts'

let village = new Village()
afterEach(async () => {
  await village.stop()
  village = new Village()
})

async function append(name: string, count: number, label = name): Promise<void> {
  const log = village.places.get(name)?.log
  for (let at = 0; at < count; at += 1) {
    await log?.append({ value: bytes(`${label}-${at}`) })
  }
}

function equal(...names: readonly string[]): boolean {
  const all = names.map((name) => village.places.get(name)).filter((place) => place !== undefined)
  return new Set(all.map(({ log }) => positions(log))).size === 1
}

describe('replication between members', () => {
  it('REP-1 REP-8 three members end with the same records, each once', async () => {
    for (const name of ['a', 'b', 'c']) {
      const { replicator } = await village.add(name)
      await replicator.start()
    }
    await append('a', 20)
    village.join('a', 'b', 'c')
    await append('b', 30)
    await append('c', 10)
    await until(() => equal('a', 'b', 'c'), 'equal positions')
    const expected = (await contents(village.places.get('a')!.log)).toSorted()
    expect(expected.length).toBe(60)
    expect(new Set(expected).size).toBe(60)
    for (const name of ['b', 'c']) {
      expect((await contents(village.places.get(name)!.log)).toSorted()).toEqual(expected)
    }
  })

  it('REP-17 in a line, what a dead member wrote still reaches the end', async () => {
    for (const name of ['a', 'b', 'c']) {
      const { replicator } = await village.add(name)
      await replicator.start()
    }
    village.join('a', 'b')
    await append('a', 25)
    await until(() => equal('a', 'b'), 'b has everything of a')
    const wanted = positions(village.places.get('a')!.log)
    await village.places.get('a')!.replicator.stop()
    await village.places.get('a')!.log.stop()
    village.places.delete('a')
    village.join('b', 'c')
    await until(() => positions(village.places.get('c')!.log) === wanted, 'c has it from b')
  })
})
