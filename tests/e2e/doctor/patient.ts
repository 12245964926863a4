/** An agent at which the real `kith doctor` looks. */
import { type AgentProcess, kith, startAgentIn, type Surroundings } from '../process.ts'

/** A finding as the command prints it. */
export interface ToldFinding {
  readonly kind: string
  readonly member?: string
  readonly since: number
  readonly lastAt: number
  readonly times: number
  readonly text: string
  readonly advice: string
  readonly seenFrom: readonly string[]
  readonly [evidence: string]: unknown
}

export interface Look {
  readonly code: number | string
  readonly findings: readonly ToldFinding[]
}

export interface FoundOptions {
  readonly fits?: (finding: ToldFinding) => boolean
  readonly again?: boolean
}

/** Nothing that a doctor shall find takes longer to be seen. */
const seenMsMax = 45_000
const betweenMs = 200

export class Patient {
  readonly agent: AgentProcess
  readonly #surroundings: Surroundings
  #last: Look | undefined

  private constructor(agent: AgentProcess, surroundings: Surroundings) {
    this.agent = agent
    this.#surroundings = surroundings
  }

  static async start(surroundings: Surroundings, ...args: readonly string[]): Promise<Patient> {
    return new Patient(await startAgentIn(surroundings, ...args), surroundings)
  }

  /** Runs `kith doctor` once. */
  async look(): Promise<Look> {
    const { code, out, err } = await this.#doctor('--format', 'json')
    if (out === '') throw new Error(`the doctor said nothing: ${err}`)
    this.#last = { code, ...(JSON.parse(out) as { findings: readonly ToldFinding[] }) }
    return this.#last
  }

  /** What people read. */
  async words(): Promise<string> {
    return (await this.#doctor()).out
  }

  /** Looks until there is such a finding; with `again` the last look does not count. */
  async found(
    kind: string,
    { fits = () => true, again = true }: FoundOptions = {},
  ): Promise<ToldFinding> {
    const judge = ({ code, findings }: Look): ToldFinding | undefined => {
      const found = findings.find((finding) => finding.kind === kind && fits(finding))
      if (found !== undefined && code !== 1) throw new Error(`the doctor ended with ${code}`)
      return found
    }
    const known = again || this.#last === undefined ? undefined : judge(this.#last)
    return known ?? (await this.#until(`finds ${kind}`, judge))
  }

  /** Looks until there is no such finding any more, for as long as it may be told. */
  gone(kind: string, withinMs: number): Promise<Look> {
    const without = (look: Look): Look | undefined =>
      look.findings.some((finding) => finding.kind === kind) ? undefined : look
    return this.#until(`does not find ${kind}`, without, withinMs)
  }

  async #until<Value>(
    what: string,
    judge: (look: Look) => Value | undefined,
    withinMs = seenMsMax,
  ): Promise<Value> {
    const until = performance.now() + withinMs
    for (;;) {
      const look = await this.look()
      const value = judge(look)
      if (value !== undefined) return value
      if (performance.now() > until) {
        throw new Error(`the doctor never ${what}: ${JSON.stringify(look)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, betweenMs))
    }
  }

  #doctor(...flags: readonly string[]): ReturnType<typeof kith> {
    const args = ['doctor', '--http-addr', this.agent.http, '--timeout', '1s', ...flags]
    return kith(args, '', this.#surroundings)
  }
}
