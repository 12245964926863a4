/** A shell that runs one text, and what comes of it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { vi } from 'vitest'

export interface Told {
  readonly event?: string
  readonly pid?: number
  readonly [field: string]: unknown
}

const patienceMs = 60_000

export class Terminal {
  readonly #child: ChildProcess
  readonly #text: string
  out = ''
  err = ''
  /** The exit code; 128 and the number where a signal ended it is the shell's affair. */
  readonly ended: Promise<number>
  #over = false

  constructor(words: readonly string[], cwd: string, env: Readonly<Record<string, string>>) {
    const [program = '', ...args] = words
    this.#text = words.at(-1) ?? ''
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    child.stdout.on('data', (chunk: Buffer) => (this.out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (this.err += chunk.toString()))
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code) => {
        this.#over = true
        resolve(code ?? -1)
      })
    })
  }

  /** Resolves once `holds` gives something; throws with all that was printed where it does not. */
  async until<Value>(what: string, holds: () => Value | undefined | false): Promise<Value> {
    const state = (): string => `${what}: ${this.#text}\n${this.out}\n${this.err}`
    const look = (): Value | undefined | false => {
      const value = holds()
      if (!value && this.#over) throw new Error(`it ended before ${state()}`)
      return value
    }
    try {
      return (await vi.waitUntil(look, { timeout: patienceMs, interval: 20 })) as Value
    } catch (cause) {
      throw new Error(`not ${state()}`, { cause })
    }
  }

  /** The first line of JSON, past or to come, that fits. */
  line(what: string, fits: (line: Told) => boolean): Promise<Told> {
    return this.until(what, () => this.#told().find(fits))
  }

  ready(): Promise<Told> {
    return this.line('ready', ({ event }) => event === 'ready')
  }

  #told(): Told[] {
    const whole = this.out.split('\n').slice(0, -1)
    return whole.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Told)
  }

  /** SIGTERM to the agent that runs in it; resolves with the exit code of the whole text. */
  async stop(): Promise<number> {
    process.kill(Number((await this.ready()).pid), 'SIGTERM')
    return this.ended
  }

  /** What runs in it now: process ids and command lines. */
  running(): readonly { readonly pid: number; readonly words: readonly string[] }[] {
    const of = (pid: string, file: string): string => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, 'utf8')
      } catch {
        return '' // it has ended meanwhile
      }
    }
    const { pid } = this.#child
    const children = of(`${pid}`, `task/${pid}/children`).split(' ').filter(Boolean)
    return children.map((it) => ({ pid: Number(it), words: of(it, 'cmdline').split('\0') }))
  }

  /** Ends what a test that failed left behind. */
  async kill(): Promise<void> {
    if (this.#over) return
    for (const { pid } of this.running()) process.kill(pid, 'SIGKILL')
    this.#child.kill('SIGKILL')
    await this.ended
  }
}
