// Everything one scenario starts, so that nothing of it outlives the scenario, however it ends.
import { startKith } from './kith.ts'
import type { KithOptions, KithParty } from './kith.ts'
import { startSerf } from './serf.ts'
import type { SerfOptions, SerfParty } from './serf.ts'
import type { Running, Track } from './process.ts'

export interface Crew {
  serf(options: SerfOptions): Promise<SerfParty>
  kith(options: KithOptions): Promise<KithParty>
}

/** Runs `scenario` and kills whatever it started. */
export async function withCrew(scenario: (crew: Crew) => Promise<void>): Promise<void> {
  const started: Running[] = []
  const track: Track = (running) => void started.push(running)
  try {
    await scenario({
      serf: (options) => startSerf(options, track),
      kith: (options) => startKith(options, track),
    })
  } finally {
    for (const { child } of started) child.kill('SIGKILL')
    await Promise.all(started.map(({ ended }) => ended))
  }
}
