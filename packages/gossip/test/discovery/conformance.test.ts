/** Proves the clauses of docs/protocol/discovery.md for the discoveries that come with gossip. */
import { discoveryCases, runConformance } from '@kith/testkit'
import { describe, it } from 'vitest'
import { openDns, openFile, openStatic } from './subjects.ts'

const listed = 'a list does not change'
const absent = { changes: listed, notices: listed, failing: listed, slow: listed }
runConformance('static', discoveryCases, { describe, it }, openStatic, { absent })
runConformance('dns', discoveryCases, { describe, it }, openDns, {
  absent: { notices: 'name servers tell only who asks' },
})
runConformance('file', discoveryCases, { describe, it }, openFile, {
  absent: { slow: 'no file can be held up here' },
})
