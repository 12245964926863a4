/**
 * Every block of the guides that is no marked example is run as it stands, on machines of its own:
 * network namespaces with their own `/etc`, `/var/lib` and commands.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { exitCodes } from '@kith/cli'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { guides } from '../../tools/examples.ts'
import { root } from '../../tools/support/command.ts'
import { needs } from '../support/requirements.ts'
import { tier } from '../support/tier.ts'
import { blocksIn, readBlocks, type Row, Script, tableProblems } from './guides/blocks.ts'
import { type Machine, Stage } from './guides/stage.ts'
import type { Terminal } from './guides/terminal.ts'
import { Host, type Unit, unitIn, valueOf } from './guides/upgrade.ts'

type Scene = 'ask' | 'events' | 'keys' | 'wrong' | 'upgrade' | 'unit' | 'readme' | 'elsewhere'

const guide = (name: string): string => `docs/guides/${name}.md`

const rows: readonly Row<Scene>[] = [
  [guide('cli'), 'kith agent --node ada', 'ask'],
  [guide('cli'), '{\n  "node": "ada"', 'wrong'],
  [guide('cli'), 'kith: these settings are not right', 'wrong'],
  [guide('cli'), 'kith agent --event-handler', 'events'],
  [guide('cli'), '{"event":"ready"', 'ask'],
  [guide('cli'), 'httpUnreachable: ', 'ask'],
  [guide('cli'), 'kith register web:8080', 'ask'],
  [guide('embed'), 'npm install @kith/agent', 'elsewhere'],
  [guide('encryption'), 'kith keygen', 'keys'],
  [guide('encryption'), 'umask 077; echo', 'keys'],
  [guide('http-api'), 'printf ', 'ask'],
  [guide('join-serf'), 'serf members', 'events'],
  [guide('run'), '[Unit]', 'unit'],
  [guide('run'), 'for host in', 'upgrade'],
  [guide('tls'), 'kith agent --keyring', 'keys'],
  [guide('tls'), "key='-newkey", 'keys'],
  [
    guide('tls'),
    'export KITH_TLS_CA=ca.pem KITH_TLS_CERT=me.pem KITH_TLS_KEY=me-key.pem\nkith serv',
    'keys',
  ],
  [guide('tls'), 'import { readFileSync }', 'keys'],
  [guide('tls'), 'umask 077; openssl rand', 'keys'],
  [
    guide('tls'),
    'export KITH_TLS_CA=ca.pem KITH_TLS_CERT=me.pem KITH_TLS_KEY=me-key.pem\nKITH',
    'keys',
  ],
  ['README.md', 'npm run demo', 'elsewhere'],
  ['packages/cli/README.md', 'npx @kith/cli agent', 'readme'],
]

/** Of the READMEs only what is for a shell; their other blocks are no commands. */
const blocks = [
  ...guides().flatMap(readBlocks),
  ...['README.md', 'packages/cli/README.md'].flatMap((file) =>
    readBlocks(file).filter(({ language }) => language === 'sh'),
  ),
]
const script = new Script(blocks, rows)

