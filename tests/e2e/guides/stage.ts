/**
 * Machines for the blocks of guides: each a network namespace, in which some folders of this
 * machine have something besides what they have here, and a few commands stand for what is not.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNetwork, type Network } from '../../serf-interop/support/network.ts'
import { command } from '../process.ts'
import { Terminal } from './terminal.ts'

/** What a machine has of its own in these folders is beside what this one has. */
const grafted = ['etc', 'var/lib', 'usr/local/bin'] as const
/** The same for all machines, since it is large. */
const shared = 'usr/bin'

/** What this machine has of Kith, the others do not see. */
const ours = /^kith/

export interface Finished {
  readonly code: number
  readonly out: string
  readonly err: string
}

export type Variables = Readonly<Record<string, string>>

export class Machine {
  readonly name: string
  /** Its folder here: `file('/etc/kith.json')` is what it has of its own below `/etc`. */
  readonly #folder: string
  readonly #before: readonly string[]
  readonly #track: (terminal: Terminal) => void
  readonly address: string

  constructor(
    name: string,
    at: { folder: string; address: string },
    before: readonly string[],
    track: (terminal: Terminal) => void,
  ) {
    this.name = name
    this.#folder = at.folder
    this.address = at.address
    this.#before = before
    this.#track = track
  }

  /** Where a path of the machine is here. Paths that are not absolute begin at its home. */
  path(path: string): string {
    return path.startsWith('/') ? join(this.#folder, path) : join(this.#folder, 'home', path)
  }

  write(path: string, text: string): void {
    const file = this.path(path)
    mkdirSync(join(file, '..'), { recursive: true })
    put(file, text)
  }

  /** Begins `text` in a shell, as whoever copies it does. */
  open(text: string, more: Variables = {}): Terminal {
    const env = {
      PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
      HOME: this.path(''),
      // For the test to read; and agents find each other sooner.
      KITH_LOG_FORMAT: 'json',
      KITH_PROFILE: 'local',
      ...more,
    }
    const words = [...this.#before, 'sh', '-eu', '-c', text]
    const terminal = new Terminal(words, this.path(''), env)
    this.#track(terminal)
    return terminal
  }

  /** Runs `text` to its end, which must be a good one unless `code` says which. */
  async run(text: string, more: Variables = {}, code = 0): Promise<Finished> {
    const terminal = this.open(text, more)
    const ended = await terminal.ended
    const { out, err } = terminal
    if (ended !== code) throw new Error(`it ended with ${ended}: ${text}\n${out}\n${err}`)
    return { code, out, err }
  }
}

export class Stage {
  readonly #folder: string
  readonly #network: Network
  readonly #open: Set<Terminal>
  readonly #machines: ReadonlyMap<string, Machine>

  private constructor(
    folder: string,
    network: Network,
    machines: ReadonlyMap<string, Machine>,
    open: Set<Terminal>,
  ) {
    this.#folder = folder
    this.#network = network
    this.#machines = machines
    this.#open = open
  }

  static async open(names: readonly string[]): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), 'kith-guides-'))
    mkdirSync(join(folder, 'root'))
    const network = await createNetwork(names)
    const open = new Set<Terminal>()
    const track = (terminal: Terminal): void => void open.add(terminal)
    const machines = new Map(
      names.map((name) => {
        const own = furnish(folder, name)
        const before = [...network.within(name), 'sh', join(own, 'enter')]
        const at = { folder: own, address: network.address(name) }
        return [name, new Machine(name, at, before, track)] as const
      }),
    )
    install(folder, network, names)
    return new Stage(folder, network, machines, open)
  }

  machine(name: string): Machine {
    const found = this.#machines.get(name)
    if (!found) throw new Error(`no machine ${name}`)
    return found
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((terminal) => terminal.kill()))
    await this.#network.remove()
    rmSync(this.#folder, { recursive: true })
  }
}

/** What this machine has in that folder, as links to where the others find it. */
function graft(folder: string, path: string, onto: string): string {
  mkdirSync(onto, { recursive: true })
  for (const entry of readdirSync(join('/', path)).filter((it) => !ours.test(it))) {
    symlinkSync(join(folder, 'root', path, entry), join(onto, entry))
  }
  return `mount --bind ${onto} /${path}`
}

/** Makes the folders of one machine, and in it the script that mounts them and runs a command. */
function furnish(folder: string, name: string): string {
  const own = join(folder, name)
  mkdirSync(join(own, 'home'), { recursive: true })
  const all = join(folder, 'root')
  const lines = [
    'set -eu',
    'mount --make-rprivate /',
    `mount --bind / ${all}`,
    `mount -o remount,bind,ro ${all}`,
    `mount --bind ${join(folder, shared)} /${shared}`,
    ...grafted.map((path) => graft(folder, path, join(own, path))),
    'exec "$@"',
  ]
  writeFileSync(join(own, 'enter'), lines.map((line) => `${line}\n`).join(''))
  return own
}

/** `kith` as it is built, and stand-ins that do on these machines what they name. */
function install(folder: string, network: Network, names: readonly string[]): void {
  graft(folder, shared, join(folder, shared))
  const program = (name: string, text: string): void =>
    put(join(folder, shared, name), `#!/bin/sh\nset -eu\n${text}\n`)
  program('kith', `exec ${process.execPath} ${command} "$@"`)
  program('npx', 'test "$1" = @kith/cli; shift; exec kith "$@"')
  program('sudo', 'exec "$@"')
  // As ssh: the words become one command line of the other machine, in a home of its own there.
  const hosts = names.map((name) => {
    const [own, words] = [join(folder, name), network.within(name).join(' ')]
    return `${name}) cd ${own}/home; exec ${words} sh ${own}/enter sh -c "$*";;\n`
  })
  program('ssh', `host=$1; shift; case $host in\n${hosts.join('')}*) exit 255;; esac`)
}

/** Instead of what is there, which may be a link to what all have. */
function put(file: string, text: string): void {
  rmSync(file, { force: true })
  writeFileSync(file, text, { mode: text.startsWith('#!') ? 0o755 : 0o644 })
}
