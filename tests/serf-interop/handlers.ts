// Event handlers: the same program run by a real Serf and by us, for the same happenings.
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { Crew } from './support/crew.ts'
import { allAlive, allSee } from './support/party.ts'
import { within } from './support/process.ts'

/** Serf gathers events for up to 3 s before it tells its handlers. */
const patienceMs = 15_000

interface Told {
  readonly environment: readonly string[]
  /** Standard input by line; of a member line its tags in one order. */
  readonly input: readonly string[]
}

/** A Serf, one of us, and a second Serf about which and by which things happen. */
export async function handlersAgree(crew: Crew): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kith-handlers-'))
  try {
    const script = join(folder, 'handler')
    await writeFile(script, handlerOf(folder))
    await chmod(script, 0o755)
    const tags = { role: 'web', 'rack-no': '7' }
    const serf = await crew.serf({ name: 'real', tags, handlers: [`*=${script}`] })
    const kith = await crew.kith({
      ...{ name: 'ours', tags, join: serf.address, handlers: [`*=${script}`] },
    })
    await allAlive([serf, kith], patienceMs)
    const other = await crew.serf({
      ...{ name: 'other', tags: { role: 'db', zone: 'eu' }, join: serf.address },
    })
    await allAlive([serf, kith, other], patienceMs)
    const same = async (what: string, has: string): Promise<void> => {
      const [real, ours] = await bothTold(folder, what, has)
      expect(ours).toEqual(real)
    }
    await same('member-join', 'other')
    await other.command('event', 'deploy', 'one two')
    await same('user', 'SERF_USER_EVENT=deploy')
    await other.command('event', 'ended', 'line\n')
    await same('user', 'SERF_USER_EVENT=ended')
    await other.command('event', '-coalesce=false', 'bare')
    await same('user', 'SERF_USER_EVENT=bare')
    const asked = await other.command('query', '-format=json', '-timeout=3s', 'load', 'hi')
    const { Responses } = JSON.parse(asked) as { Responses: Readonly<Record<string, string>> }
    expect(Responses).toEqual({ real: 'real: hi\n', ours: 'ours: hi\n' })
    await same('query', 'SERF_QUERY_NAME=load')
    await other.command('tags', '-set', 'zone=us\tx')
    await same('member-update', 'other')
    await other.leave()
    await allSee([serf, kith], 'other', 'left', patienceMs)
    await same('member-leave', 'other')
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** One file a run, whole as soon as it has its name; queries are answered. */
function handlerOf(folder: string): string {
  return `#!/bin/sh
file=${folder}/$SERF_SELF_NAME.$$
env | grep ^SERF_ | sort > $file
echo >> $file
cat > $file.input
cat $file.input >> $file
mv $file $file.told
if [ "$SERF_EVENT" = query ]; then echo "$SERF_SELF_NAME: $(cat $file.input)"; fi
`
}

/** What both handlers were told of one happening; its own differences are left out. */
async function bothTold(folder: string, event: string, has: string): Promise<Told[]> {
  const find = async (): Promise<(Told | undefined)[]> => {
    const names = (await readdir(folder)).filter((name) => name.endsWith('.told'))
    const texts = names.map(async (name) => [name, await readFile(join(folder, name), 'utf8')])
    const all = (await Promise.all(texts)) as [string, string][]
    return ['real', 'ours'].map((self) =>
      all
        .filter(([name]) => name.startsWith(`${self}.`))
        .map(([, text]) => told(text, has))
        .find(
          ({ environment, input }) =>
            environment.includes(`SERF_EVENT=${event}`) &&
            [...environment, ...input].some((line) => line.startsWith(has)),
        ),
    )
  }
  const complete = async (): Promise<boolean> => (await find()).every((one) => one !== undefined)
  await within(patienceMs, `both handlers hear of ${event} ${has}`, complete, find)
  return (await find()) as Told[]
}

function told(text: string, has: string): Told {
  const at = text.indexOf('\n\n')
  const environment = text
    .slice(0, at)
    .split('\n')
    // Each has its own name, and ours the tags of an agent.
    .filter((line) => !/^SERF_(?:SELF_NAME|TAG_KITH_\w+)=/.test(line))
  const lines = text.slice(at + 2).split('\n')
  const about = environment.some((line) => line.startsWith('SERF_EVENT=member-'))
  // Serf tells of several members at once where they come together.
  const input = about ? lines.filter((line) => line.startsWith(`${has}\t`)).map(inOrder) : lines
  return { environment, input }
}

function inOrder(line: string): string {
  const fields = line.split('\t')
  return [...fields.slice(0, 3), (fields[3] ?? '').split(',').toSorted().join(',')].join('\t')
}