describe('the table of blocks', () => {
  it('has a row for every block of a guide that is no example, and none besides', () => {
    expect(tableProblems(blocks, rows)).toEqual([])
  })

  const fence = '```'
  it('misses a block without a row, and a row without a block', () => {
    const text = `a\n${fence}sh\none\n${fence}\n<!-- example -->\n${fence}ts\nx()\n${fence}\n`
    const found = blocksIn('a.md', `${text}${fence}json\n{}\n${fence}\n`)
    expect(found).toMatchObject([
      { line: 2, language: 'sh', text: 'one', marked: false },
      { line: 6, language: 'ts', marked: true },
      { line: 9, language: 'json', text: '{}' },
    ])
    const one: Row = ['a.md', 'one', 'x']
    expect(tableProblems(found, [one, ['a.md', '{}', 'x']])).toEqual([])
    expect(tableProblems(found, [one])).toEqual(['a.md:9 has 0 rows'])
    const two: Row = ['a.md', 'two', 'x']
    expect(tableProblems(found.slice(0, 1), [one, two])).toEqual([
      'the row "a.md: two" has 0 blocks',
    ])
    expect(() => blocksIn('a.md', `${fence}sh\none`)).toThrow('a.md:1: nothing closes')
  })

  it('knows which blocks a scene did not run', () => {
    const text = `${fence}sh\none\n${fence}\n${fence}sh\ntwo\n${fence}\n`
    const all: Row<Scene>[] = [
      ['a.md', 'one', 'ask'],
      ['a.md', 'two', 'ask'],
    ]
    const planted = new Script(blocksIn('a.md', text), all)
    expect(planted.take('ask', 'one')).toBe('one')
    expect(planted.left('ask')).toEqual(['a.md: two'])
    expect(() => planted.take('keys', 'two')).toThrow('no block of "keys" begins with "two"')
  })

  it('names the tests that run what is run elsewhere', () => {
    script.take('elsewhere', 'npm install @kith/agent')
    const stranger = readFileSync(join(root, 'tools/support/stranger.ts'), 'utf8')
    expect(stranger).toContain("await npm('install'")
    expect(existsSync(join(root, 'tests/dist-smoke/stranger.test.ts'))).toBe(true)
    // The demo has tests of its own; and what runs this is `npm test`.
    const commands = script.take('elsewhere', 'npm run demo').split('\n')
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    const names = commands.map((line) => /^npm (?:run )?(\w+) /.exec(line)?.[1] ?? line)
    expect(names.filter((name) => scripts[name] === undefined)).toEqual([])
    expect(script.left('elsewhere')).toEqual([])
  })
})

/** Commands of one block that are typed in terminals of their own. */
function perTerminal(text: string): readonly string[] {
  return text.split(/(?<!\\)\n/)
}

/** Ctrl-C for the command with that word in its line, once it has shown something like that. */
async function interrupt(terminal: Terminal, word: string, like: RegExp): Promise<void> {
  const find = () => terminal.running().find(({ words }) => words.includes(word))
  const { pid } = await terminal.until(`runs ${word}`, find)
  await terminal.until(`${word} shows something`, () => like.test(terminal.out))
  process.kill(pid, 'SIGINT')
}

/** A line of `kith services --watch` begins with its time. */
const watched = /^\d{4}-\d\d-\d\dT\S+ /m

/** As text that may differ in times and counts. */
function timeless(text: string): string {
  return text.trim().replaceAll(/since \S+, seen \d+ times/g, 'since then, seen some times')
}

const need = needs('root', 'iproute2', 'serf', 'openssl', 'curl', 'jq')

describe.skipIf(need.missing)(`blocks of the guides ${need.reason}`, { timeout: 120_000 }, () => {
  let stage: Stage
  let hosts: readonly Host[] = []
  const examples = join(root, 'tests/.examples')

  beforeAll(async () => {
    mkdirSync(examples, { recursive: true })
    stage = await Stage.open(['ask', 'serf', 'keys', 'readme', 'ada', 'ben', 'cleo'])
  })
  afterAll(async () => {
    for (const host of hosts) host.kill()
    await stage.close()
  })

  it.concurrent('agents are upgraded one after another', async () => {
    const text = script.take('unit', '[Unit]')
    const unit = unitIn(text)
    const machines = ['ada', 'ben', 'cleo'].map((name) => stage.machine(name))
    hosts = machines.map(
      (it) =>
        new Host(
          it,
          machines.filter((other) => other !== it),
          unit,
        ),
    )
    await upgrade(hosts)
    if (hosts[0]) await fitsTheAgent(hosts[0], unit, text)
    await Promise.all(machines.map((machine) => machine.run('systemctl stop kith')))
    expect([...script.left('upgrade'), ...script.left('unit')]).toEqual([])
  })

  it.concurrent('agents are started and asked', async () => {
    await ask(stage.machine('ask'))
    expect(script.left('ask')).toEqual([])
  })

  it.concurrent('keys and certificates are made and used', async () => {
    const folder = mkdtempSync(join(examples, 'guide-'))
    try {
      await keys(stage.machine('keys'), join(folder, 'tls.ts'))
    } finally {
      rmSync(folder, { recursive: true })
    }
    expect(script.left('keys')).toEqual([])
  })

  it.concurrent('handlers hear events, and Serf takes part', async () => {
    await events(stage.machine('serf'))
    expect(script.left('events')).toEqual([])
  })

  it.concurrent(
    'the README of the command is followed (tier 2)',
    { skip: tier === 1 },
    async () => {
      await readme(stage.machine('readme'))
      expect(script.left('readme')).toEqual([])
    },
  )

  it.concurrent('a file is resolved, and a wrong one refused', async () => {
    await wrong(stage.machine('keys'))
    expect(script.left('wrong')).toEqual([])
  })
})

