/**
 * Members whose HTTP is of no use to this one although they live. The replicator asks all of them
 * again and again: what it meets is noted here, and forgotten once a member answers.
 */
import type { FindingBase } from '@kith/gossip'
import { isKithError, type Member, type ReplicationSource } from '@kith/interface'
import { reachFailure } from '@kith/interface/node'
import { type AgentFinding, type HttpProblem, seenAgain, type Sighting } from './findings.ts'

type HttpFound = Extract<AgentFinding, { readonly kind: 'httpUnreachable' | 'copyRefused' }>
type Found = Pick<Extract<HttpFound, { readonly kind: 'httpUnreachable' }>, 'kind' | 'problem'>
type Refused = Pick<Extract<HttpFound, { readonly kind: 'copyRefused' }>, 'kind' | 'code'>

interface Note extends Sighting {
  readonly url: string
  readonly what: Found | Refused
  readonly reason: string
}

/** Members that are noted at most; beyond it the one noted first is forgotten. */
const notesMax = 256
/** The replicator gives a member that connects and does not answer up after 5 s: that was it. */
const patienceMs = 4_500

export class HttpFindings {
  readonly #notes = new Map<string, Note>()
  readonly #wallNow: () => number

  constructor(wallNow: () => number = Date.now) {
    this.#wallNow = wallNow
  }

  /** The same source, whose greetings are listened to. */
  watched({ name }: Member, url: string, source: ReplicationSource): ReplicationSource {
    return {
      ...source,
      hello: async (message, signal) => {
        const began = performance.now()
        try {
          const answer = await source.hello(message, signal)
          this.#notes.delete(name)
          return answer
        } catch (cause) {
          if (!signal.aborted) this.#failed(name, url, cause)
          else if (performance.now() - began >= patienceMs) {
            this.#note(name, url, { kind: 'httpUnreachable', problem: 'timedOut' }, 'no answer')
          }
          throw cause
        }
      },
    }
  }

  /** A member is not even asked, because what it tells is plaintext. */
  plain(name: string, url: string): void {
    const reason = 'it speaks no TLS, and this member does with nobody else'
    this.#note(name, url, { kind: 'httpUnreachable', problem: 'noTls' }, reason)
  }

  /** Of members that live, and where they still say that they are. */
  findings(
    member: (name: string) => Member | undefined,
    urlOf: (member: Member) => string | undefined,
  ): readonly HttpFound[] {
    const found: HttpFound[] = []
    for (const [name, note] of this.#notes) {
      const known = member(name)
      if (known === undefined || known.status === 'left') this.#notes.delete(name)
      if (known?.status !== 'alive' || urlOf(known) !== note.url) continue
      const { what, url, since, lastAt, times } = note
      found.push({ ...what, member: name, url, since, lastAt, times, ...inWords(name, note) })
    }
    return found
  }

  #failed(name: string, url: string, cause: unknown): void {
    const code = isKithError(cause) ? cause.code : ''
    const status = isKithError(cause) ? (cause.details as { status?: unknown })?.status : undefined
    const reason = cause instanceof Error ? cause.message : String(cause)
    if (code === 'ERR_REPLICATOR_CLUSTER' || code === 'ERR_REPLICATOR_VERSION') {
      return this.#note(name, url, { kind: 'copyRefused', code }, reason)
    }
    // It starts or stops, or has enough to do: whoever answers so is reached.
    if (status === 503) return
    const problem = problemOf(code, status, cause)
    const failure = status === undefined ? reachFailure(cause).text : reason
    this.#note(name, url, { kind: 'httpUnreachable', problem }, failure)
  }

  #note(name: string, url: string, what: Note['what'], reason: string): void {
    const before = this.#notes.get(name)
    const same = before?.url === url && before.what.kind === what.kind ? before : undefined
    this.#notes.delete(name)
    this.#notes.set(name, { ...seenAgain(same, this.#wallNow()), url, what, reason })
    const [oldest] = this.#notes.keys()
    if (this.#notes.size > notesMax && oldest !== undefined) this.#notes.delete(oldest)
  }
}

function problemOf(code: string, status: unknown, cause: unknown): HttpProblem {
  if (code === 'ERR_REPLICATOR_SELF') return 'leadsBack'
  if (status === 401 || status === 403) return 'token'
  return status === undefined ? reachFailure(cause).problem : 'other'
}

type Words = Pick<FindingBase, 'text' | 'advice'>

function inWords(name: string, { url, what, reason }: Note): Words {
  const who = JSON.stringify(name)
  const where = `${who} says that its HTTP is at ${url}`
  if (what.kind === 'copyRefused') {
    const advice =
      what.code === 'ERR_REPLICATOR_CLUSTER'
        ? 'give all members of one cluster the same `clusterId`'
        : 'update the older one of the two'
    return { text: `${who} at ${url} copies no records of this member: ${reason}`, advice }
  }
  const { text, advice } = words[what.problem]
  return { text: `${where}, and ${text ?? reason}; no records are copied`, advice }
}

const address = 'an address as `httpAdvertise` (`--http-advertise`) that all members reach'
/** Without a text the reason that was met is told. */
const words: Readonly<Record<HttpProblem, { readonly text?: string; readonly advice: string }>> = {
  refused: {
    advice: `see that its agent listens there (\`http\`), or give it ${address}`,
  },
  timedOut: {
    text: 'nothing answers there in time',
    advice: `let TCP pass to that port on the machines and between them, or give it ${address}`,
  },
  noRoute: { advice: `give it ${address}, or the network a way there` },
  nameUnknown: { advice: `give it ${address}, or see that this machine can resolve the name` },
  closed: { advice: `see what else listens there or cuts connections, or give it ${address}` },
  tls: {
    advice:
      'let both trust who signed the certificate of the other (`tlsCa`), and the certificate be for the host in that address or for `tlsServerName`',
  },
  token: {
    text: 'it refuses the token of this member',
    advice: 'give this member as `httpToken` one that is among the `httpTokens` of the other',
  },
  noTls: {
    advice: 'give it certificates too (`tlsCert`, `tlsKey`), or take those of this member away',
  },
  leadsBack: {
    text: 'that address leads back to this member itself',
    advice: `give it ${address}: on loopback each of them finds itself`,
  },
  other: {
    advice: `see what listens there: an agent answers otherwise; or give it ${address}`,
  },
}
