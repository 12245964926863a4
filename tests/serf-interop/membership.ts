// Scenarios of membership: who sees whom, and how fast, in both directions.
import { expect } from 'vitest'
import { evidence } from '../support/tier.ts'
import type { Crew } from './support/crew.ts'
import { allAlive, allSee, failureMsMax } from './support/party.ts'
import type { Party } from './support/party.ts'
import { within } from './support/process.ts'

/** All alive in all views, once the last of them is up. */
const joinMsMax = 5_000
/** A restarted member is alive again when its refutation has spread: a join, and gossip. */
const backMsMax = 10_000
/** Serf's own bound on a leave is two broadcast timeouts and a second; it is far quicker. */
const leaveMsMax = 15_000

function note(what: string, ms: number): void {
  evidence(`serf interop: ${what}, ms`, Math.round(ms))
}

/** Two Serfs first, Kith joins them; then every way to fail and to come back. */
export async function kithJoinsSerf(crew: Crew): Promise<void> {
  const one = await crew.serf({ name: 's1', tags: { role: 'web', dc: 'east' } })
  const two = await crew.serf({ name: 's2', tags: { role: 'db' }, join: one.address })
  const kith = await crew.kith({
    name: 'k1',
    tags: { role: 'kith', zone: 'a b=c' },
    join: one.address,
  })
  const all = [one, two, kith]
  note('kith joined two serfs', await allAlive(all, joinMsMax))
  for (const viewer of all) {
    const view = await viewer.members()
    expect(view.get('s1')?.tags).toMatchObject({ role: 'web', dc: 'east' })
    expect(view.get('s2')?.tags).toMatchObject({ role: 'db' })
    expect(view.get('k1')?.tags).toMatchObject({ role: 'kith', zone: 'a b=c', 'kith.v': '1' })
  }
  await one.command('tags', '-set', 'color=red', '-delete', 'dc')
  await within(joinMsMax, 'a changed tag is seen', async () => {
    const tags = (await kith.members()).get('s1')?.tags
    return tags?.['color'] === 'red' && tags['dc'] === undefined
  })
  await failAndReturn(kith, [one, two], one.address)
  await failAndReturn(two, [one, kith], kith.address)
  await kith.leave()
  note('serfs saw kith leave', await allSee([one, two], 'k1', 'left', leaveMsMax))
}

async function failAndReturn(who: Party, viewers: readonly Party[], seed: string): Promise<void> {
  await who.kill()
  const failed = await allSee(viewers, who.name, 'failed', failureMsMax(viewers.length + 1))
  note(`${who.name} killed, failed in all views after`, failed)
  const before = who.lines.length
  await who.restart(seed)
  const back = await allSee([...viewers, who], who.name, 'alive', backMsMax)
  note(`${who.name} restarted, alive in all views after`, back)
  // It learnt of its own death and contradicted, in Serf's words or in ours.
  const said = who.lines.slice(before).filter((line) => /Refuting|"event":"refute"/.test(line))
  expect(said.length, who.lines.slice(before).join('\n')).toBeGreaterThan(0)
}

/** Kith first, two Serfs join it; then a Serf leaves. */
export async function serfsJoinKith(crew: Crew): Promise<void> {
  const kith = await crew.kith({ name: 'k1', tags: { role: 'kith' } })
  const one = await crew.serf({ name: 's1', tags: { role: 'web' }, join: kith.address })
  const two = await crew.serf({ name: 's2', join: kith.address })
  const all = [one, two, kith]
  note('two serfs joined kith', await allAlive(all, joinMsMax))
  const [seenByKith, seenByTwo] = [await kith.members(), await two.members()]
  expect(seenByKith.get('s1')?.tags).toMatchObject({ role: 'web' })
  expect(seenByTwo.get('k1')?.tags).toMatchObject({ role: 'kith', 'kith.v': '1' })
  await two.leave()
  note('kith saw a serf leave', await allSee([one, kith], 's2', 'left', leaveMsMax))
  await one.kill()
  await allSee([kith], 's1', 'failed', failureMsMax(3))
  await one.restart(kith.address)
  await allSee([one, kith], 's1', 'alive', backMsMax)
}
