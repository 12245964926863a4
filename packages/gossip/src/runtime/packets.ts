/** Packets on their way in and out: what is counted of them, and the envelope around them. */
import { releaseBytes } from '@kith/interface'
import type { Address } from '@kith/interface'
import { openPacket, sealPacket } from '../wire/codec.ts'
import type { Envelope } from '../wire/codec.ts'
import type { CountOf } from './counters.ts'

export interface Packets {
  /** What is inside of a datagram, for the core; undefined where it was dropped. */
  received(from: Address, bytes: Uint8Array): Uint8Array | undefined
  /** The datagram to send. */
  sealed(bytes: Uint8Array): Uint8Array
}

export interface PacketsOptions {
  readonly envelope: Envelope
  /** Whether a member has that address. */
  readonly isMember: (address: Address) => boolean
  readonly count: CountOf
  /** A packet could not be used, and why; its bytes are only lent. */
  readonly refused: (from: Address, problem: string, head: Uint8Array) => void
}

export function createPackets({ envelope, isMember, count, refused }: PacketsOptions): Packets {
  return {
    received(from, bytes) {
      count('packetsIn')
      count('bytesIn', bytes.length)
      if (!isMember(from)) count('packetsFromStrangers')
      const opened = openPacket(envelope, bytes)
      if (opened.problem !== undefined) {
        count(opened.problem)
        refused(from, opened.problem, bytes)
      }
      if (opened.bytes !== bytes) releaseBytes(bytes)
      return opened.bytes
    },
    sealed(bytes) {
      const whole = sealPacket(envelope, bytes)
      count('packetsOut')
      count('bytesOut', whole.length)
      return whole
    },
  }
}
