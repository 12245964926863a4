/** Tokens of the HTTP interface: those that are taken, and the one that is shown to the others. */
import type { OptionProblem } from '@kith/interface'
import { type AccessRole, type AccessToken, isToken, tokenForm, tokenProblems } from '@kith/server'

export interface ResolvedTokens {
  readonly httpTokens: readonly AccessToken[]
  readonly httpToken: string | undefined
}

/** From the least to the most. */
const byRole: readonly AccessRole[] = ['read', 'write', 'operator']

/**
 * Members of one cluster share their configuration most of the time: without a token to show, one
 * of the smallest role is shown. Whoever is a member gets to see it.
 */
export function readTokens(
  { httpTokens = [], httpToken }: Partial<ResolvedTokens>,
  problems: OptionProblem[],
): ResolvedTokens {
  const wrong = tokenProblems(httpTokens, 'httpTokens')
  problems.push(...wrong)
  if (httpToken !== undefined && !isToken(httpToken)) {
    // Never the token itself: messages end in logs.
    problems.push({ field: 'httpToken', got: typeof httpToken, want: tokenForm })
  }
  if (wrong.length > 0) return { httpTokens: [], httpToken: undefined }
  const roles = byRole.map((role) => httpTokens.find((token) => token.role === role))
  const least = roles.find((found) => found !== undefined)
  return { httpTokens, httpToken: httpToken ?? least?.token }
}
