/** What one disk holds, as it is read: in order, nothing twice, left out or made up. */
import { valueOf } from './ledger.ts'
import type { Ledger, Sent } from './ledger.ts'

export type Kind = 'lost' | 'twice' | 'gap' | 'fork' | 'invented' | 'moved' | 'unequal' | 'idle'

/** A promise that did not hold. */
export class Violation extends Error {
  readonly kind: Kind

  constructor(kind: Kind, text: string) {
    super(`${kind}: ${text}`)
    this.name = 'Violation'
    this.kind = kind
  }
}

/** A line of `GET /v1/log/records`. */
export interface Line {
  readonly offset: number
  readonly origin: string
  readonly sequence: number
  readonly key?: string
  readonly value?: string
}

/** `[from, to)` of an origin was declared lost. */
export type Declared = (origin: string, from: number, to: number) => boolean

export class Copy {
  readonly name: string
  readonly disk: number
  /** The offset to read on from. */
  next = 0
  /** Of each origin what it holds at 1, 2, and so on; undefined in a declared hole. */
  readonly origins: Map<string, (Sent | undefined)[]> = new Map()
  readonly #ledger: Ledger
  readonly #held = new Map<Sent, string>()

  constructor(name: string, disk: number, ledger: Ledger) {
    this.name = name
    this.disk = disk
    this.#ledger = ledger
  }

  get records(): number {
    return this.#held.size
  }

  /** Throws where the line cannot be right after those before it. */
  add(line: Line, declared: Declared = () => false): void {
    const { offset, origin, sequence, key = '', value } = line
    const identity = `${origin}/${sequence}`
    const where = `${this.name} holds ${identity} (${key}) at offset ${offset}`
    const sent = this.#ledger.records.get(key)
    if (sent === undefined) throw new Violation('invented', `${where}, which nobody sent`)
    if (value !== valueOf(key)) throw new Violation('invented', `${where} with another text`)
    if (offset !== this.next) throw new Violation('gap', `${where}, not at ${this.next}`)
    const before = this.#held.get(sent)
    if (before !== undefined) throw new Violation('twice', `${where}, and as ${before}`)
    const held = this.origins.get(origin) ?? []
    this.origins.set(origin, held)
    const from = held.length + 1
    if (sequence < from) throw new Violation('twice', `${where}, and had that sequence before`)
    if (sequence > from && !declared(origin, from, sequence)) {
      throw new Violation('gap', `${where} and nothing from ${from} on, and declares no loss`)
    }
    while (held.length < sequence - 1) held.push(undefined)
    held.push(sent)
    this.#held.set(sent, identity)
    this.next = offset + 1
  }

  at(origin: string, sequence: number): Sent | undefined {
    return this.origins.get(origin)?.[sequence - 1]
  }

  identityOf(sent: Sent): string | undefined {
    return this.#held.get(sent)
  }

  /** An offset means the same record for ever (REP-14): what was read once must still be there. */
  mustContinue(before: Copy): void {
    for (const [origin, held] of before.origins) {
      for (const [index, sent] of held.entries()) {
        if (this.at(origin, index + 1) === sent) continue
        const what = `${sent?.key ?? 'a hole'} as ${origin}/${index + 1}`
        throw new Violation('moved', `${this.name} held ${what}, and holds something else now`)
      }
    }
  }
}
