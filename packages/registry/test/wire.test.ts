/** Bytes: what is written reads back the same, and what is hostile is only counted. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createReader, createWriter, cutText, utf8Length } from '../src/wire/bytes.ts'
import {
  decodeBroadcast,
  decodeDigests,
  decodeReply,
  decodeRequest,
  encodeMessage,
  type Message,
} from '../src/wire/message.ts'
import { digestLists, headers, snapshotLists, statements } from './support/arbitraries.ts'
import { coreOf, started } from './support/core.ts'
import { step } from '../src/core/index.ts'

const decoders = [decodeBroadcast, decodeDigests, decodeRequest, decodeReply]

describe('messages', () => {
  it('REG-14: broadcasts read back as they were written', () => {
    fc.assert(
      fc.property(statements(), (message) => {
        expect(decodeBroadcast(encodeMessage(message))).toEqual({ ok: true, message })
      }),
    )
  })

  it('REG-14: digests, requests and replies read back as they were written', () => {
    fc.assert(
      fc.property(digestLists(), headers(), snapshotLists(), (digests, wants, snapshots) => {
        const said: Message = { kind: 'digests', digests }
        const asked: Message = { kind: 'request', wants }
        const answered: Message = { kind: 'reply', snapshots }
        expect(decodeDigests(encodeMessage(said))).toEqual({ ok: true, message: said })
        expect(decodeRequest(encodeMessage(asked))).toEqual({ ok: true, message: asked })
        expect(decodeReply(encodeMessage(answered))).toEqual({ ok: true, message: answered })
      }),
    )
  })

  it('REG-14: no bytes make a decoder throw, cut or changed messages included', () => {
    const spoiled = fc
      .tuple(statements(), fc.nat(), fc.nat(255), fc.nat())
      .map(([message, at, value, cut]) => {
        const bytes = encodeMessage(message)
        bytes[at % bytes.length] = value
        return cut % 2 === 0 ? bytes : bytes.subarray(0, cut % bytes.length)
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), spoiled), (bytes) => {
        for (const decode of decoders) {
          const decoded = decode(bytes)
          const outcome = decoded.ok ? 'message' : decoded.failure
          expect(['message', 'malformed', 'unsupported']).toContain(outcome)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('REG-14: a count that promises more than the bytes hold is malformed, and quickly', () => {
    for (const kind of [5, 6, 7]) {
      const writer = createWriter()
      writer.byte(1)
      writer.byte(kind)
      writer.varint(128)
      for (const decode of decoders.slice(1)) {
        expect(decode(writer.finish())).toEqual({ ok: false, failure: 'malformed' })
      }
    }
  })

  it('REG-14: bytes after the end, other versions and duplicate ids are refused', () => {
    const message: Message = { kind: 'summary', member: 'a', epoch: 1, version: 1, hash: 1 }
    const bytes = encodeMessage(message)
    expect(decodeBroadcast(new Uint8Array([...bytes, 0]))).toEqual({
      ok: false,
      failure: 'malformed',
    })
    expect(decodeBroadcast(new Uint8Array([2, ...bytes.subarray(1)]))).toEqual({
      ok: false,
      failure: 'unsupported',
    })
    const twice: Message = {
      kind: 'delta',
      member: 'a',
      epoch: 1,
      version: 1,
      part: 0,
      parts: 1,
      draining: false,
      entries: [
        { kind: 'remove', id: 'x' },
        { kind: 'remove', id: 'x' },
      ],
    }
    expect(decodeBroadcast(encodeMessage(twice))).toEqual({ ok: false, failure: 'malformed' })
  })

  it('REG-14: a core counts hostile bytes at every door and goes on', () => {
    const state = started(coreOf('a'))
    const doors = ['broadcast', 'state', 'fetchRequest'] as const
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(...doors), (bytes, kind) => {
        step(state, { kind, from: 'b', bytes }, 1)
      }),
      { numRuns: 500 },
    )
    const { malformed, unsupported } = state.counters
    expect(malformed + unsupported).toBeGreaterThan(400)
    expect(state.replicas.size).toBeLessThan(10)
  })
})

describe('fields', () => {
  it('REG-14: a number has one spelling and a largest value', () => {
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (value) => {
        const writer = createWriter()
        writer.varint(value)
        const reader = createReader(writer.finish())
        expect(reader.varint(Number.MAX_SAFE_INTEGER)).toBe(value)
        expect(reader.failed || reader.left > 0).toBe(false)
        if (value === 0) return
        const small = createReader(writer.finish())
        small.varint(value - 1)
        expect(small.failed).toBe(true)
      }),
    )
    const long = createReader(new Uint8Array([0x81, 0x00]))
    long.varint(1_000)
    expect(long.failed).toBe(true)
  })

  it('REG-14: text that is not UTF-8 fails', () => {
    for (const bytes of [
      [1, 0xff],
      [2, 0xc0, 0x80],
      [3, 0xed, 0xa0, 0x80],
      [5, 65],
    ]) {
      const reader = createReader(new Uint8Array(bytes))
      expect(reader.text(100)).toBe('')
      expect(reader.failed).toBe(true)
    }
  })

  it('REG-11: cut text is the longest beginning of whole characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.nat(80), (text, max) => {
        const cut = cutText(text, max)
        expect(utf8Length(cut)).toBeLessThanOrEqual(max)
        expect(text.startsWith(cut)).toBe(true)
        const next = [...text.slice(cut.length)][0] ?? 'x'.repeat(max + 1)
        expect(utf8Length(cut + next)).toBeGreaterThan(max)
      }),
    )
  })
})
