/** What is wrong, in words: the core's findings, and who comes with a key that nobody has here. */
import { formatAddress } from '@kith/interface'
import type { Address, Clock, Member } from '@kith/interface'
import { findingLastsMs, findings, takeNote } from '../core/index.ts'
import type { CoreFinding, Notes, State } from '../core/index.ts'
import type { Finding, FindingBase, Found } from './diagnosis-types.ts'

export interface Diagnosis {
  /** A packet, or with `streamed` a stream, could not be used for this reason. */
  refused(from: Address, problem: string, streamed?: boolean): void
  /** All that is wrong now, in order of kind and then of when it began. */
  findings(state: State): readonly Finding[]
}

export interface DiagnosisOptions {
  readonly clock: Clock
  readonly members: () => readonly Member[]
}

/** As the core tells it, in its time. */
interface Seen extends Omit<CoreFinding, 'member' | 'what'> {
  readonly member: string | undefined
  readonly what: Found
}

/** What is wrong with bytes that were sealed with another key. */
const keyProblems: ReadonlySet<string> = new Set(['keyUnknown', 'keyTrialsExceeded'])

/** Before the core runs, and so its timings are not to be had. */
const strangersLastMs = 120_000

export function createDiagnosis({ clock, members }: DiagnosisOptions): Diagnosis {
  const strangers: Notes<Address> = new Map()
  return {
    refused(from, problem, streamed = false) {
      if (!keyProblems.has(problem)) return
      // Streams come from ports of their own, which say nothing.
      const address = streamed ? { host: from.host, port: 0 } : { ...from }
      takeNote(strangers, formatAddress(address), address, clock.now(), strangersLastMs)
    },
    findings(state) {
      const now = clock.now()
      const wallNow = clock.wallNow()
      const wall = (since: number, lastAt: number): Pick<FindingBase, 'since' | 'lastAt'> => ({
        since: Math.round(wallNow - (now - since)),
        lastAt: Math.round(wallNow - (now - lastAt)),
      })
      const seen: Seen[] = [...findings(state)]
      for (const note of strangers.values()) {
        const { detail: address, since, lastAt, times } = note
        if (now - lastAt > findingLastsMs(state.timings)) continue
        const member = nameAt(members(), address)
        seen.push({ member, what: { kind: 'keyUnknown', address }, since, lastAt, times })
      }
      const told = seen.map(({ member, what, since, lastAt, times }): Finding => {
        const about = member === undefined ? {} : { member }
        const words = inWords(what, member, state.name)
        return Object.freeze({ ...what, ...about, ...wall(since, lastAt), times, ...words })
      })
      return told.sort((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0))
    },
  }
}

/** The one member at that address; at a host without a port, where it is the only one there. */
function nameAt(members: readonly Member[], { host, port }: Address): string | undefined {
  const there = members.filter(
    ({ address }) => address.host === host && (port === 0 || address.port === port),
  )
  return there.length === 1 ? there[0]?.name : undefined
}

function inWords(
  what: Found,
  member: string | undefined,
  own: string,
): Pick<FindingBase, 'text' | 'advice'> {
  const self = member === own
  const who = self ? 'this member' : JSON.stringify(member ?? 'somebody')
  switch (what.kind) {
    case 'packetsBlocked':
      return {
        text: `${who} at ${formatAddress(what.address)} answers over TCP, and no UDP packet of it comes back, neither straight nor through others`,
        advice: `let UDP pass to and from port ${what.address.port} in both directions, on both machines and between them`,
      }
    case 'loopbackAdvertised':
      return {
        text: `${who} tells others to find it at ${formatAddress(what.address)}, which is their own machine to each of them; another member is at ${formatAddress(what.elsewhere)}`,
        advice: `give ${self ? 'this member' : 'it'} an address of its network as \`advertise\` (\`--advertise\`), or bind it to one`,
      }
    case 'nameTwice':
      return {
        text: `two members claim the name ${JSON.stringify(member)}: the one at ${formatAddress(what.address)}, which has it, and one at ${formatAddress(what.other)}, which is not heard`,
        advice: `give the member at ${formatAddress(what.other)} another name; or, where it is the same one at a new address, let the old one leave first`,
      }
    case 'metaTooLarge':
      return {
        text: `${who} at ${formatAddress(what.address)} describes itself with ${what.bytes} bytes, and no more than ${what.bytesMax} are heard`,
        advice: `make its tags shorter, or fewer: all together have at most ${what.bytesMax} bytes`,
      }
    case 'loopLate':
      return {
        text: `this process did not run for ${Math.round(what.longestMs)} ms at the longest, and for ${Math.round(what.lastMs)} ms the last time; others may have found it silent`,
        advice:
          'look for what blocks its event loop (long synchronous work, too little processor, a stopped machine), and move it to a worker thread',
      }
    case 'keyUnknown':
      return {
        text: `${unknownAt(who, what.address)} sends what no key of this member opens`,
        advice:
          'give both the same key or label; while keys change, install the new one everywhere before anybody uses it',
      }
  }
}

/** Of a stream only the host is known. */
function unknownAt(who: string, address: Address): string {
  return address.port === 0 ? `somebody at ${address.host}` : `${who} at ${formatAddress(address)}`
}
