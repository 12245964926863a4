/**
 * One place and whoever lives there: `kith agent` as it is built, which is what people run, so that
 * its starting, its finding of the others and its HTTP interface are part of what is tried.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Place } from './ground.ts'

const command = fileURLToPath(new URL('../../../packages/cli/bin/kith.js', import.meta.url))
const readyMsMax = 60_000
const linesMax = 400

/** Gives every disk of a run a number of its own. */
export interface DiskNumbers {
  next(): number
}

export interface MemberOptions {
  readonly place: Place
  readonly storage: 'sqlite' | 'segment'
  /** Gossip addresses of the others. */
  readonly join: readonly string[]
  readonly folder: string
  readonly disks: DiskNumbers
}

/** Told of every process at once, so that it can be ended whatever happens. */
export type Track = (child: ChildProcess) => void

export class Member {
  readonly place: Place
  /** What it is called; changes with a replacement by somebody else. */
  name: string
  /** A number for the present disk; another one after a loss. */
  disk: number
  /**
   * Since it was new. Once more within the hour its log may not take another origin again, and
   * stands still: that is tried where no other member is left.
   */
  rolledBack = false
  /** What the present and earlier processes printed last. */
  readonly lines: string[] = []
  readonly #options: MemberOptions
  readonly #track: Track
  #child: ChildProcess | undefined
  #names = 1

  constructor(options: MemberOptions, track: Track) {
    this.#options = options
    this.#track = track
    this.place = options.place
    this.name = `${options.place.name}-1`
    this.disk = options.disks.next()
  }

  get data(): string {
    return join(this.#options.folder, this.place.name)
  }

  get running(): boolean {
    const child = this.#child
    return child !== undefined && child.exitCode === null && child.signalCode === null
  }

  /** Resolves once it is ready; with false where it was killed before. */
  async start(): Promise<boolean> {
    const { place, storage, join: others } = this.#options
    // Nothing is awaited before there is a process: a kill that comes soon must find it.
    mkdirSync(this.data, { recursive: true })
    const args = [
      ...['--node', this.name, '--bind', place.gossip, '--http', place.http],
      ...['--data', this.data, '--log-storage', storage],
      ...['--rpc', '127.0.0.1:0', '--profile', 'local'],
      ...['--log-format', 'json', '--log-level', 'info', '--insecure-plaintext'],
      ...others.flatMap((address) => ['--join', address]),
    ]
    const [program = '', ...words] = [...place.within, process.execPath, command, 'agent', ...args]
    const env = { ...process.env, NODE_OPTIONS: '' }
    const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], env })
    this.#track(child)
    this.#child = child
    const ended = once(child, 'exit').then(([code, signal]) => String(code ?? signal))
    const ready = this.#read(child)
    const late = AbortSignal.timeout(readyMsMax)
    const tooLate = once(late, 'abort').then(() => 'nothing within the time')
    const first = await Promise.race([ready, ended, tooLate])
    if (first === 'ready') return true
    if (first === 'SIGKILL') return false
    throw new Error(`${this.name} did not become ready, ${first}:\n${this.lines.join('\n')}`)
  }

  #read(child: ChildProcess): Promise<'ready'> {
    const keep = (line: string): void => {
      this.lines.push(line.slice(0, 500))
      if (this.lines.length > linesMax) this.lines.shift()
    }
    if (child.stderr) createInterface({ input: child.stderr }).on('line', keep)
    return new Promise((resolve) => {
      const { stdout } = child
      if (stdout === null) return
      createInterface({ input: stdout }).on('line', (line) => {
        keep(line)
        if (line.includes('"event":"ready"')) resolve('ready')
      })
    })
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#child?.kill(signal)
  }

  /** Resolves once the process is gone. A stopped one takes the killing signal too. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.running) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  /** Copies the disk of a member that does not run. */
  async takeImage(): Promise<void> {
    await rm(this.#image, { recursive: true, force: true })
    await cp(this.data, this.#image, { recursive: true, preserveTimestamps: true })
  }

  /** The disk is what it was when the image was taken. */
  async rollBack(): Promise<void> {
    await rm(this.data, { recursive: true })
    await cp(this.#image, this.data, { recursive: true, preserveTimestamps: true })
    await rm(this.#image, { recursive: true })
    this.rolledBack = true
    this.disk = this.#options.disks.next()
  }

  /** The disk is gone; who comes next begins with none. */
  async replace(name: 'same' | 'new'): Promise<void> {
    await rm(this.data, { recursive: true })
    this.rolledBack = false
    this.disk = this.#options.disks.next()
    if (name === 'same') return
    this.#names += 1
    this.name = `${this.place.name}-${this.#names}`
  }

  get #image(): string {
    return `${this.data}.image`
  }
}
