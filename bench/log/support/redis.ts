/**
 * A Redis stream, flushed before each answer. Over a socket of the file system, with a caller that
 * does the least there is to do: the whole commit goes out in one write, and all answers are waited
 * for. Once as a pipeline, which is what callers offer; Redis then flushes as often as it finds
 * something to read, several times within 100 KiB. And once as a transaction (MULTI), which it
 * flushes once.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Contender } from './contender.ts'
import { pageRecords } from './contender.ts'
import { programVersion, startProgram } from './program.ts'
import { RedisCaller, encodeCommand } from './resp.ts'
import type { Reply } from './resp.ts'

const stream = 'log'
const field = 'v'

export async function openRedis(directory: string, transaction: boolean): Promise<Contender> {
  const version = programVersion('redis-server', 'redis-server')
  const path = join(directory, 'redis.sock')
  // Nothing but the append-only file, and no copy of it made anew while it is measured.
  const settings = { port: '0', unixsocket: path, dir: directory, save: '', daemonize: 'no' }
  const durable = { appendonly: 'yes', appendfsync: 'always', 'auto-aof-rewrite-percentage': '0' }
  const args = Object.entries({ ...settings, ...durable }).flatMap(([key, value]) => [
    `--${key}`,
    value,
  ])
  const server = await startProgram('redis-server', args, /ready to accept connections/)
  const socket = connect(path)
  await once(socket, 'connect')
  const caller = new RedisCaller(socket)
  const multi = encodeCommand('MULTI')
  const exec = encodeCommand('EXEC')
  let last = '-'
  return {
    name: transaction ? 'redis transaction' : 'redis pipeline',
    version,
    directory,
    pid: server.pid,
    guarantee: {
      acknowledged: 'on the disk',
      checksum: 'none',
      flushes: transaction
        ? 'Redis (appendfsync always), one a transaction'
        : 'Redis (appendfsync always), one for what it read at once',
    },
    async append(values) {
      const adds = values.map((value) => encodeCommand('XADD', stream, '*', field, value))
      if (transaction) await caller.send(Buffer.concat([multi, ...adds, exec]), adds.length + 2)
      else await caller.send(Buffer.concat(adds), adds.length)
    },
    async read() {
      const count = String(pageRecords)
      const [entries] = await caller.send(
        encodeCommand('XRANGE', stream, last === '-' ? '-' : `(${last}`, '+', 'COUNT', count),
        1,
      )
      const found = entries as readonly (readonly [Buffer, readonly [Reply, Buffer]])[]
      const end = found.at(-1)?.[0].toString() ?? '-'
      last = found.length < pageRecords ? '-' : end
      return {
        records: found.length,
        bytes: found.reduce((sum, [, [, value]]) => sum + value.length, 0),
      }
    },
    async stop() {
      socket.destroy()
      await server.stop()
    },
  }
}
