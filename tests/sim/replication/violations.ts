/**
 * Everything that a checker can object to, by name, with the clause that it breaks. For each there
 * is a planted fault that makes a checker say exactly this (`mutants.ts`), and one place where it
 * is said.
 */
export const violations = {
  // One disk, when it is opened and at rest.
  'position off its batches': 'REP-5',
  'batches without a row': 'REP-5',
  'offsets past the rows': 'REP-5',
  'batches with one missing': 'REP-4',

  // One transaction.
  'batch held already': 'REP-2',
  'batch past the end': 'REP-4',
  'batch out of order': 'REP-3',
  'batch with other records': 'REP-1',
  'batch off its chain': 'REP-1',
  'batch of a quarantined origin': 'REP-12',
  'hole off the end': 'REP-4',
  'row past its batches': 'REP-11',
  'row behind its batches': 'REP-5',
  'row with another chain': 'REP-5',
  'quarantine taken off': 'REP-12',
  'retired origin moved on': 'REP-40',
  'record of nobody': 'REP-8',
  'record with two names': 'REP-8',
  'append under a lost origin': 'REP-13',

  // What is seen before it is flushed.
  'served unflushed': 'REP-7',
  'announced unflushed': 'REP-7',
  'lost and held by others': 'REP-7',
  'lost and taken later': 'REP-7',
  'fork without a roll-back': 'REP-7',

  // What appends were told.
  'told of its disk': 'REP-6',
  'told of others': 'REP-6',
  'held by nobody': 'REP-6',
  'missing somewhere': 'REP-6',
  'dropped too early': 'REP-22',

  // All disks together, at rest.
  'other bytes': 'REP-1',
  'other chain': 'REP-12',
  'left behind': 'REP-9',
  'not relayed': 'REP-17',
  'not retired everywhere': 'REP-9',
  'batch that others hold': 'REP-10',
  'changed by rumours': 'REP-18',
} as const

export type ViolationName = keyof typeof violations

export class Violation extends Error {
  readonly violation: ViolationName

  constructor(violation: ViolationName, text: string) {
    super(`${violations[violation]}: ${text}`)
    this.name = 'Violation'
    this.violation = violation
  }
}
