/** Queries of the cluster that some caller may still answer, by the handles the cores know. */
import type { Clock } from '@kith/interface'
import type { SerfHostEvent } from '../words.ts'

type QueryEvent = Extract<SerfHostEvent, { readonly kind: 'query' }>

interface Entry {
  readonly event: QueryEvent
  readonly expiresAt: number
}

const queriesMax = 1_024

export interface OpenQueries {
  add(event: QueryEvent): number
  /** Rejects with the host's words. */
  respond(handle: number, payload: Uint8Array): Promise<void>
}

export function createOpenQueries(clock: Clock): OpenQueries {
  const entries = new Map<number, Entry>()
  let next = 1
  return {
    add(event) {
      const now = clock.now()
      for (const [handle, { expiresAt }] of entries) {
        if (expiresAt > now && entries.size < queriesMax) break
        entries.delete(handle)
      }
      const handle = next
      next += 1
      entries.set(handle, { event, expiresAt: now + event.timeoutMs })
      return handle
    },
    async respond(handle, payload) {
      const entry = entries.get(handle)
      if (entry === undefined) throw new Error('No pending queries matching ID')
      await entry.event.respond(payload)
    },
  }
}