async function wrong(machine: Machine): Promise<void> {
  const refused = script.take('wrong', 'kith: these settings are not right')
  machine.write('/etc/kith.json', JSON.stringify({ services: [{ service: 'web', port: 0 }] }))
  const faulty = 'kith agent --config /etc/kith.json --bind 10.0.0.3:7946'
  const { err } = await machine.run(faulty, { KITH_JOIN: '10.0.0.1' }, 2)
  expect(err.trim()).toBe(refused)

  const file = script.take('wrong', '{\n  "node": "ada"')
  machine.write('kith.json', file)
  const { out } = await machine.run('kith agent --config kith.json --dry-run')
  const { settings, unknownVariables } = JSON.parse(out) as {
    settings: Record<string, { value: unknown; from: string }>
    unknownVariables: unknown
  }
  expect(unknownVariables).toEqual([])
  for (const [name, value] of Object.entries(JSON.parse(file) as Record<string, unknown>)) {
    expect(settings[name]).toMatchObject({ value, from: 'file' })
  }
}

async function ask(machine: Machine): Promise<void> {
  // Nothing answers at the address that the guide's finding is about, and nothing refuses either.
  const hole = 'ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:01 dev eth0 nud permanent'
  await machine.run(`ip address add 10.0.0.9/24 dev eth0; ${hole}`)
  const [first = '', second = ''] = perTerminal(script.take('ask', 'kith agent --node ada'))
  const ada = machine.open(first, { KITH_EVENT_HANDLER: 'query:load=echo 0.4' })
  const { pid, ...places } = await ada.ready()
  const line = JSON.parse(script.take('ask', '{"event":"ready"')) as object
  expect({ ...places, pid: 4711 }).toEqual(line)
  expect(pid).toBeGreaterThan(0)
  const ben = machine.open(second, { KITH_HTTP_ADVERTISE: '10.0.0.2:7947' })
  expect(await ben.ready()).toMatchObject({ node: 'ben', gossip: '127.0.0.1:7950', rpc: null })
  await ada.line('ben joined', ({ event }) => event === 'member-join')
  expect(existsSync(machine.path('/var/lib/kith'))).toBe(true)

  const asking = machine.open(script.take('ask', 'kith register web:8080'))
  await interrupt(asking, '--watch', watched)
  expect([await asking.ended, asking.err]).toEqual([0, ''])
  for (const text of ['registered web-1 of web', 'registered db', 'new kernel', 'given back']) {
    expect(asking.out).toContain(text)
  }

  // The same commands as beside Serf, on this agent of ours.
  const asked = await machine.run(script.take('events', 'serf members'))
  expect(asked.out).toMatch(/ada .*alive/)
  expect(asked.out).toContain('0.4')

  const appended = await machine.run(script.take('ask', 'printf '))
  expect(JSON.parse(appended.out)).toMatchObject({ count: 2, duplicate: false })

  const finding = script.take('ask', 'httpUnreachable: ')
  const until = 'until curl -sS http://127.0.0.1:7947/v1/diagnosis | grep -q httpUnreach'
  await machine.run(`${until}; do sleep 0.2; done`)
  const { out } = await machine.run('kith doctor', {}, 1)
  expect(timeless(out)).toContain(timeless(finding))
  expect(await Promise.all([ben.stop(), ada.stop()])).toEqual([0, 0])
}

