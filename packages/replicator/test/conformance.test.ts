/** The clauses of a source, for direct calls and over HTTP. */
import { systemClock } from '@kith/interface/node'
import { createLog } from '@kith/log'
import { replicationSourceCases, runConformance } from '@kith/testkit'
import type { ReplicationSourceSubject } from '@kith/testkit'
import { describe, it } from 'vitest'
import { httpSource } from '../src/http/index.ts'
import { createReplicator } from '../src/index.ts'
import { serve } from './support.ts'

async function openDirect(): Promise<ReplicationSourceSubject & AsyncDisposable> {
  const log = createLog({ member: 'source' })
  await log.start()
  const replicator = createReplicator({ log, member: 'source', source: () => undefined })
  await replicator.start()
  return {
    source: replicator.local,
    clock: systemClock,
    origin: log.origin,
    async append(count) {
      for (let at = 0; at < count; at += 1) await log.append({ value: new Uint8Array(100) })
    },
    stopServing: () => replicator.stop(),
    async [Symbol.asyncDispose]() {
      await replicator.stop()
      await log.stop()
    },
  }
}

async function openHttp(): Promise<ReplicationSourceSubject & AsyncDisposable> {
  const direct = await openDirect()
  const server = await serve(direct.source)
  const source = httpSource({ url: server.url })
  return {
    ...direct,
    source,
    async stopServing() {
      await direct.stopServing()
      await server.stop()
    },
    async [Symbol.asyncDispose]() {
      await source.close()
      await server.stop()
      await direct[Symbol.asyncDispose]()
    },
  }
}

runConformance('direct', replicationSourceCases, { describe, it }, openDirect)
runConformance('http', replicationSourceCases, { describe, it }, openHttp)
