/** Web members as processes: started, made sick, asked what they hand out, killed. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Order, sharedNow, type Told, type WebMemberReport } from './web-orders.ts'

const script = fileURLToPath(new URL('web-member.ts', import.meta.url))

/** More at once would only wait for each other's processors. */
const startedTogether = 3

export interface WebMember extends WebMemberReport {
  readonly name: string
  readonly child: ChildProcess
}

/** When members stopped or began to hand out something, on the clock of `sharedNow`. */
export interface Heard {
  readonly lastAt: number
  /** Members whose view had said that the member was gone. */
  readonly verdicts: number
  /** From the first verdict in any view to the last member that followed; 0 without verdicts. */
  readonly afterVerdictMs: number
  /** The longest that one of the processes, this one included, did not run meanwhile. */
  readonly stalledMs: number
}

export interface WebCluster {
  /** Those that run. */
  readonly members: readonly WebMember[]
  /** Lets go of it: it was killed, or leaves. */
  remove(member: WebMember): void
  /** The time at which the service was made so. */
  make(state: 'sick' | 'well', service: string, member: WebMember): Promise<number>
  /** Resolves once every member hands out all these services of `member`, or none of them. */
  hear(member: WebMember, services: readonly string[], resolved: boolean): Promise<Heard>
  stop(): Promise<void>
}

export async function startWebCluster(
  size: number,
  services: readonly string[],
): Promise<WebCluster> {
  const members: WebMember[] = []
  const children: ChildProcess[] = []
  const start = async (at: number, ...join: readonly string[]): Promise<WebMember> => {
    const name = `m${at}`
    const execArgv = ['--conditions=@kith/source']
    const options = { execArgv, stdio: ['ignore', 'ignore', 2, 'ipc'] as const }
    const child = fork(script, [name, services.join(','), ...join], options as never)
    // One for each question that waits: about every member, and about its own health.
    child.setMaxListeners(2 * size)
    children.push(child)
    const [told] = (await once(child, 'message')) as [WebMemberReport]
    const member = { name, child, ...told }
    members.push(member)
    return member
  }
  const first = await start(0)
  for (let from = 1; from < size; from += startedTogether) {
    const count = Math.min(startedTogether, size - from)
    await Promise.all(Array.from({ length: count }, (_, at) => start(from + at, first.gossip)))
  }
  members.sort((a, b) => (a.name < b.name ? -1 : 1))

  let questions = 0
  function ask(asked: WebMember, order: Order): Promise<Told> {
    const { child } = asked
    return new Promise((resolve, reject) => {
      const settle = (answer: Told | Error): void => {
        child.off('message', read).off('exit', exited)
        if (answer instanceof Error) reject(answer)
        else resolve(answer)
      }
      const exited = (): void => settle(new Error(`${asked.name} ended before it answered`))
      const read = (told: Told): void => {
        const fits =
          order.order === 'tell'
            ? told.told === 'answer' && told.question === order.question
            : told.told === 'done'
        if (fits) settle(told)
      }
      child.on('message', read).once('exit', exited)
      child.send(order)
    })
  }

  return {
    members,
    remove: (member) => void members.splice(members.indexOf(member), 1),
    async make(state, service, member) {
      return (await ask(member, { order: state, service })).at
    },
    async hear({ name: member }, services, resolved) {
      const question = (questions += 1)
      const order = { order: 'tell', question, services, member, resolved } as const
      const stalls = watchStalls()
      const answers = await Promise.all(members.map((one) => ask(one, order)))
      const told = answers.flatMap((one) => (one.told === 'answer' ? [one] : []))
      const lastAt = Math.max(...told.map(({ at }) => at))
      const verdicts = told.flatMap(({ goneAt }) => (goneAt === undefined ? [] : [goneAt]))
      const stalledMs = Math.max(stalls(), ...told.map((one) => one.stalledMs))
      const afterVerdictMs = verdicts.length === 0 ? 0 : lastAt - Math.min(...verdicts)
      return { lastAt, verdicts: verdicts.length, afterVerdictMs, stalledMs }
    },
    async stop() {
      await Promise.all(
        children.map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return
          child.kill('SIGKILL')
          await once(child, 'exit')
        }),
      )
    },
  }
}

const lookMs = 10

/** Returns what ends it and says how late a timer of this process was at most. */
function watchStalls(): () => number {
  let longest = 0
  let last = sharedNow()
  const timer = setInterval(() => {
    const now = sharedNow()
    longest = Math.max(longest, now - last - lookMs)
    last = now
  }, lookMs)
  return () => {
    clearInterval(timer)
    return longest
  }
}
