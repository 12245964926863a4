/** Network namespaces of this run: one per cluster, or one per member behind two bridges. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const prefix = `kb${process.pid}`
const made: string[] = []

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8' })
}

function ipLines(space: string, lines: readonly string[]): void {
  execFileSync('ip', ['-n', space, '-batch', '-'], { input: lines.join('\n') })
}

function addSpace(name: string): string {
  const space = `${prefix}${name}`
  ip('netns', 'add', space)
  made.push(space)
  ip('-n', space, 'link', 'set', 'lo', 'up')
  return space
}

/** A namespace of its own, with all of 127.0.0.0/8. */
export function privateSpace(name: string): string {
  return addSpace(name)
}

export function removeSpaces(): void {
  for (const space of made.splice(0)) ip('netns', 'del', space)
}

export interface Bridged {
  readonly space: string
  readonly host: string
  /** Moves its cable to the other bridge, or back. */
  cut(): void
  heal(): void
}

/**
 * `count` namespaces with an address each, all on one bridge, and a second bridge with nobody.
 * Each is told the hardware address of every other: what it had to ask for would stand in a table
 * of 1,024 rows that all namespaces of a machine share, and two clusters of 50 need 4,900.
 */
export function bridgedSpaces(name: string, net: number, count: number): readonly Bridged[] {
  const hub = addSpace(`${name}h`)
  for (const bridge of ['here', 'there']) {
    ip('-n', hub, 'link', 'add', bridge, 'type', 'bridge')
    ip('-n', hub, 'link', 'set', bridge, 'up')
  }
  const members = Array.from({ length: count }, (_, index) => ({
    cable: `m${index}`,
    host: `10.${net}.0.${index + 1}`,
    hardware: [2, 0, 10, net, 0, index + 1].map(octet).join(':'),
  }))
  return members.map((member, index) => {
    const { cable, host } = member
    const space = addSpace(`${name}${index}`)
    ip('-n', hub, 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
    ip('-n', hub, 'link', 'set', cable, 'master', 'here', 'up')
    const others = members.filter((other) => other !== member)
    ipLines(space, [
      `link set eth0 address ${member.hardware} up`,
      `address add ${host}/16 dev eth0`,
      ...others.map((to) => `neigh add ${to.host} lladdr ${to.hardware} dev eth0 nud permanent`),
    ])
    const plug = (bridge: string): void =>
      void ip('-n', hub, 'link', 'set', cable, 'master', bridge)
    return { space, host, cut: () => plug('there'), heal: () => plug('here') }
  })
}

const octet = (value: number): string => value.toString(16).padStart(2, '0')

export interface Traffic {
  readonly datagrams: number
  /** Of whole IP packets, both protocols. */
  readonly bytes: number
}

/** What left all sockets of a namespace since it was made. */
export function trafficOf(space: string): Traffic {
  const read = (file: string): string =>
    execFileSync('ip', ['netns', 'exec', space, 'cat', file], { encoding: 'utf8' })
  return {
    datagrams: counter(read('/proc/net/snmp'), 'Udp', 'OutDatagrams'),
    bytes: counter(read('/proc/net/netstat'), 'IpExt', 'OutOctets'),
  }
}

/** These files have a line of names and one of values for each group. */
function counter(text: string, group: string, name: string): number {
  const [names, values] = text.split('\n').filter((line) => line.startsWith(`${group}:`))
  const at = names?.split(' ').indexOf(name) ?? -1
  const value = Number(values?.split(' ')[at])
  if (at < 0 || Number.isNaN(value)) throw new Error(`the system counts no ${group} ${name}`)
  return value
}

export interface Usage {
  readonly cpuSeconds: number
  readonly residentMiB: number
  /** Its share of what several processes map together. */
  readonly proportionalMiB: number
}

const ticksPerSecond = 100

export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const mebibytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? Number.NaN) / 1024
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    residentMiB: mebibytes('Rss'),
    proportionalMiB: mebibytes('Pss'),
  }
}
