/** `function`: the service's own code answers. Only for services registered in the same process. */
import type { CheckKind, CheckResult, CheckStatus } from '@kith/interface'
import { failure, OptionReader } from './problems.ts'

/** A status, a full result, or nothing for passing; throwing or rejecting is critical. */
export type CheckFunction = (signal: AbortSignal) => CheckAnswer | Promise<CheckAnswer>

type CheckAnswer = CheckStatus | CheckResult | undefined | void

export interface FunctionCheckOptions {
  readonly run: CheckFunction
  /** Calls that were told to stop and did not come back; the function is not called beside them. */
  readonly pending: Set<symbol>
}

export function functionCheck(): CheckKind<FunctionCheckOptions> {
  return {
    kind: 'function',
    parse(options: unknown) {
      const reader = new OptionReader(options)
      const run = reader.field('run', isFunction, 'a function', undefined)
      reader.done()
      if (run === undefined) throw failure('run must be a function, got nothing')
      return Object.freeze({ run, pending: new Set<symbol>() })
    },
    async run({ run, pending }, signal) {
      signal.throwIfAborted()
      if (pending.size > 0) throw failure('the last call has not come back yet')
      const call = Symbol('call')
      pending.add(call)
      const answer = (async () => run(signal))().finally(() => pending.delete(call))
      return toResult(await untilAborted(answer, signal))
    },
  }
}

function isFunction(value: unknown): value is CheckFunction | undefined {
  return typeof value === 'function'
}

function toResult(answer: CheckAnswer): CheckResult {
  if (answer === undefined) return { status: 'passing', output: '' }
  return typeof answer === 'string' ? { status: answer, output: '' } : answer
}

/** The answer, or a rejection as soon as the signal aborts, whatever the function does. */
async function untilAborted<Value>(answer: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let stop = (): void => {}
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(failure('told to stop', signal.reason))
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([answer, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
