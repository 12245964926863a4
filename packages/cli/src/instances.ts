/** Instances and their checks as a person reads them. */
import type { CheckState, CheckStatus, ServiceInstance } from '@kith/interface'
import { type Paint, printable, table } from './io.ts'

/** What an agent says of one service. */
export interface ServiceAnswer {
  readonly service: string
  /** Of every status. */
  readonly instances: readonly ServiceInstance[]
}

const colours = { passing: 'green', warning: 'yellow', critical: 'red' } as const

/** Text of others is never a colour's name: what is no status stays as it is. */
export function paintStatus(paint: Paint, status: CheckStatus, text: string): string {
  const colour = colours[status] as (typeof colours)[CheckStatus] | undefined
  return colour === undefined ? text : paint(colour, text)
}

/** `host:port`, an IPv6 address in brackets. */
export function addressOf({ address, port }: ServiceInstance): string {
  return address.includes(':') ? `[${printable(address)}]:${port}` : `${printable(address)}:${port}`
}

/** A line each: address, member, id, status. */
export function instanceTable(instances: readonly ServiceInstance[], paint: Paint): string {
  const rows = instances.map((instance) => {
    const { member, id, status } = instance
    return [addressOf(instance), printable(member), printable(id), printable(status)]
  })
  return paintLines(rows, instances, paint)
}

/** A service's name and its instances; with each check under its instance where that is wanted. */
export function serviceText(
  { service, instances }: ServiceAnswer,
  paint: Paint,
  withChecks: boolean,
): string {
  const lines: { status: CheckStatus; cells: readonly string[] }[] = []
  for (const instance of instances) {
    const { id, member, status, checks } = instance
    const cells = [printable(id), printable(member), addressOf(instance), printable(status)]
    const why = withChecks ? '' : reasonOf(checks)
    lines.push({ status, cells: [`  ${cells[0]}`, ...cells.slice(1), why] })
    for (const check of withChecks ? checks : []) {
      const name = check.id.slice(id.length + 1)
      const told = [`    ${printable(name)}`, printable(check.kind), '', printable(check.status)]
      lines.push({ status: check.status, cells: [...told, oneLine(check.output)] })
    }
  }
  const head = paint('bold', printable(service))
  const none = instances.length === 0 ? '  no instances\n' : ''
  return `${head}\n${none}${paintLines(
    lines.map(({ cells }) => cells),
    lines,
    paint,
  )}`
}

/** Why it is not passing: the worst check with its last word. */
export function reasonOf(checks: readonly CheckState[]): string {
  const worst =
    checks.find(({ status }) => status === 'critical') ??
    checks.find(({ status }) => status === 'warning')
  return worst === undefined ? '' : `${printable(worst.kind)}: ${oneLine(worst.output)}`
}

const outputCharactersMax = 200

function oneLine(output: string): string {
  const text = output.trim().replaceAll(/\s+/g, ' ')
  const cut = text.length > outputCharactersMax ? `${text.slice(0, outputCharactersMax)}...` : text
  return printable(cut)
}

function paintLines(
  rows: readonly (readonly string[])[],
  states: readonly { readonly status: CheckStatus }[],
  paint: Paint,
): string {
  return table(rows)
    .split('\n')
    .map((line, at) => {
      const status = states[at]?.status
      return status === undefined ? line : paintStatus(paint, status, line)
    })
    .join('\n')
}
