/** What the runtime counts, by name. COUNTERS.md says of each what it means; a test compares. */
import type { DecodeProblemKind, KeyCommand } from '../core/index.ts'
import type { GossipWarning } from './types.ts'

/** Something was dropped, left out or refused. */
export type RuntimeDrop =
  | DecodeProblemKind
  | `stream.${DecodeProblemKind}`
  | 'answerBytesFull'
  | 'discoveredTooMany'
  | 'discoveredUnusable'
  | 'eventsDropped'
  | 'keyAnswersFailed'
  | 'keysRefused'
  | 'queryResponsesDropped'
  | 'snapshotLinesDropped'
  | 'snapshotLinesUnreadable'
  | 'streamBytesFull'
  | 'streamsBroken'
  | 'streamsRefused'
  | 'streamsSilent'

/** Something happened. */
export type RuntimeOccurrence =
  | 'packetsIn'
  | `keys.${KeyCommand}`
  | `warning.${GossipWarning['kind']}`
  | 'bytesIn'
  | 'bytesOut'
  | 'discoveryFailures'
  | 'fetches'
  | 'fetchesAnswered'
  | 'looks'
  | 'looksAnswered'
  | 'looksBroken'
  | 'packetsFromStrangers'
  | 'packetsOut'
  | 'rejoins'
  | 'snapshotRewrites'
  | 'snapshotWritesFailed'
  | 'streamsIn'
  | 'streamsOut'
  | 'streamsOutFailed'

export type RuntimeCounter = RuntimeDrop | RuntimeOccurrence

export type CountOf = (kind: RuntimeCounter, by?: number) => void
