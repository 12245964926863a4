/** Why nobody was reached over the network, in plain words. */
import { tlsFailure } from './tls.ts'

/**
 * What came between. `refused`: nothing listens there; `timedOut`: no answer in time, as behind a
 * firewall that drops; `noRoute`: the network has no way to it; `nameUnknown`: the host's name
 * leads nowhere; `closed`: the connection was made and ended early; `tls`: no agreement on
 * certificates, or on TLS itself.
 */
export type ReachProblem =
  | 'refused'
  | 'timedOut'
  | 'noRoute'
  | 'nameUnknown'
  | 'closed'
  | 'tls'
  | 'other'

export interface ReachFailure {
  readonly problem: ReachProblem
  /** Goes on after "is said to be at HOST:PORT, and". */
  readonly text: string
}

const texts: Readonly<Record<Exclude<ReachProblem, 'tls' | 'other'>, string>> = {
  refused: 'nothing listens there',
  timedOut: 'nothing answers there in time',
  noRoute: 'the network has no way to it',
  nameUnknown: 'that name leads nowhere',
  closed: 'whatever is there closes the connection',
}

const problems: Readonly<Record<string, keyof typeof texts>> = {
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timedOut',
  UND_ERR_CONNECT_TIMEOUT: 'timedOut',
  UND_ERR_HEADERS_TIMEOUT: 'timedOut',
  UND_ERR_BODY_TIMEOUT: 'timedOut',
  TimeoutError: 'timedOut',
  EADDRNOTAVAIL: 'noRoute',
  EHOSTDOWN: 'noRoute',
  EHOSTUNREACH: 'noRoute',
  ENETDOWN: 'noRoute',
  ENETUNREACH: 'noRoute',
  EAI_AGAIN: 'nameUnknown',
  EAI_FAIL: 'nameUnknown',
  EAI_NODATA: 'nameUnknown',
  ENOTFOUND: 'nameUnknown',
  ECONNABORTED: 'closed',
  ECONNRESET: 'closed',
  EPIPE: 'closed',
  UND_ERR_SOCKET: 'closed',
}

/** Causes of causes that are looked at. */
const depthMax = 8

/** Looks through `cause`, its causes, and what an `AggregateError` holds. Never throws. */
export function reachFailure(cause: unknown): ReachFailure {
  for (const each of chain(cause)) {
    const { code, name } = each as { readonly code?: unknown; readonly name?: unknown }
    const insecure = tlsFailure(each)
    if (insecure !== undefined) return { problem: 'tls', text: insecure }
    for (const known of [code, name]) {
      if (typeof known !== 'string' || !Object.hasOwn(problems, known)) continue
      const problem = problems[known] ?? 'refused'
      return { problem, text: `${texts[problem]} (${known})` }
    }
  }
  const text = cause instanceof Error ? cause.message : String(cause)
  return { problem: 'other', text: `it cannot be asked: ${text}` }
}

function* chain(cause: unknown): Generator<object> {
  let next = cause
  for (let depth = 0; depth < depthMax; depth += 1) {
    if (typeof next !== 'object' || next === null) return
    yield next
    const { cause: deeper, errors } = next as { cause?: unknown; errors?: readonly unknown[] }
    // Of all addresses of a name the first one that was tried stands for the others.
    next = deeper ?? (Array.isArray(errors) ? errors[0] : undefined)
  }
}
