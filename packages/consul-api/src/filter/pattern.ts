/**
 * Regular expressions of `matches`, run in time that grows with the text and the pattern only: what
 * comes over the network must not be given to a matcher that goes back and tries again. The syntax
 * is the part of Go's that people use.
 */
import type { Budget } from './budget.ts'
import { type Fail, parsePattern, type Piece } from './pattern-syntax.ts'

interface Fork {
  readonly kind: 'fork'
  to: number
  other: number
}

type Step =
  | { readonly kind: 'take'; readonly fits: (character: number) => boolean }
  | Fork
  | { readonly kind: 'place'; readonly holds: (before: number, after: number) => boolean }
  | { readonly kind: 'end' }

const STEPS_MAX = 1_000
/** Before the first and after the last character. */
const NOTHING = -1

/** True where the pattern is found anywhere in the text. */
export type Pattern = (text: string, budget: Budget) => boolean

/** `fail` makes the error of what is no pattern. */
export function compilePattern(source: string, fail: Fail): Pattern {
  const compiler = new Compiler(fail)
  compiler.emit(parsePattern(source, fail))
  const program: readonly Step[] = [...compiler.program, { kind: 'end' }]
  return (text, budget) => run(program, text, budget)
}

class Compiler {
  readonly program: Step[] = []
  readonly #fail: Fail
  /** Counted, because a repetition of nothing makes no steps however often it stands. */
  #emitted = 0

  constructor(fail: Fail) {
    this.#fail = fail
  }

  emit(piece: Piece): void {
    this.#emitted += 1
    if (this.#emitted > 2 * STEPS_MAX || this.program.length > STEPS_MAX) {
      throw this.#fail('a simpler pattern belongs')
    }
    switch (piece.kind) {
      case 'take':
      case 'place':
        this.program.push(piece)
        return
      case 'sequence':
        for (const inner of piece.pieces) this.emit(inner)
        return
      case 'choice':
        this.#choice(piece.pieces)
        return
      case 'repeat':
        this.#repeat(piece)
    }
  }

  #choice(pieces: readonly Piece[]): void {
    const ends: Fork[] = []
    for (const [at, piece] of pieces.entries()) {
      if (at === pieces.length - 1) {
        this.emit(piece)
        break
      }
      const fork = this.#fork()
      this.emit(piece)
      ends.push(this.#fork())
      fork.other = this.program.length
    }
    for (const jump of ends) jump.to = jump.other = this.program.length
  }

  #repeat({ piece, least, most }: Extract<Piece, { kind: 'repeat' }>): void {
    for (let count = 0; count < least; count += 1) this.emit(piece)
    if (most === undefined) {
      const at = this.program.length
      const fork = this.#fork()
      this.emit(piece)
      this.program.push({ kind: 'fork', to: at, other: at })
      fork.other = this.program.length
      return
    }
    const forks: Fork[] = []
    for (let count = least; count < most; count += 1) {
      forks.push(this.#fork())
      this.emit(piece)
    }
    for (const fork of forks) fork.other = this.program.length
  }

  /** On to the next step, or to where its caller will say. */
  #fork(): Fork {
    const fork: Fork = { kind: 'fork', to: this.program.length + 1, other: 0 }
    this.program.push(fork)
    return fork
  }
}

/** All ways at once, one character after the other: no way is followed twice at one place. */
function run(program: readonly Step[], text: string, budget: Budget): boolean {
  const characters = [...text].map((character) => character.codePointAt(0) ?? 0)
  budget.spend(characters.length)
  const seen = new Int32Array(program.length).fill(-1)
  let current: number[] = []
  for (let at = 0; at <= characters.length; at += 1) {
    const before = at === 0 ? NOTHING : (characters[at - 1] ?? NOTHING)
    const after = characters[at] ?? NOTHING
    const open = [...current, 0]
    const ready: number[] = []
    budget.spend(open.length + 1)
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen[next] === at) continue
      seen[next] = at
      budget.spend(1)
      const step = program[next]
      if (step === undefined) continue
      if (step.kind === 'end') return true
      if (step.kind === 'take') ready.push(next)
      else if (step.kind === 'fork') open.push(step.to, step.other)
      else if (step.holds(before, after)) open.push(next + 1)
    }
    current = ready.filter((from) => fits(program[from], after)).map((from) => from + 1)
  }
  return false
}

function fits(step: Step | undefined, character: number): boolean {
  return step?.kind === 'take' && character !== NOTHING && step.fits(character)
}