async function events(machine: Machine): Promise<void> {
  const heard = (program: string): string => machine.path(program)
  const note = (name: string): string =>
    `#!/bin/sh\n(echo "$SERF_EVENT $*"; cat) >> ${heard(name)}\n`
  for (const name of ['page', 'deploy']) machine.write(`/usr/local/bin/${name}`, note(name))
  const answer = "-event-handler 'query:load=echo 0.3'"
  const serf = machine.open(
    `exec serf agent -node=old -bind=127.0.0.1:7950 -profile=local ${answer}`,
  )
  await serf.until('serf runs', () => serf.out.includes('EventMemberJoin: old'))
  const text = script.take('events', 'kith agent --event-handler')
  const agent = machine.open(text, { KITH_NODE: 'new', KITH_JOIN: '127.0.0.1:7950' })
  await agent.line('old joined', ({ event }) => event === 'member-join')

  const asked = script.take('events', 'serf members')
  const bySerf = await machine.run(asked)
  expect(bySerf.out).toMatch(/old .*alive/)
  expect(bySerf.out).toMatch(/new .*alive/)
  expect(bySerf.out).toContain('0.3')

  const printed = (name: string, pattern: RegExp): Promise<unknown> =>
    agent.until(
      `${name} ran`,
      () => existsSync(heard(name)) && pattern.test(readFileSync(heard(name), 'utf8')),
    )
  await machine.run('serf event deploy v1')
  await printed('deploy', /^user --quick\nv1\n/)
  await machine.run('serf leave')
  await printed('page', /^member-leave \nold\t127\.0\.0\.1\t/)
  await serf.ended
  await agent.stop()
}

async function keys(machine: Machine, program: string): Promise<void> {
  await machine.run('ip address add 10.0.0.1/24 dev lo; ip address add 10.0.0.3/24 dev lo')
  const made = await machine.run(script.take('keys', 'kith keygen'))
  expect(Buffer.from(made.out.trim(), 'base64')).toHaveLength(32)
  const seed = machine.open(script.take('keys', 'umask 077; echo'), { KITH_NODE: 'seed' })
  expect(await seed.ready()).toMatchObject({ gossip: '10.0.0.1:7946' })
  expect(statSync(machine.path('keyring.json')).mode & 0o777).toBe(0o600)

  await machine.run(script.take('keys', "key='-newkey"))
  const about = { KITH_NODE: 'ada', KITH_JOIN: '10.0.0.1:7946', KITH_SERVICE: 'web:8080' }
  const ada = machine.open(script.take('keys', 'kith agent --keyring'), about)
  expect(await ada.ready()).toMatchObject({ http: '10.0.0.3:7947' })
  await seed.line('ada joined', ({ event }) => event === 'member-join')

  const called = 'export KITH_TLS_CA=ca.pem KITH_TLS_CERT=me.pem KITH_TLS_KEY=me-key.pem'
  const listed = await machine.run(script.take('keys', `${called}\nkith serv`))
  expect(listed.out).toMatch(/web\b/)
  const use = "console.log((await client.resolve('web'))[0]?.member)\nawait client.stop()\n"
  writeFileSync(program, `${script.take('keys', 'import { readFileSync }')}\n${use}`)
  const node = `${process.execPath} --conditions=@kith/source --disable-warning=ExperimentalWarning`
  expect((await machine.run(`${node} ${program}`)).out).toBe('ada\n')
  expect(await Promise.all([ada.stop(), seed.stop()])).toEqual([0, 0])

  const commanded = machine.open(script.take('keys', 'umask 077; openssl rand'))
  expect(await commanded.ready()).toMatchObject({ rpc: 'tls:10.0.0.3:7373' })
  const members = await machine.run(script.take('keys', `${called}\nKITH`))
  expect(members.out).toContain('alive')
  expect(await commanded.stop()).toBe(0)
}

