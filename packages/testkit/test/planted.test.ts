/** Each case of the transports' suites catches an implementation that breaks its clause. */
import { describe, expect, it } from 'vitest'
import {
  packetTransportCases,
  runCase,
  runConformance,
  streamTransportCases,
} from '../src/index.ts'
import type { ConformanceCase } from '../src/index.ts'
import { openTinyPackets } from './tiny-packets.ts'
import type { PacketFault } from './tiny-packets.ts'
import { openTinyStreams } from './tiny-streams.ts'
import type { StreamFault } from './tiny-streams.ts'

runConformance('tiny packets', packetTransportCases, { describe, it }, () => openTinyPackets())
runConformance('tiny streams', streamTransportCases, { describe, it }, () => openTinyStreams())

const packetFaults: Readonly<Record<PacketFault, string>> = {
  'port 0 is announced': 'TRA-1',
  'port of start is ignored': 'TRA-2',
  'starts twice': 'TRA-3',
  'ignores the signal': 'TRA-4',
  'shares addresses': 'TRA-5',
  'wrong sender': 'TRA-6',
  'cuts large packets': 'TRA-7',
  'sends above the limit': 'TRA-8',
  'reuses one buffer': 'TRA-9',
  'hands over the bytes of the sender': 'TRA-10',
  'lets a handler throw': 'TRA-11',
  'throws for a bad address': 'TRA-12',
  'throws after stop': 'TRA-13',
  'silent about refusals': 'TRA-14',
  'never stops': 'TRA-15',
  'delivers after stop': 'TRA-16',
  'comes up although stopped': 'TRA-17',
  'keeps its address': 'TRA-18',
}

const streamFaults: Readonly<Record<StreamFault, string>> = {
  'port of start is ignored': 'TRA-20',
  'starts twice': 'TRA-21',
  'ignores the signal': 'TRA-22',
  'mixes bytes up': 'TRA-23',
  'wrong remote': 'TRA-24',
  'forgets the end': 'TRA-25',
  'keeps the bytes of the writer': 'TRA-26',
  'no back-pressure': 'TRA-27',
  'two readers': 'TRA-28',
  'all streams are one': 'TRA-29',
  'lets a handler throw': 'TRA-30',
  'connects to nobody': 'TRA-31',
  'cannot be aborted': 'TRA-32',
  'waits for the silent': 'TRA-33',
  'connects before start': 'TRA-34',
  'destroy throws': 'TRA-35',
  'destroy is not told': 'TRA-36',
  'writes to nobody': 'TRA-37',
  'writes after the end': 'TRA-38',
  'never stops': 'TRA-39',
  'stop leaves streams open': 'TRA-40',
  'stop leaves connects hanging': 'TRA-41',
  'accepts after stop': 'TRA-41',
  'keeps its address': 'TRA-42',
}

/** The faulty one may hang where nothing bounds it, for instance in the cleaning up of a case. */
async function caught(run: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const stuck = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(true), 12_000)
  })
  const failed = run.then(
    () => false,
    () => true,
  )
  return await Promise.race([failed, stuck]).finally(() => clearTimeout(timer))
}

function theCase<Subject>(cases: readonly ConformanceCase<Subject>[], id: string) {
  const found = cases.find((one) => one.id === id)
  if (found === undefined) throw new Error(`no case ${id}`)
  return found
}

describe('a packet transport that', () => {
  it.concurrent.each(Object.entries(packetFaults))('"%s" fails %s', async (fault, id) => {
    const open = () => openTinyPackets(fault as PacketFault)
    expect(await caught(runCase(theCase(packetTransportCases, id), open))).toBe(true)
  })

  it('has a fault planted for every case', () => {
    const ids = packetTransportCases.map((one) => one.id)
    expect(ids.filter((id) => !Object.values(packetFaults).includes(id))).toEqual([])
  })
})

describe('a stream transport that', () => {
  it.concurrent.each(Object.entries(streamFaults))('"%s" fails %s', async (fault, id) => {
    const open = () => openTinyStreams(fault as StreamFault)
    expect(await caught(runCase(theCase(streamTransportCases, id), open))).toBe(true)
  })

  it('has a fault planted for every case', () => {
    const ids = streamTransportCases.map((one) => one.id)
    expect(ids.filter((id) => !Object.values(streamFaults).includes(id))).toEqual([])
  })
})
