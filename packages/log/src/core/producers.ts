/**
 * The memory that makes a retried append idempotent (LOG-16): the last answers of each producer,
 * in a ring of fixed slots that is stored as it is.
 */
import { fromHex, invariant, toHex } from '@kith/interface'
import type { OriginId } from '@kith/interface'
import { readU32, readU48, writeU32, writeU48 } from '../wire/bytes.ts'

/** Answers remembered for one producer. */
export const PRODUCER_ANSWERS_MAX = 64

/** sequence u48, origin 16 bytes, first u48, count u32, offset u48. */
const slotBytes = 38

export interface ProducerAnswer {
  readonly sequence: number
  readonly origin: OriginId
  readonly first: number
  readonly count: number
  readonly offset: number
}

export function readAnswers(answers: Uint8Array): readonly ProducerAnswer[] {
  const found: ProducerAnswer[] = []
  for (let at = 0; at + slotBytes <= answers.length; at += slotBytes) {
    found.push({
      sequence: readU48(answers, at),
      origin: toHex(answers.subarray(at + 6, at + 22)),
      first: readU48(answers, at + 22),
      count: readU32(answers, at + 28),
      offset: readU48(answers, at + 32),
    })
  }
  return found
}

export type ProducerLookup =
  | { readonly kind: 'new' }
  | { readonly kind: 'stored'; readonly answer: ProducerAnswer }
  /** Older than everything remembered: nobody can tell whether it was stored. */
  | { readonly kind: 'stale'; readonly oldest: number }

export function lookUpAnswer(answers: Uint8Array, sequence: number): ProducerLookup {
  let oldest = Infinity
  for (let at = 0; at + slotBytes <= answers.length; at += slotBytes) {
    const known = readU48(answers, at)
    if (known === sequence) {
      const answer = readAnswers(answers.subarray(at, at + slotBytes))[0]
      invariant(answer !== undefined, 'a whole slot holds an answer')
      return { kind: 'stored', answer }
    }
    oldest = Math.min(oldest, known)
  }
  const full = answers.length >= PRODUCER_ANSWERS_MAX * slotBytes
  return full && sequence < oldest ? { kind: 'stale', oldest } : { kind: 'new' }
}

/**
 * A copy with one more answer; where all slots are taken the lowest sequence is forgotten, be it
 * the new one, so that everything above what was forgotten is known.
 */
export function rememberAnswer(answers: Uint8Array, answer: ProducerAnswer): Uint8Array {
  const full = answers.length >= PRODUCER_ANSWERS_MAX * slotBytes
  if (full && answer.sequence < readU48(answers, lowestSlot(answers))) return answers
  const next = new Uint8Array(full ? answers.length : answers.length + slotBytes)
  next.set(answers)
  const at = full ? lowestSlot(answers) : answers.length
  const origin = fromHex(answer.origin)
  invariant(origin?.length === 16, 'an origin id is 16 bytes')
  writeU48(next, at, answer.sequence)
  next.set(origin, at + 6)
  writeU48(next, at + 22, answer.first)
  writeU32(next, at + 28, answer.count)
  writeU48(next, at + 32, answer.offset)
  return next
}

function lowestSlot(answers: Uint8Array): number {
  let lowest = 0
  for (let at = slotBytes; at + slotBytes <= answers.length; at += slotBytes) {
    if (readU48(answers, at) < readU48(answers, lowest)) lowest = at
  }
  return lowest
}
