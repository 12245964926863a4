/** The order of system calls in a trace of `append-child.ts`, made with `strace -f -y`. */

export interface FlushOrder {
  /** What was acknowledged though no sync covers it. */
  readonly problem: string | undefined
  readonly acks: number
  /** Syncs that failed. */
  readonly failures: number
}

/**
 * Walks the trace in order and counts writes to the write-ahead log, or to the segment. The frames
 * of an append are written after it was sent, so its acknowledgement is right only where a finished
 * sync covers writes later than its sending. A sync covers what was written before it began. After
 * one that failed none counts (LOG-36): what the system lets succeed then may be without its data.
 */
export function firstViolation(lines: readonly string[], file = 'log.db-wal>'): FlushOrder {
  /** How much was written when each append was sent. */
  const sentAt = new Map<string, number>()
  let written = 0
  let durable = 0
  let acks = 0
  let failures = 0
  const begun = new Map<string, number>()
  for (const line of lines) {
    const thread = line.slice(0, line.indexOf(' '))
    const wal = line.includes(file)
    if (wal && /pwrite(64|v)\(/.test(line)) written += 1
    if (/f(data)?sync.*= -1 /.test(line)) failures += 1
    else if (failures > 0) {
      // Nothing is durable any more by what follows.
    } else if (/f(data)?sync\(/.test(line) && wal) {
      if (line.includes('<unfinished')) begun.set(thread, written)
      else durable = written
    } else if (/f(data)?sync resumed/.test(line) && begun.has(thread)) {
      durable = Math.max(durable, begun.get(thread) ?? 0)
      begun.delete(thread)
    }
    const sent = /write\(2<[^>]*>, "sent (\S+) (\d+)/.exec(line)
    if (sent !== null) sentAt.set(`${sent[1]}:${sent[2]}`, written)
    const acked = /write\(1<[^>]*>, "acked (\S+) (\d+)/.exec(line)
    if (acked === null) continue
    acks += 1
    const key = `${acked[1]}:${acked[2]}`
    const before = sentAt.get(key)
    if (before === undefined) return { problem: `${key} was never sent`, acks, failures }
    if (durable <= before) {
      const when = failures > 0 ? 'after a failed sync' : 'before a sync'
      return { problem: `${key} was acknowledged ${when}: ${line}`, acks, failures }
    }
  }
  return { problem: undefined, acks, failures }
}
