/** Asking the owner of this member who may come in, before anything of it is taken in. */
import type { Member, MemberStatus } from '@kith/interface'
import { addressText, isPacked } from '../wire/codec.ts'
import type { AliveMessage, PushPullRow, Rows, SwimState } from '../wire/message.ts'
import { count } from './state.ts'
import type { Entry, State } from './state.ts'
import { shownTags } from './tags.ts'

const statuses: Readonly<Record<SwimState, MemberStatus>> = {
  alive: 'alive',
  suspect: 'alive',
  dead: 'failed',
  left: 'left',
}

/** Why the rows of an exchange may not be merged; undefined where they may. */
export function rowsVetoed(state: State, rows: Rows): string | undefined {
  if (state.policy.veto === undefined) return undefined
  const others: Member[] = []
  for (const row of rows) if (row.name !== state.name) others.push(memberOf(row))
  return vetoed(state, others)
}

/** Whether news of one member is refused: it is unknown so far, or has other tags now. */
export function aliveVetoed(state: State, message: AliveMessage, known?: Entry): boolean {
  if (state.policy.veto === undefined || message.node === state.name) return false
  if (known !== undefined && isPacked(known.metaPacked, message.meta)) return false
  const row = { ...message, name: message.node, state: 'alive' } as const
  if (vetoed(state, [memberOf(row)]) === undefined) return false
  count(state, 'alivesVetoed')
  return true
}

/** A veto that throws is a veto: what could not be judged does not come in. */
function vetoed(state: State, members: readonly Member[]): string | undefined {
  try {
    return state.policy.veto?.(members)
  } catch (cause) {
    count(state, 'vetoesThrown')
    return `mergeVeto threw: ${String(cause).slice(0, 200)}`
  }
}

function memberOf(row: PushPullRow): Member {
  const { name, address, port, meta, incarnation } = row
  const [min = 0, max = 0, version = 0] = row.versions?.slice(3) ?? []
  return Object.freeze({
    name,
    address: { host: addressText(address) ?? '', port },
    tags: shownTags(meta),
    status: statuses[row.state],
    incarnation,
    protocol: Object.freeze({ min, max, version }),
  })
}
