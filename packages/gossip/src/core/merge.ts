/** Taking in the rows of a push/pull, after checking that everyone in it could live together. */
import type { PushPullRow, Rows, SwimState, Versions } from '../wire/message.ts'
import { handleAlive } from './alive.ts'
import { handleDead } from './dead.ts'
import { count } from './state.ts'
import type { State } from './state.ts'
import { handleSuspect } from './suspect.ts'
import { rowsVetoed } from './veto.ts'

/** Undefined where the rows were merged; else why none of them was. */
export function mergeRows(state: State, rows: Rows): string | undefined {
  if (rows.length > state.timings.membersMax) return `${rows.length} rows are too many`
  const reason = versionProblem(state, rows) ?? rowsVetoed(state, rows)
  if (reason !== undefined) return reason
  for (const row of rows) mergeRow(state, row)
  return undefined
}

function mergeRow(state: State, row: PushPullRow): void {
  const { name: node, incarnation, versions } = row
  // The version check refused such rows already; this is for the compiler.
  if (versions === undefined) return count(state, 'versionsUnfit')
  if (row.state === 'alive') {
    const { address, port, meta } = row
    return handleAlive(state, { kind: 'alive', incarnation, node, address, port, meta, versions })
  }
  if (row.state === 'left') {
    return handleDead(state, { kind: 'dead', incarnation, node, from: node })
  }
  // A dead row is only a suspicion to us: its subject gets a chance to refute.
  const suspect = { kind: 'suspect', incarnation, node, from: state.name } as const
  handleSuspect(state, suspect, { via: 'exchange' })
}

interface Versioned {
  readonly name: string
  readonly state: SwimState
  readonly versions: Versions | undefined
}

/** Everyone's present version must lie in the range that all living members understand. */
function versionProblem(state: State, rows: Iterable<Versioned>): string | undefined {
  let [protocolLow, protocolHigh, delegateLow, delegateHigh] = [0, 255, 0, 255]
  for (const list of [rows, state.ring]) {
    for (const { state: swimState, versions } of list) {
      if (swimState !== 'alive' || versions === undefined) continue
      protocolLow = Math.max(protocolLow, versions[0])
      protocolHigh = Math.min(protocolHigh, versions[1])
      delegateLow = Math.max(delegateLow, versions[3])
      delegateHigh = Math.min(delegateHigh, versions[4])
    }
  }
  for (const list of [rows, state.ring]) {
    for (const { name, versions } of list) {
      const protocol = versions?.[2] ?? 0
      const delegate = versions?.[5] ?? 0
      if (protocol < protocolLow || protocol > protocolHigh) {
        return `${name} speaks protocol ${protocol}, not ${protocolLow} to ${protocolHigh}`
      }
      if (delegate < delegateLow || delegate > delegateHigh) {
        return `${name} speaks delegate protocol ${delegate}, not ${delegateLow} to ${delegateHigh}`
      }
    }
  }
  return undefined
}
