/**
 * Who may ask for what: bearer tokens (RFC 6750), each with a role. Without tokens whoever reaches
 * the port may do everything, which is for loopback and for networks that one trusts.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { type OptionProblem, showValue } from '@kith/interface'
import { ServerError } from './errors.ts'

/**
 * `read`: status, members, services, figures, records, and the copying of them by other members.
 * `write`: also appending records, and registering, maintaining and reporting on services.
 * `operator`: also what takes the whole member out of service, or keeps it busy.
 */
export type AccessRole = 'read' | 'write' | 'operator'

export interface AccessToken {
  /** 16 to 512 of `A-Z a-z 0-9 . _ ~ + / -`, then any number of `=`. */
  readonly token: string
  readonly role: AccessRole
  /** Who shows it, as lines of the audit say; 1 to 64 of `A-Z a-z 0-9 . _ -`. Default: its role. */
  readonly name?: string
}

export type Access = AccessRole | 'anybody'

/** What the plugin said that has the route. */
export type RouteAccess = Access | 'plugin'

export const accessRoles: readonly AccessRole[] = ['read', 'write', 'operator']
export const accessTokensMax = 64

/** What each route takes. One that is not here is not served: somebody must have thought of it. */
const routeAccess: Readonly<Record<string, RouteAccess>> = {
  'GET /livez': 'anybody',
  'GET /readyz': 'anybody',
  'GET /metrics': 'read',
  'GET /v1/status': 'read',
  'GET /v1/diagnosis': 'read',
  'GET /v1/members': 'read',
  'GET /v1/log/status': 'read',
  'GET /v1/log/records': 'read',
  'POST /v1/log/records': 'write',
  'POST /v1/log/verify': 'operator',
  'POST /v1/log/origins/:origin/retire': 'operator',
  'GET /v1/services': 'read',
  'GET /v1/services/:name': 'read',
  'PUT /v1/services/:id': 'write',
  'DELETE /v1/services/:id': 'write',
  'PUT /v1/services/:id/maintenance': 'write',
  'DELETE /v1/services/:id/maintenance': 'write',
  'PUT /v1/checks/:id/:status': 'write',
  'PUT /v1/maintenance': 'operator',
  'DELETE /v1/maintenance': 'operator',
  'POST /v1/replication/hello': 'read',
  'POST /v1/replication/pull': 'read',
  'POST /v1/replication/chain': 'read',
  'POST /v1/replication/fetch': 'read',
  'GET /v1/plugins/:plugin/*': 'plugin',
  'POST /v1/plugins/:plugin/*': 'plugin',
  'PUT /v1/plugins/:plugin/*': 'plugin',
  'DELETE /v1/plugins/:plugin/*': 'plugin',
}

export function accessOf(method: string, path: string): RouteAccess | undefined {
  const route = `${method} ${path}`
  return Object.hasOwn(routeAccess, route) ? routeAccess[route] : undefined
}

/** Everything that is wrong with a list of tokens. Tokens themselves are in no message. */
export function tokenProblems(given: unknown, field: string): readonly OptionProblem[] {
  if (!Array.isArray(given) || given.length > accessTokensMax) {
    const got = Array.isArray(given) ? `a list of ${given.length}` : typeof given
    return [{ field, got, want: `a list of at most ${accessTokensMax} tokens` }]
  }
  const problems: OptionProblem[] = []
  const seen = new Set<string>()
  for (const [at, one] of (given as unknown[]).entries()) {
    const place = `${field}[${at}]`
    if (typeof one !== 'object' || one === null) {
      problems.push({ field: place, got: typeof one, want: '{ token, role, name? }' })
      continue
    }
    const { token, role, name, ...rest } = one as Record<string, unknown>
    if (!isToken(token)) {
      problems.push({ field: `${place}.token`, got: lengthOf(token), want: tokenForm })
    } else if (seen.has(token)) {
      problems.push({ field: `${place}.token`, got: 'one that is listed before', want: 'another' })
    } else seen.add(token)
    if (!accessRoles.includes(role as AccessRole)) {
      const want = '"read", "write" or "operator"'
      problems.push({ field: `${place}.role`, got: showValue(role), want })
    }
    if (name !== undefined && (typeof name !== 'string' || !/^[A-Za-z0-9._-]{1,64}$/.test(name))) {
      const want = '1 to 64 of A-Z a-z 0-9 . _ -'
      problems.push({ field: `${place}.name`, got: showValue(name), want })
    }
    for (const [more, value] of Object.entries(rest)) {
      problems.push({ field: `${place}.${more}`, got: showValue(value), want: 'absent' })
    }
  }
  return problems
}

export const tokenForm = '16 to 512 of A-Z a-z 0-9 . _ ~ + / - and then any number of ='

export function isToken(value: unknown): value is string {
  if (typeof value !== 'string' || value.length < 16 || value.length > 512) return false
  return /^[A-Za-z0-9._~+/-]+=*$/.test(value)
}

function lengthOf(value: unknown): string {
  return typeof value === 'string' ? `${value.length} characters` : typeof value
}

/** Who asks, as far as a token says; undefined where none of them was shown. */
export interface Caller {
  readonly name: string
  readonly role: AccessRole
}

export class Gate {
  readonly #known: readonly { readonly digest: Buffer; readonly caller: Caller }[]

  constructor(tokens: readonly AccessToken[]) {
    this.#known = tokens.map(({ token, role, name = role }) => {
      return { digest: digestOf(token), caller: { name, role } }
    })
  }

  /** Whether anybody may do anything. */
  get open(): boolean {
    return this.#known.length === 0
  }

  /** Compares with every token, whichever fits, so that the time taken says nothing. */
  callerOf(authorization: string | undefined): Caller | undefined {
    if (this.open) return undefined
    const [, shown = ''] = /^Bearer +(\S{1,512})$/i.exec(authorization ?? '') ?? []
    const digest = digestOf(shown)
    let caller: Caller | undefined
    for (const one of this.#known) {
      if (timingSafeEqual(one.digest, digest)) caller = one.caller
    }
    return caller
  }

  /** Throws where `caller` may not; `access` undefined is a route that is not there. */
  check(caller: Caller | undefined, access: Access = 'read'): void {
    if (this.open || access === 'anybody') return
    if (caller === undefined) {
      const text =
        'this member wants a token: send "authorization: Bearer TOKEN" with one that it was given'
      throw new ServerError('ERR_SERVER_UNAUTHORIZED', text)
    }
    if (accessRoles.indexOf(caller.role) >= accessRoles.indexOf(access)) return
    const text = `this takes a token of the role ${access}; the one of ${caller.name} has ${caller.role}`
    throw new ServerError('ERR_SERVER_FORBIDDEN', text)
  }
}

/** What whoever shows this token may do; undefined where it is none of `tokens`. */
export function roleReader(
  tokens: readonly AccessToken[],
): (token: string | undefined) => AccessRole | undefined {
  const gate = new Gate(tokens)
  return (token = '') => gate.callerOf(`Bearer ${token}`)?.role
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
