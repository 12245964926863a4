// The decoders of the other packages, and the expressions of filters.
import { describe } from 'vitest'
import { atTier } from '../support/tier.ts'
import { keepPromises } from './promises.ts'

describe('bent bytes for the rest', () => {
  const inputs = atTier(20_000, 2_000_000)
  keepPromises('RPC-3', 'rpc-server', inputs)
  keepPromises('RPC-3', 'rpc-client', inputs)
  keepPromises('LOG-4', 'batch', inputs)
  keepPromises('REP-24', 'replication', inputs)
  keepPromises('GOS-17', 'pattern', inputs)
  keepPromises('DNS-7', 'dns', inputs)
})
