// Everything that the doctor finds, brought about for real, and what the command says of it.
import { readFileSync } from 'node:fs'
import { type AgentFinding, findingKinds } from '@kith/agent'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/requirements.ts'
import { atTier, evidence, tier } from '../support/tier.ts'
import { DiskLab, FirewallLab, LoopbackLab } from './doctor/labs.ts'
import type { Patient, ToldFinding } from './doctor/patient.ts'
import { killAll } from './process.ts'

interface Labs {
  readonly loopback: LoopbackLab
  readonly firewall: FirewallLab
  readonly disk: DiskLab
}

interface Row {
  readonly lab: keyof Labs
  readonly patient: (labs: Labs) => Patient
  /** What goes wrong now; the rest does so since the lab began. */
  bring?(labs: Labs): Promise<void>
  readonly fits: (labs: Labs) => Partial<ToldFinding>
  readonly text: RegExp
  readonly advice: RegExp
  /** Puts it right; without it nothing but time does. */
  end?(labs: Labs): Promise<void>
  /** By when it is told no more. What takes longer than this in tier 1 is left to tier 2. */
  readonly goneMs?: number
}

const asked = ({ loopback }: Labs): Patient => loopback.asked
const walled = ({ firewall }: Labs): Patient => firewall.asked
const onDisk = ({ disk }: Labs): Patient => disk.asked

/** A kind without a row does not compile, and fails below. Those of a lab run in their order. */
const rows: Readonly<Record<AgentFinding['kind'], Row>> = {
  loopbackAdvertised: {
    lab: 'firewall',
    patient: walled,
    fits: () => ({ member: 'walled', address: { host: '127.0.0.1', port: 8946 } }),
    text: /tells others to find it at 127.0.0.1:8946/,
    advice: /--advertise/,
  },
  packetsBlocked: {
    lab: 'firewall',
    patient: walled,
    fits: () => ({ member: 'walled', address: { host: '127.0.0.1', port: 8946 } }),
    text: /answers over TCP, and no UDP packet of it comes back/,
    advice: /let UDP pass to and from port 8946/,
  },
  // The disk: slow, then full, then broken, which nothing but a new start ends.
  diskSlow: {
    lab: 'disk',
    patient: onDisk,
    async bring({ disk }) {
      expect(await disk.slowed).toEqual([200, 200, 200])
    },
    fits: () => ({ times: 3 }),
    text: /the disk of \S+ took [12]\.\d s for a commit, and a second or more for 3 of the last/,
    advice: /what else keeps that disk busy/,
    goneMs: 90_000,
  },
  diskNearlyFull: {
    lab: 'disk',
    patient: onDisk,
    async bring({ disk }) {
      expect(await disk.fill()).toBe(507)
    },
    fits: () => ({ totalBytes: 24 * 1024 * 1024 }),
    text: /where \S+ is, \S+ \w+ of 24 MiB are free/,
    advice: /`retention`/,
  },
  diskFull: {
    lab: 'disk',
    patient: onDisk,
    fits: () => ({ totalBytes: 24 * 1024 * 1024 }),
    text: /refuses what finds no room/,
    advice: /make room/,
    async end({ disk }) {
      await disk.empty()
      expect(await disk.append(200_000)).toBe(200)
    },
    goneMs: 10_000,
  },
  logStopped: {
    lab: 'disk',
    patient: onDisk,
    async bring({ disk }) {
      expect(await disk.appendBroken()).toBe(503)
    },
    fits: () => ({ gate: 'poisoned' }),
    text: /takes nothing more/,
    advice: /start the agent anew/,
  },
  alone: {
    lab: 'loopback',
    patient: ({ loopback }) => loopback.labelled,
    fits: () => ({ member: 'labelled' }),
    text: /this member is alone: .*as members of another label do \(ours is "west"\)/,
    advice: /`label`/,
  },
  labelDiffers: {
    lab: 'loopback',
    patient: asked,
    fits: () => ({ label: '', theirs: 'west', address: { host: '127.0.0.1', port: 0 } }),
    text: /with the label "west", and this member has none/,
    advice: /`label`/,
    goneMs: 90_000,
  },
  keyMissing: {
    lab: 'loopback',
    patient: asked,
    bring: ({ loopback }) => loopback.joinOverKeys('keyed'),
    fits: () => ({ address: { host: '127.0.0.1', port: 0 } }),
    text: /is encrypted, and this member has no key/,
    advice: /--encrypt/,
    goneMs: 90_000,
  },
  keyUnknown: {
    lab: 'loopback',
    patient: ({ loopback }) => loopback.keyed,
    fits: () => ({ address: { host: '127.0.0.1', port: 0 } }),
    text: /no key of this member opens/,
    advice: /the same key/,
    goneMs: 90_000,
  },
  plaintextRefused: {
    lab: 'loopback',
    patient: ({ loopback }) => loopback.keyed,
    bring: ({ loopback }) => loopback.joinOverKeys('asked'),
    fits: () => ({ address: { host: '127.0.0.1', port: 0 } }),
    text: /is not encrypted, and this member has a key/,
    advice: /--encrypt/,
    goneMs: 90_000,
  },
  nameTwice: {
    lab: 'loopback',
    patient: asked,
    bring: ({ loopback }) => loopback.startTwin(),
    fits: () => ({ member: 'twin' }),
    text: /two members claim the name "twin"/,
    advice: /another name/,
    goneMs: 90_000,
  },
  metaTooLarge: {
    lab: 'loopback',
    patient: asked,
    bring: ({ loopback }) => loopback.sayTooMuch(),
    fits: () => ({ member: 'large', bytes: 600, bytesMax: 512 }),
    text: /describes itself with 600 bytes/,
    advice: /tags shorter/,
    goneMs: 90_000,
  },
  loopLate: {
    lab: 'loopback',
    patient: asked,
    async bring({ loopback }) {
      loopback.block()
    },
    fits: () => ({ member: 'asked' }),
    text: /did not run for \d{4} ms/,
    advice: /event loop/,
  },
  httpUnreachable: {
    lab: 'loopback',
    patient: asked,
    fits: ({ loopback }) => ({
      ...{ member: 'twin', url: `http://${loopback.closed}`, problem: 'refused' },
      seenFrom: ['agent', 'here'],
    }),
    text: /"twin" says that its HTTP is at \S+, and nothing listens there/,
    advice: /--http-advertise/,
  },
  copyRefused: {
    lab: 'loopback',
    patient: asked,
    fits: () => ({ member: 'cleo', code: 'ERR_REPLICATOR_CLUSTER' }),
    text: /"cleo" at \S+ copies no records of this member/,
    advice: /`clusterId`/,
  },
}

