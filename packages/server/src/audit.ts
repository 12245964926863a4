/** One line of the log for everything that changed something, and for what was refused. */
import type { Logger } from '@kith/interface'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access, Caller } from './access.ts'

/** Strangers told of in a second; the rest is counted only, or they would write the log. */
const strangersPerSecond = 10

export class FewLines {
  #second = 0
  #told = 0

  /** Whether one more line may be written in this second. */
  mayTell(): boolean {
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#told = 0
    }
    this.#told += 1
    return this.#told <= strangersPerSecond
  }
}

export class Audit {
  readonly #logger: Logger
  readonly #strangers = new FewLines()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Called once the request is answered. */
  answered(
    request: FastifyRequest,
    reply: FastifyReply,
    caller: Caller | undefined,
    access: Access | undefined,
  ): void {
    const { statusCode: status } = reply
    const refused = status === 401 || status === 403
    if (!refused && access !== 'write' && access !== 'operator') return
    if (status === 401 && !this.#strangers.mayTell()) return
    const { method, url, ip } = request
    const line = {
      audit: true,
      who: caller?.name ?? null,
      role: caller?.role ?? null,
      from: ip,
      method,
      // Without the query, and bounded: a stranger chose it.
      path: (url.split('?', 1)[0] ?? '').slice(0, 200),
      status,
    }
    if (refused) this.#logger.warn(line, 'a request was refused')
    else this.#logger.info(line, 'a request that changes something')
  }
}
