// Serf's RPC between Kith and the real `serf`, in both directions.
import { describe, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { clientDrivesSerf } from './rpc-client.ts'
import { commandsAgree } from './rpc-commands.ts'
import { withCrew } from './support/crew.ts'

describe.skipIf(needs('serf').missing).concurrent('RPC with a real Serf', () => {
  it('RPC-50 our client drives its agent, with every command', async () => {
    await withCrew(clientDrivesSerf)
  }, 120_000)

  it('RPC-51, RPC-52 its command drives our agent, and ours drives its, to the same effect', async () => {
    await withCrew(commandsAgree)
  }, 180_000)
})
