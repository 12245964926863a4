/**
 * What was made once of a list of instances: the records of an answer, and records as bytes. A list
 * that the registry gives again needs neither made anew; only what is drawn for each answer is.
 */
import type { ServiceInstance } from '@kith/interface'
import { type Answer, encode } from 'dns-packet'

export interface Prepared {
  /** Of which some are drawn. */
  readonly records: readonly PreparedRecord[]
  /** Of which one is drawn, where there are no records. */
  readonly aliases: readonly Answer[]
  /** False where no instance has the name, passing or not. */
  readonly exists: boolean
}

export interface PreparedRecord {
  readonly answer: Answer
  /** Goes with it as an additional record. */
  readonly beside: Answer | undefined
}

const headerBytes = 12
/** Names and types kept for one list; more begin anew. */
const namesMax = 16

export class PreparedAnswers {
  readonly #lists = new WeakMap<readonly ServiceInstance[], Map<string, Prepared>>()

  /** Names that mix cases are asked by whoever makes each anew: they are not kept. */
  of(list: readonly ServiceInstance[], type: string, name: string, make: () => Prepared): Prepared {
    if (name !== name.toLowerCase()) return make()
    let known = this.#lists.get(list)
    if (known === undefined) this.#lists.set(list, (known = new Map()))
    const key = `${type} ${name}`
    const before = known.get(key)
    if (before !== undefined) return before
    if (known.size >= namesMax) known.clear()
    const made = make()
    known.set(key, made)
    return made
  }
}

/** Records as the codec writes them, each once for as long as it is used. */
export class RecordBytes {
  readonly #known = new WeakMap<Answer, Buffer>()

  of(record: Answer): Buffer {
    const known = this.#known.get(record)
    if (known !== undefined) return known
    const bytes = encode({ type: 'response', answers: [record] }).subarray(headerBytes)
    this.#known.set(record, bytes)
    return bytes
  }
}
