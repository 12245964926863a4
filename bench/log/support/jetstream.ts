/**
 * A JetStream in files, published to by a caller that does the least there is to do: the whole
 * commit goes out in one write, and the acknowledgements of all are waited for.
 *
 * Left alone it acknowledges what it handed to the system, and flushes every two minutes. From 2.10
 * on it can be told to flush before it acknowledges (`sync_interval: always`), which it does after
 * each record. An earlier one, such as that of Debian 12, does the same in a directory whose files
 * the system writes through (`chattr +S`): each of its writes is a record, and returns when that is
 * on the disk.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { MissingError, pageRecords } from './contender.ts'
import type { Contender, Page } from './contender.ts'
import { NatsCaller, encodePublish } from './nats.ts'
import { programVersion, startProgram } from './program.ts'

const subject = 'log'
const stream = 'LOG'

type Sync = 'always' | 'by the system' | 'later'

/** Writes what the server is told, and makes sure that records reach the disk where they shall. */
function configure(file: string, directory: string, synced: boolean): Sync {
  const accepts = (setting: string): boolean => {
    const store = `store_dir: ${JSON.stringify(directory)}${setting}`
    writeFileSync(file, `host: 127.0.0.1\nport: -1\njetstream { ${store} }\n`)
    return spawnSync('nats-server', ['--config', file, '-t']).status === 0
  }
  if (synced && accepts(', sync_interval: always')) return 'always'
  if (!accepts('')) throw new Error('nats-server takes no configuration of ours')
  if (!synced) return 'later'
  if (spawnSync('chattr', ['+S', directory]).status === 0) return 'by the system'
  throw new MissingError('this nats-server cannot flush each record, nor can chattr make it so')
}

const flushes: Readonly<Record<Sync, string>> = {
  always: 'NATS, each record (sync_interval always)',
  'by the system': 'the system, each write of a record (chattr +S on the directory)',
  later: 'NATS every two minutes (as it comes)',
}

export async function openJetStream(directory: string, synced: boolean): Promise<Contender> {
  const version = programVersion('nats-server', 'nats-server')
  const file = join(directory, 'nats.conf')
  const sync = configure(file, directory, synced)
  const ready = /client connections on [\d.]+:(\d+)[^]*Server is ready/
  const server = await startProgram('nats-server', ['--config', file], ready)
  const socket = connect(Number(server.match[1]), '127.0.0.1')
  socket.setNoDelay(true)
  await once(socket, 'connect')
  const caller = new NatsCaller(socket)
  const settings = { name: stream, subjects: [subject], storage: 'file', retention: 'limits' }
  await caller.ask(`$JS.API.STREAM.CREATE.${stream}`, { ...settings, num_replicas: 1 })
  const reader = new StreamReader(caller)
  return {
    name: synced ? 'jetstream synced' : 'jetstream',
    version,
    directory,
    pid: server.pid,
    guarantee: {
      acknowledged: synced ? 'on the disk' : 'handed to the system, not on the disk',
      checksum: 'HighwayHash a record',
      flushes: flushes[sync],
    },
    append: (values) =>
      caller.settle<void>((resolve) => {
        let left = values.length
        caller.onMessage = ({ payload }) => {
          if (!payload.includes('"seq"')) throw new Error(`nats says: ${payload.toString()}`)
          left -= 1
          if (left === 0) resolve()
        }
        caller.write(
          Buffer.concat(values.map((value) => encodePublish(subject, caller.inbox, value))),
        )
      }),
    read: () => reader.read(),
    async stop() {
      socket.destroy()
      await server.stop()
    },
  }
}

/** A consumer without acknowledgements that is asked for page after page, from the beginning. */
class StreamReader {
  readonly #caller: NatsCaller
  #consumers = 0
  #consumer: string | undefined

  constructor(caller: NatsCaller) {
    this.#caller = caller
  }

  async read(): Promise<Page> {
    const consumer = (this.#consumer ??= await this.#makeConsumer())
    const page = await this.#caller.settle<Page>((resolve) => {
      let [records, bytes] = [0, 0]
      this.#caller.onMessage = ({ headers, payload }) => {
        // A status: there are no more.
        if (headers !== '') return resolve({ records, bytes })
        records += 1
        bytes += payload.length
        if (records === pageRecords) resolve({ records, bytes })
      }
      const request = Buffer.from(JSON.stringify({ batch: pageRecords, no_wait: true }))
      const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`
      this.#caller.write(encodePublish(next, this.#caller.inbox, request))
    })
    if (page.records < pageRecords) this.#consumer = undefined
    return page
  }

  async #makeConsumer(): Promise<string> {
    this.#consumers += 1
    const name = `reader-${this.#consumers}`
    const config = { durable_name: name, deliver_policy: 'all', ack_policy: 'none' }
    const request = { stream_name: stream, config }
    await this.#caller.ask(`$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${name}`, request)
    return name
  }
}