async function readme(machine: Machine): Promise<void> {
  const [first = '', second = '', ...others] = perTerminal(
    script.take('readme', 'npx @kith/cli agent'),
  )
  const ada = machine.open(first)
  await ada.ready()
  const ben = machine.open(second)
  await ben.ready()
  await ada.line('ben joined', ({ event }) => event === 'member-join')
  const asking = machine.open(others.join('\n'))
  await interrupt(asking, 'tail', /^hello$/m)
  await interrupt(asking, '--watch', watched)
  expect([await asking.ended, asking.err]).toEqual([0, ''])
  for (const text of ['ben', 'hello', 'registered web']) expect(asking.out).toContain(text)
  expect(await Promise.all([ben.stop(), ada.stop()])).toEqual([0, 0])
}

async function upgrade(hosts: readonly Host[]): Promise<void> {
  const [first] = hosts
  if (first === undefined) throw new Error('no host')
  await Promise.all(hosts.map(({ machine }) => machine.run('systemctl start kith')))
  for (const host of hosts) {
    for (const { machine } of hosts.filter((it) => it !== host)) {
      const joined = ({ event, member }: Record<string, unknown>): boolean =>
        event === 'member-join' && (member as { name: string }).name === machine.name
      await host.says(joined)
    }
  }
  await first.machine.run('echo before | kith log append --replicas 2')
  const before = hosts.map(({ pid }) => pid)

  const { out } = await first.machine.run(script.take('upgrade', 'for host in'))
  // What jq said at the end of each wait, behind the answers of `readyz`.
  expect(out.match(/true$/gm)).toHaveLength(3)
  expect(hosts.filter(({ pid }, at) => pid === before[at])).toEqual([])
  for (const host of hosts) expect(host.noted()[0]).toBe('install --global @kith/cli@latest')
  // A record before, and one while each was down, which it had when the next one's turn came.
  const [, second, third] = hosts
  expect(second?.noted()).toContain('ada has 2')
  expect(third?.noted()).toContain('ben has 3')
  expect(await third?.records()).toBe(4)
}

/** Reads a constant of the agent's sources, which are no public face of it. */
function millisecondsIn(file: string, name: string): number {
  const text = readFileSync(join(root, 'packages/agent/src', file), 'utf8')
  const [, digits] = new RegExp(`^const ${name} = ([\\d_]+)$`, 'm').exec(text) ?? []
  if (digits === undefined) throw new Error(`${file} has no ${name}`)
  return Number(digits.replaceAll('_', ''))
}

/** That the unit says of the agent what the agent does. */
async function fitsTheAgent(host: Host, unit: Unit, text: string): Promise<void> {
  const { machine } = host
  host.configure({ tags: { zone: 'eu-2' } })
  await machine.run('systemctl reload kith')
  await host.says(({ message, changed }) => message === 'reloaded' && String(changed) === 'tags')

  expect(valueOf(unit, 'Service.RestartPreventExitStatus')).toBe(`${exitCodes.usage}`)
  const start = valueOf(unit, 'Service.ExecStart')
  const { out } = await machine.run(`${start} --dry-run`)
  expect(JSON.parse(out)).toMatchObject({
    config: '/etc/kith/agent.json',
    settings: { data: { value: `/var/lib/${valueOf(unit, 'Service.StateDirectory')}` } },
  })
  // Log, server, gossip, registry, replicator, metrics, diagnosis and RPC.
  const parts = 8
  const longestMs =
    millisecondsIn('agent.ts', 'DRAIN_TIMEOUT_MS') +
    millisecondsIn('agent.ts', 'LEAVE_TIMEOUT_MS') +
    parts * millisecondsIn('parts.ts', 'PART_STOP_TIMEOUT_MS')
  expect(Number(valueOf(unit, 'Service.TimeoutStopSec')) * 1000).toBeGreaterThanOrEqual(longestMs)
  // Where there is no systemd, the rest of the unit is not looked at.
  machine.write('kith.service', text)
  const verify = 'systemd-analyze verify --man=no ./kith.service'
  const verified = await machine.run(`! command -v systemd-analyze > /dev/null || ${verify}`)
  expect(verified).toMatchObject({ out: '', err: '' })
}
