/**
 * The common part of RE2's syntax, matched in time linear in program times text: expressions come
 * from the network, and the platform's backtracking matcher can be made to hang. What is not
 * supported, or not valid, compiles to undefined and never to something else.
 */
import { parsePattern } from './pattern-syntax.ts'
import type { PatternNode } from './pattern-syntax.ts'

const expressionLengthMax = 256
const instructionsMax = 1000
/** Nested counts can repeat the empty pattern a billion times without one instruction. */
const emitStepsMax = 10_000

export interface Pattern {
  /** Whether the pattern matches anywhere in the text. */
  test(text: string): boolean
}

type Instruction =
  /** `set` counts the sets that differ: of each it is asked once a place whether it has a code. */
  | { kind: 'set'; set: number; next: number }
  | { kind: 'assert'; holds(text: readonly number[], at: number): boolean; next: number }
  | { kind: 'split'; first: number; second: number }
  | { kind: 'match' }

type Has = (code: number) => boolean

interface Program {
  readonly instructions: Instruction[]
  readonly sets: Has[]
  stepsLeft: number
}

export function compilePattern(expression: string): Pattern | undefined {
  if (expression.length > expressionLengthMax) return undefined
  const node = parsePattern(expression)
  if (node === undefined) return undefined
  const program: Program = {
    instructions: [{ kind: 'match' }],
    sets: [],
    stepsLeft: emitStepsMax,
  }
  const start = emit(program, node, 0)
  if (start === undefined) return undefined
  return { test: (text) => run(program, start, codePoints(text)) }
}

/** A repeated set is one and the same, and in its place of the list, the last one mostly. */
function setIndex({ sets }: Program, has: Has): number {
  const known = sets.lastIndexOf(has)
  return known < 0 ? sets.push(has) - 1 : known
}

function codePoints(text: string): readonly number[] {
  return Array.from(text, (char) => char.codePointAt(0) ?? 0)
}

function add(program: Program, instruction: Instruction): number {
  return program.instructions.push(instruction) - 1
}

/** Adds the code of `node`, continuing at `next`; undefined where that grows too long. */
function emit(program: Program, node: PatternNode, next: number): number | undefined {
  program.stepsLeft -= 1
  if (program.stepsLeft < 0 || program.instructions.length > instructionsMax) return undefined
  switch (node.kind) {
    case 'set':
      return add(program, { kind: 'set', set: setIndex(program, node.has), next })
    case 'assert':
      return add(program, { kind: 'assert', holds: node.holds, next })
    case 'concat': {
      let start: number | undefined = next
      for (const part of node.parts.toReversed()) {
        start = start === undefined ? undefined : emit(program, part, start)
      }
      return start
    }
    case 'alternate':
      return emitAlternate(program, node.options, next)
    case 'repeat':
      return emitRepeat(program, node, next)
  }
}

function emitAlternate(
  program: Program,
  options: readonly PatternNode[],
  next: number,
): number | undefined {
  let start: number | undefined
  for (const option of options.toReversed()) {
    const first = emit(program, option, next)
    if (first === undefined) return undefined
    start = start === undefined ? first : add(program, { kind: 'split', first, second: start })
  }
  return start
}

function emitRepeat(
  program: Program,
  { node, min, max }: PatternNode & { kind: 'repeat' },
  next: number,
): number | undefined {
  let start: number | undefined = next
  if (max === Infinity) {
    const loop = { kind: 'split' as const, first: next, second: next }
    start = add(program, loop)
    const body = emit(program, node, start)
    if (body === undefined) return undefined
    loop.first = body
  }
  for (let count = min; max !== Infinity && count < max; count += 1) {
    const first: number | undefined = emit(program, node, start)
    if (first === undefined) return undefined
    start = add(program, { kind: 'split', first, second: next })
  }
  for (let count = 0; count < min && start !== undefined; count += 1) {
    start = emit(program, node, start)
  }
  return start
}

function run(
  { instructions: program, sets }: Program,
  start: number,
  text: readonly number[],
): boolean {
  // The step at which an instruction was last reached: none runs twice at one place.
  const reached = new Int32Array(program.length).fill(-1)
  let current: number[] = []
  for (let at = 0; at <= text.length; at += 1) {
    if (follow(program, [...current, start], current, reached, text, at)) return true
    const code = text[at]
    if (code === undefined) return false
    const next: number[] = []
    const answers: (boolean | undefined)[] = []
    for (const index of current) {
      const instruction = program[index]
      if (instruction?.kind !== 'set') continue
      const { set } = instruction
      const has = (answers[set] ??= sets[set]?.(code) ?? false)
      if (has) next.push(instruction.next)
    }
    current = next
  }
  return false
}

/** Replaces `sets` by every set instruction reachable from `open` here; true at a match. */
function follow(
  program: readonly Instruction[],
  open: number[],
  sets: number[],
  reached: Int32Array,
  text: readonly number[],
  at: number,
): boolean {
  sets.length = 0
  for (let index = open.pop(); index !== undefined; index = open.pop()) {
    if (reached[index] === at) continue
    reached[index] = at
    const instruction = program[index]
    if (instruction?.kind === 'match') return true
    if (instruction?.kind === 'set') sets.push(index)
    if (instruction?.kind === 'split') open.push(instruction.second, instruction.first)
    if (instruction?.kind === 'assert' && instruction.holds(text, at)) open.push(instruction.next)
  }
  return false
}
