// Event handlers of Kith and of the real `serf`, side by side.
import { describe, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { handlersAgree } from './handlers.ts'
import { withCrew } from './support/crew.ts'

describe.skipIf(needs('serf').missing)('event handlers beside a real Serf', () => {
  it('run the same program on the same events, with the same environment and input', async () => {
    await withCrew(handlersAgree)
  }, 120_000)
})
