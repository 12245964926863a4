// The decoders of gossip under bent inputs. Everything but the number is the same in both tiers.
import { describe } from 'vitest'
import { atTier } from '../support/tier.ts'
import { keepPromises } from './promises.ts'

describe('bent bytes for gossip', () => {
  const inputs = atTier(200_000, 10_000_000)
  keepPromises('GOS-180', 'packet', inputs)
  keepPromises('GOS-180', 'stream', inputs)
  keepPromises('GOS-180', 'msgpack', inputs)
  keepPromises('GOS-180', 'lzw', inputs)
  keepPromises('GOS-180', 'snapshot', inputs)
  keepPromises('GOS-180', 'keyring', inputs)
})
