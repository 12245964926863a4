/** Whole clusters as golden text, to be read in review; KITH_UPDATE=1 writes them anew. */
import { fileURLToPath } from 'node:url'
import { describe, it } from 'vitest'
import { record } from './gossip/script.ts'
import type { Stage } from './gossip/script.ts'

const scenes: Readonly<Record<string, { members: number; play: (stage: Stage) => void }>> = {
  'crash-and-restart': {
    members: 3,
    play({ world, actors: [first, , third], until }) {
      if (first === undefined || third === undefined) return
      world.crash(third, 'swallow')
      until(12)
      world.start(third, [first])
      until(15)
    },
  },
  'leave-and-return': {
    members: 3,
    play({ world, actors: [first, , third], until }) {
      if (first === undefined || third === undefined) return
      world.leave(third)
      until(8)
      world.cluster.detach(third)
      until(9)
      world.start(third, [first])
      until(12)
    },
  },
  'paused-and-refuted': {
    members: 4,
    play({ world, actors: [, second, , fourth], until }) {
      if (second === undefined || fourth === undefined) return
      world.pause(fourth)
      until(8)
      world.setTags(second, { zone: 'moved' })
      until(14)
      world.resume(fourth)
      until(16)
    },
  },
  'packets-filtered': {
    members: 3,
    play({ world, actors: [first, second, third], until }) {
      if (first === undefined || second === undefined || third === undefined) return
      world.cut([third], [first, second], 'packetFilters', 'packets')
      until(7)
    },
  },
}

describe('transcripts', () => {
  for (const [name, { members, play }] of Object.entries(scenes)) {
    it(`GOS-79 ${name}`, () => {
      const file = new URL(`gossip/transcripts/${name}.txt`, import.meta.url)
      record(members, play).expectGolden(fileURLToPath(file))
    })
  }
})
