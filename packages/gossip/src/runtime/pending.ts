/** Commands that wait for the core to say how they went. */
import type { Output } from '../core/index.ts'
import { GossipError } from '../errors.ts'

export type Done = Output & { readonly kind: 'done' }

export interface Pending {
  /** Ids of commands; unique within one life. */
  takeId(): number
  /**
   * Begins a command and resolves when it is done; rejects with what the core refused it for, or
   * with what all are closed with.
   */
  run(begin: (id: number) => void, id?: number): Promise<Done>
  settle(done: Done): void
  /** Rejects all that wait. */
  close(error: GossipError): void
}

interface Waiting {
  resolve(done: Done): void
  reject(error: GossipError): void
}

export function createPending(): Pending {
  const waiting = new Map<number, Waiting>()
  let nextId = 1
  const takeId = (): number => {
    const id = nextId
    nextId += 1
    return id
  }
  return {
    takeId,
    run(begin, id = takeId()) {
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject })
        begin(id)
      })
    },
    settle(done) {
      const command = waiting.get(done.id)
      waiting.delete(done.id)
      const { refused } = done
      if (refused === undefined) command?.resolve(done)
      else command?.reject(new GossipError(refused.code, refused.message))
    },
    close(error) {
      for (const command of waiting.values()) command.reject(error)
      waiting.clear()
    },
  }
}
