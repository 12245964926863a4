/** From what the wire carries to what callers see. */
import { RpcError } from '../errors.ts'
import type { SerfKeyReport, SerfStats } from '../words.ts'
import type { BodyKind, KeyReport, ResponseBody, Stats } from '../wire/message.ts'

export function keyReport(report: KeyReport): SerfKeyReport {
  const { keys = new Map<string, number>(), messages, errors, members, responses } = report
  return {
    keys: Object.fromEntries(keys),
    messages: Object.fromEntries(messages),
    errors,
    members,
    responses,
  }
}

export function wireReport(report: SerfKeyReport, listed: boolean): KeyReport {
  const { keys, messages, errors, members, responses } = report
  return {
    keys: listed ? new Map(Object.entries(keys)) : undefined,
    messages: new Map(Object.entries(messages)),
    errors,
    members,
    responses,
  }
}

export function statsRecord(stats: Stats): SerfStats {
  return Object.fromEntries(
    [...stats].map(([name, section]) => [name, Object.fromEntries(section)]),
  )
}

export function wireStats(stats: SerfStats): Stats {
  return new Map(
    Object.entries(stats).map(([name, section]) => [name, new Map(Object.entries(section))]),
  )
}

/** The body a command has; the core gives no other, and always one. */
export function expectBody<Kind extends BodyKind>(
  body: ResponseBody | undefined,
  kind: Kind,
): Extract<ResponseBody, { kind: Kind }> {
  if (body?.kind === kind) return body as Extract<ResponseBody, { kind: Kind }>
  throw new RpcError('ERR_RPC_PROTOCOL', `an answer without its ${kind}`)
}
