/**
 * The list of 59 inputs that a real Serf was given, U by packet and T by stream, and what holds
 * each of them here. Of those that did a Serf harm the list says what they are; of the others,
 * which it outlived, only that they come from the groups of framing, msgpack, compression, values
 * and abuse, so that their groups stand here for them.
 */
export interface Covered {
  readonly ids: readonly string[]
  readonly input: string
  /** Files, and the words in them by which the input is found. */
  readonly held: readonly (readonly [file: string, words: string])[]
}

const catalogue = 'packages/gossip/test/runtime/catalogue.test.ts'
const forged = 'packages/gossip/test/runtime/catalogue-forged.test.ts'
const packets = 'tests/e2e/hostile/packets.ts'
const streams = 'tests/e2e/hostile/streams.ts'
const floods = 'tests/e2e/hostile/floods.ts'

/** `U3`, and so on to `U5`, as the list writes them. */
function range(letter: 'U' | 'T', ...numbers: readonly (number | readonly [number, number])[]) {
  return numbers.flatMap((number) => {
    const [first, last] = typeof number === 'number' ? [number, number] : number
    return Array.from({ length: last - first + 1 }, (_, index) => {
      return `${letter}${String(first + index).padStart(2, '0')}`
    })
  })
}

function both(id: string, words: string): Covered['held'] {
  return [
    [catalogue, `'${id}'`],
    [id.startsWith('U') ? packets : streams, words],
  ]
}

export const inputs: readonly Covered[] = [
  { ids: ['U12'], input: 'raw32 of 4 GiB', held: both('U12', 'headers with nothing behind') },
  { ids: ['U16'], input: 'compressed nothing', held: both('U16', 'nothing at all') },
  { ids: ['U17'], input: 'a bomb in a datagram', held: both('U17', 'bombs: kilobytes') },
  { ids: ['U19', 'U21'], input: 'names of no and of 60,000 bytes', held: both('U19', 'endless') },
  {
    ids: ['U22', 'U24', 'U28'],
    input: 'names and tags that reach for a prototype or a folder',
    held: [
      [forged, 'U22 U24 U28'],
      ['packages/gossip/test/wire/limits.test.ts', 'GOS-187'],
    ],
  },
  { ids: ['U25'], input: 'versions of 1 to 5 bytes', held: both('U25', 'version lists that are') },
  { ids: ['U26'], input: 'versions of the future', held: both('U26', '[99, 99, 99, 99, 99, 99]') },
  { ids: ['U27'], input: 'tags of 40 kB', held: both('U27', 'tags beyond all measure') },
  {
    ids: ['U32'],
    input: 'a forged death and an alive from elsewhere',
    held: [
      [forged, 'U32'],
      [packets, 'dead, suspect and elsewhere'],
    ],
  },
  { ids: ['U34'], input: 'Lamport time 2^64 - 1', held: both('U34', 'Lamport times near the end') },
  { ids: ['U37'], input: 'indirect pings to anybody', held: both('U37', 'to third parties, two') },
  { ids: ['U40'], input: 'a flood', held: [[floods, "title: 'garbage'"]] },
  { ids: ['U41'], input: 'suspect at 2^32 - 1', held: both('U41', 'incarnations near the end') },
  {
    ids: range('U', [1, 11], [13, 15], 18, 20, 23, [29, 31], 33, 35, 36, 38, 39),
    input: 'packets that a Serf outlives without a changed view, by their groups',
    held: ['framing', 'msgpack', 'compression', 'values', 'abuse'].map((group) => {
      return [packets, `export const ${group}:`] as const
    }),
  },
  { ids: ['T04'], input: 'rows: 2^31 - 1', held: both('T04', 'two thousand million rows') },
  { ids: ['T05'], input: 'rows: 20 million', held: both('T05', 'twenty million rows') },
  { ids: ['T06'], input: 'rows: -1', held: both('T06', 'minus one row') },
  { ids: ['T07'], input: 'user state of 1 GiB', held: both('T07', 'a gigabyte of user state') },
  { ids: ['T09'], input: 'user message of 1 GiB', held: both('T09', 'message of a gigabyte') },
  { ids: ['T11'], input: 'a row with short versions', held: both('T11', 'short versions') },
  { ids: ['T13'], input: 'compressed nothing', held: both('T13', 'compression of nothing') },
  { ids: ['T14'], input: 'a bomb', held: both('T14', 'export const bombs') },
  {
    ids: ['T15'],
    input: 'idle connections by the hundred',
    held: [
      ['tests/e2e/hostile-streams.test.ts', 'that only sit there are cut off'],
      ['tests/e2e/stream-bounds.test.ts', 'and loses them when it says nothing'],
    ],
  },
  {
    ids: range('T', [1, 3], 8, 10, 12, [16, 18]),
    input: 'streams that a Serf outlives without a changed view, by their groups',
    held: [[streams, 'export const streamAttacks']],
  },
]
