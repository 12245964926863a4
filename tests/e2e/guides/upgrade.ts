/** Three machines whose agents run by the unit of the guide, and `systemctl` as far as it goes. */
import { readFileSync } from 'node:fs'
import { vi } from 'vitest'
import type { Machine } from './stage.ts'
import type { Told } from './terminal.ts'

const agentOf = { pid: '/var/lib/agent.pid', log: '/var/lib/agent.log' }
const patience = { timeout: 60_000, interval: 50 }

/** Values of a unit by section and name, as `Service.ExecStart`. */
export type Unit = ReadonlyMap<string, string>

export function unitIn(text: string): Unit {
  const found = new Map<string, string>()
  let section = ''
  for (const line of text.split('\n')) {
    section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) found.set(`${section}.${name}`, value)
  }
  return found
}

export function valueOf(unit: Unit, name: string): string {
  const value = unit.get(name)
  if (value === undefined) throw new Error(`the unit has no ${name}`)
  return value
}

/** What systemd does with the unit, for `start`, `stop`, `restart` and `reload`. */
function systemctl(machine: Machine, unit: Unit, between: string): string {
  const [pid, log] = [machine.path(agentOf.pid), machine.path(agentOf.log)]
  return `#!/bin/sh
set -eu
test "$2" = kith
pid=$(cat ${pid} 2> /dev/null || true)
stop() {
  kill -TERM $pid
  while [ -d /proc/$pid ] && ! grep -q '^State:.Z' /proc/$pid/status; do sleep 0.05; done
  rm ${pid}
}
start() {
  cd /
  ${valueOf(unit, 'Service.ExecStart')} >> ${log} 2>&1 < /dev/null &
  echo $! > ${pid}
}
case $1 in
  start) start;;
  stop) stop;;
  restart)
    stop
    ${between} > /dev/null
    start;;
  reload)
    MAINPID=$pid
    ${valueOf(unit, 'Service.ExecReload')};;
  *) exit 1;;
esac
`
}

/** The sources are the newest version; notes what was asked for, and what the others have then. */
function npm(machine: Machine, others: readonly Machine[]): string {
  const notes = machine.path('npm')
  const looks = others.map(
    ({ name, address }) =>
      `curl -fsS http://${address}:7947/v1/log/status | jq -r '"${name} has \\(.records)"'`,
  )
  return `#!/bin/sh
set -eu
echo "$*" >> ${notes}
(${looks.join('; ')}) >> ${notes}
`
}

/** One machine of the three. */
export class Host {
  readonly machine: Machine
  readonly #settings: object

  /** While the agent is down between its two lives, a record comes to `elsewhere`. */
  constructor(machine: Machine, others: readonly Machine[], unit: Unit) {
    this.machine = machine
    const [elsewhere] = others
    const to = `http://${elsewhere?.address}:7947/v1/log/records`
    const type = 'content-type: application/octet-stream'
    const between = `curl -fsS --data-binary ${machine.name} -H '${type}' '${to}'`
    machine.write('/usr/local/bin/systemctl', systemctl(machine, unit, between))
    machine.write('/usr/local/bin/npm', npm(machine, others))
    this.#settings = {
      node: machine.name,
      bind: `${machine.address}:7946`,
      http: '0.0.0.0:7947',
      join: others.map(({ address }) => `${address}:7946`),
      insecurePlaintext: true,
    }
    this.configure({})
  }

  configure(more: object): void {
    this.machine.write('/etc/kith/agent.json', JSON.stringify({ ...this.#settings, ...more }))
  }

  get pid(): number {
    return Number(readFileSync(this.machine.path(agentOf.pid), 'utf8'))
  }

  /** Every line of its lives so far. */
  lines(): readonly Told[] {
    const text = readFileSync(this.machine.path(agentOf.log), 'utf8').split('\n').slice(0, -1)
    return text.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Told)
  }

  says(fits: (line: Told) => boolean): Promise<Told | undefined> {
    return vi.waitUntil(() => this.lines().find(fits), patience)
  }

  /** How many records it has. */
  async records(): Promise<number> {
    const { out } = await this.machine.run('curl -fsS http://127.0.0.1:7947/v1/log/status')
    return (JSON.parse(out) as { records: number }).records
  }

  /** What `npm` noted, line by line. */
  noted(): readonly string[] {
    return readFileSync(this.machine.path('npm'), 'utf8').trim().split('\n')
  }

  kill(): void {
    try {
      process.kill(this.pid, 'SIGKILL')
    } catch {
      // It never ran, or has ended.
    }
  }
}
