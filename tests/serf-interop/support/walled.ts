// Members with a registry in network namespaces, as the test drives them.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Network } from './network.ts'
import type { WalledOrder, WalledTold } from './walled-orders.ts'

const script = fileURLToPath(new URL('walled-member.ts', import.meta.url))

/** Nothing that is asked here may take longer. */
const answerMsMax = 60_000

/** A word without its number, which `ask` gives it. */
type Question<Order = WalledOrder> = Order extends unknown ? Omit<Order, 'question'> : never

export interface Walled {
  readonly started: WalledTold
  ask(question: Question): Promise<WalledTold>
  kill(): Promise<void>
}

/** Resolves once it runs and its registry speaks. */
export async function startWalled(
  network: Network,
  place: string,
  directory: string,
  seeds: readonly string[],
): Promise<Walled> {
  const [command = '', ...args] = [
    ...network.within(place),
    ...[process.execPath, '--conditions=@kith/source', script],
    ...[place, network.address(place), directory, ...seeds],
  ]
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const waiting = new Map<number, (told: WalledTold) => void>()
  const answerTo = (question: number): Promise<WalledTold> =>
    new Promise((resolve) => waiting.set(question, resolve))
  let questions = 0
  child.on('message', (told: WalledTold) => {
    waiting.get(told.question)?.(told)
    waiting.delete(told.question)
  })
  const early = ended.then(() => {
    throw new Error(`${place} ended before it answered`)
  })
  early.catch(() => {})
  const started = await Promise.race([answerTo(0), early])
  return {
    started,
    ask(question) {
      questions += 1
      const answer = answerTo(questions)
      child.send({ ...question, question: questions })
      const late = AbortSignal.timeout(answerMsMax)
      const tooLate = once(late, 'abort').then(() => {
        throw new Error(`${place} did not answer: ${JSON.stringify(question)}`)
      })
      return Promise.race([answer, early, tooLate])
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
