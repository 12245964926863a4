/** What is wrong, in words: the core's findings, who is not understood here, and being alone. */
import { formatAddress, sameAddress } from '@kith/interface'
import type { Address, Clock, Member } from '@kith/interface'
import { findingLastsMs, findings, takeNote } from '../core/index.ts'
import type { CoreFinding, FindingDetail, Notes, State } from '../core/index.ts'
import { messageType } from '../wire/memberlist.ts'
import type { Finding, FindingBase, Found, StrangerDetail } from './diagnosis-types.ts'
import { keyFix } from './refusal.ts'
import type { GossipWarning } from './types.ts'

/** What arrived and could not be used. */
export interface Refused {
  /** Over a stream, whose port says nothing of who opened it. */
  readonly streamed?: boolean
  /** The bytes it began with. */
  readonly head?: Uint8Array
}

export interface Diagnosis {
  /** A packet, or with `streamed` a stream, could not be used for this reason. */
  refused(from: Address, problem: string, what?: Refused): void
  /** Listeners are told this. */
  warned(warning: GossipWarning): void
  /** All that is wrong now, in order of kind and then of when it began. */
  findings(state: State): readonly Finding[]
}

export interface DiagnosisOptions {
  readonly clock: Clock
  /** Own label; empty for none. */
  readonly label: Uint8Array
  readonly members: () => readonly Member[]
}

/** As the core tells it, in its time. */
interface Seen extends Omit<CoreFinding, 'member' | 'what'> {
  readonly member: string | undefined
  readonly what: Found
}

type Alone = GossipWarning & { readonly kind: 'seedsUnreachable' }

/** What cannot be read because both ends are set up differently. */
const strangerKinds: Readonly<Record<string, StrangerDetail['kind']>> = {
  keyUnknown: 'keyUnknown',
  keyTrialsExceeded: 'keyUnknown',
  encryptionMissing: 'keyMissing',
  plaintextRefused: 'plaintextRefused',
  labelForeign: 'labelDiffers',
  labelMissing: 'labelDiffers',
}

/** Before the core runs, and so its timings are not to be had. */
const strangersLastMs = 120_000
/** Whoever is alone looks for others at least three times in this. */
const aloneLastsMs = 120_000
/** Reasons that are told of being alone. */
const failuresMax = 8

export function createDiagnosis({ clock, label, members }: DiagnosisOptions): Diagnosis {
  const strangers: Notes<StrangerDetail> = new Map()
  const alone: Notes<Alone> = new Map()
  const own = labelText(label)
  const strangersSeen = function* (state: State, now: number): Generator<Seen> {
    for (const { detail: what, ...seen } of strangers.values()) {
      if (now - seen.lastAt > findingLastsMs(state.timings)) continue
      yield { member: nameAt(members(), what.address), what, ...seen }
    }
  }
  const aloneSeen = function* (state: State, now: number): Generator<Seen> {
    for (const { detail, ...seen } of alone.values()) {
      if (now - seen.lastAt > aloneLastsMs || !isAlone(members(), state.name)) continue
      const failures = detail.failures.slice(0, failuresMax)
      yield { member: state.name, what: { kind: 'alone', failures }, ...seen }
    }
  }
  return {
    refused(from, problem, { streamed = false, head } = {}) {
      const kind = Object.hasOwn(strangerKinds, problem) ? strangerKinds[problem] : undefined
      if (kind === undefined) return
      // Streams come from ports of their own, which say nothing.
      const address = streamed ? { host: from.host, port: 0 } : { ...from }
      const what =
        kind === 'labelDiffers'
          ? { kind, address, label: own, ...labelBefore(head) }
          : { kind, address }
      const about = `${kind} ${formatAddress(address)}`
      takeNote(strangers, about, what, clock.now(), strangersLastMs)
    },
    warned(warning) {
      if (warning.kind !== 'seedsUnreachable') return
      takeNote(alone, warning.kind, warning, clock.now(), aloneLastsMs)
    },
    findings(state) {
      const now = clock.now()
      const wallNow = clock.wallNow()
      const wall = (since: number, lastAt: number): Pick<FindingBase, 'since' | 'lastAt'> => ({
        since: Math.round(wallNow - (now - since)),
        lastAt: Math.round(wallNow - (now - lastAt)),
      })
      const known = members()
      const own = findings(state).filter(
        ({ member, what }) => concernsOthers(state, what) && isStillHeld(known, member, what),
      )
      const seen: Seen[] = [...own, ...strangersSeen(state, now)]
      const code = alone.get('seedsUnreachable')?.detail.code
      const told = [...seen, ...aloneSeen(state, now)].map((one): Finding => {
        const { member, what, since, lastAt, times } = one
        const about = member === undefined ? {} : { member }
        const words =
          what.kind === 'alone' ? aloneWords(what, code) : inWords(what, member, state.name)
        return Object.freeze({ ...what, ...about, ...wall(since, lastAt), times, ...words })
      })
      return told.sort((a, b) => (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : 0))
    },
  }
}