const missing: Readonly<Record<keyof Labs, boolean>> = {
  loopback: false,
  firewall: needs('root', 'iproute2', 'nft').missing,
  disk: needs('root', 'strace').missing,
}
const firewall = missing.firewall ? undefined : new FirewallLab()
const disk = missing.disk ? undefined : new DiskLab()
let loopback: LoopbackLab | undefined

/** Of those that are missing nobody asks. */
function labs(): Labs {
  return { loopback, firewall, disk } as Labs
}

beforeAll(async () => {
  const started = LoopbackLab.start().then((lab) => (loopback = lab))
  await Promise.all([started, firewall?.start(), disk?.start()])
}, 60_000)

afterAll(async () => {
  await loopback?.calm()
  await killAll()
  await firewall?.remove()
  await disk?.remove()
})

describe('kith doctor', { timeout: atTier(60_000, 200_000) }, () => {
  it('is shown every kind of finding, and the guide names each', () => {
    expect(Object.keys(rows).sort()).toEqual([...findingKinds].sort())
    const guide = readFileSync(new URL('../../docs/guides/run.md', import.meta.url), 'utf8')
    const named = [...guide.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(([, kinds = '']) =>
      kinds.split(', ').map((kind) => kind.slice(1, -1)),
    )
    expect(findingKinds.filter((kind) => !named.includes(kind))).toEqual([])
  })

  it.skipIf(missing.disk)('finds nothing before anything is wrong', () => {
    const { code, findings } = labs().disk.before ?? { code: 'none', findings: [] }
    // On a busy machine a process does not run for a while, and says so.
    expect(findings.filter(({ kind }) => kind !== 'loopLate')).toEqual([])
    expect(code).toBe(findings.length === 0 ? 0 : 1)
  })

  for (const lab of ['disk', 'firewall'] as const) finds(lab)

  it.skipIf(missing.firewall)('finds a firewall before HTTP', async () => {
    const all = labs()
    // The agent tries again and again, the command itself just now.
    const fits = ({ seenFrom }: ToldFinding): boolean => seenFrom.length === 2
    const finding = await walled(all).found('httpUnreachable', { fits })
    expect(finding).toMatchObject({ member: 'walled', problem: 'timedOut' })
    expect(finding.advice).toMatch(/let TCP pass/)
    await all.firewall.open()
  })

  finds('loopback')

  it.skipIf(missing.firewall)('finds that the firewall let everything pass', async () => {
    const patient = walled(labs())
    await patient.gone('packetsBlocked', 20_000)
    await patient.gone('httpUnreachable', 30_000)
  })

  it('prints them for people, each with since when and what to do', async () => {
    const words = await asked(labs()).words()
    for (const kind of ['labelDiffers', 'keyMissing', 'httpUnreachable', 'copyRefused']) {
      expect(words).toMatch(new RegExp(`^${kind}: .+\\n  since \\S+Z, seen \\d+ times\\n`, 'm'))
    }
    expect(words).toContain('\n  from here nothing listens there (ECONNREFUSED)\n')
  })

  // A minute for what is told so long, with nobody left who does it again.
  it.skipIf(tier === 1)('tells none of it once it is over', async () => {
    const all = labs()
    await all.loopback.calm()
    for (const [kind, row] of Object.entries(rows)) {
      if (row.goneMs === undefined || missing[row.lab]) continue
      await row.patient(all).gone(kind, row.goneMs)
    }
  })
})

/** A test for each row of a lab: what is wrong there is found, with words that fit. */
function finds(lab: keyof Labs): void {
  for (const [kind, row] of Object.entries(rows)) {
    if (row.lab !== lab) continue
    it.skipIf(missing[lab])(`finds ${kind}`, async () => {
      const all = labs()
      const patient = row.patient(all)
      const began = performance.now()
      await row.bring?.(all)
      const want = row.fits(all)
      const again = row.bring !== undefined
      const finding = await patient.found(kind, { fits: fitting(want), again })
      // The last look may have had it, where it began with the lab.
      if (again) evidence(`${kind}: found after, ms`, Math.round(performance.now() - began))
      expect(finding).toMatchObject(want)
      expect(finding.text).toMatch(row.text)
      expect(finding.advice).toMatch(row.advice)
      expect(finding.since).toBeLessThanOrEqual(finding.lastAt)
      expect(finding.lastAt).toBeLessThanOrEqual(Date.now())
      if (row.end === undefined) return
      await row.end(all)
      await patient.gone(kind, row.goneMs ?? 0)
    })
  }
}

function fitting(want: Partial<ToldFinding>): (finding: ToldFinding) => boolean {
  return (finding) =>
    Object.entries(want).every(
      ([field, value]) => JSON.stringify(finding[field]) === JSON.stringify(value),
    )
}
