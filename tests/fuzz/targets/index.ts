/** All targets by name. */
import type { FuzzTarget } from '../target.ts'
import { dns } from './dns.ts'
import { keyring, snapshot } from './files.ts'
import { lzw } from './lzw.ts'
import { msgpack } from './msgpack.ts'
import { packet } from './packet.ts'
import { pattern } from './pattern.ts'
import { batch, replication } from './records.ts'
import { rpcClient, rpcServer } from './rpc.ts'
import { stream } from './stream.ts'

export const targets: Readonly<Record<string, FuzzTarget>> = {
  packet,
  stream,
  msgpack,
  lzw,
  snapshot,
  keyring,
  'rpc-server': rpcServer,
  'rpc-client': rpcClient,
  batch,
  replication,
  pattern,
  dns,
}