/**
 * Whether it is anything to others: a stall that no probe would notice is given back, and is
 * counted, and every busy machine has some.
 */
function concernsOthers(state: State, what: FindingDetail): boolean {
  return what.kind !== 'loopLate' || what.longestMs > state.timings.probeTimeoutMs
}

/** A name that has moved since, or that nobody has any more, is claimed by nobody else. */
function isStillHeld(members: readonly Member[], name: string, what: FindingDetail): boolean {
  if (what.kind !== 'nameTwice') return true
  const holder = members.find((member) => member.name === name)
  return holder !== undefined && sameAddress(holder.address, what.address)
}

/** In the cluster, and nobody else is. */
function isAlone(members: readonly Member[], own: string): boolean {
  const alive = members.filter(({ status }) => status === 'alive')
  return alive.length === 1 && alive[0]?.name === own
}

/** The label that the far end wrote first; nothing where what came does not show all of it. */
function labelBefore(head: Uint8Array | undefined): { readonly theirs?: string } {
  if (head === undefined || head.length === 0) return {}
  if (head[0] !== messageType.label) return { theirs: '' }
  const end = 2 + (head[1] ?? 0)
  return end > 2 && head.length >= end ? { theirs: labelText(head.subarray(2, end)) } : {}
}

function labelText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

/** The one member at that address; at a host without a port, where it is the only one there. */
function nameAt(members: readonly Member[], { host, port }: Address): string | undefined {
  const there = members.filter(
    ({ address }) => address.host === host && (port === 0 || address.port === port),
  )
  return there.length === 1 ? there[0]?.name : undefined
}

type Words = Pick<FindingBase, 'text' | 'advice'>

function inWords(
  what: Exclude<Found, { readonly kind: 'alone' }>,
  member: string | undefined,
  own: string,
): Words {
  const self = member === own
  const who = self ? 'this member' : member === undefined ? 'somebody' : quoted(member)
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
    case 'keyMissing':
    case 'plaintextRefused':
    case 'labelDiffers':
      return strangerWords(what, unknownAt(who, what.address))
  }
}

function strangerWords(what: StrangerDetail, who: string): Words {
  switch (what.kind) {
    case 'keyUnknown':
      return {
        text: `${who} sends what no key of this member opens`,
        advice:
          'give both the same key; while keys change, install the new one everywhere before anybody uses it',
      }
    case 'keyMissing':
      return {
        text: `${who} sends what is encrypted, and this member has no key`,
        advice:
          'give this member the key of the cluster (`keyring`, `--encrypt`), or keep them out',
      }
    case 'plaintextRefused':
      return {
        text: `${who} sends what is not encrypted, and this member has a key`,
        advice:
          'give it the key of the cluster (`keyring`, `--encrypt`); while a cluster gets its key, let all members take plaintext (`verifyIncoming` off)',
      }
    case 'labelDiffers': {
      const { label, theirs } = what
      const shown =
        theirs === undefined
          ? 'another label'
          : theirs === ''
            ? 'no label'
            : `the label ${quoted(theirs)}`
      const own = label === '' ? 'this member has none' : `that of this member is ${quoted(label)}`
      return {
        text: `${who} sends with ${shown}, and ${own}: it is not heard`,
        advice:
          'where both belong to one cluster, give them the same `label` (`--label`); where not, take the address of this member out of what it joins',
      }
    }
  }
}

function aloneWords({ failures }: { readonly failures: readonly string[] }, code: unknown): Words {
  return {
    text: `this member is alone: it reaches nobody of those it was told to join; ${failures.join('; ')}`,
    advice:
      keyFix(code) ??
      'see that one of them runs and that TCP and UDP reach it, that it has the same `label` (`--label`), or name others with `join` (`--join`)',
  }
}

/** Text of others: nothing in it moves a cursor. */
function quoted(text: string): string {
  return JSON.stringify(text)
}

/** Of a stream only the host is known. */
function unknownAt(who: string, address: Address): string {
  return address.port === 0 ? `somebody at ${address.host}` : `${who} at ${formatAddress(address)}`
}
