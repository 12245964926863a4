/** What some tests need from the machine, and what happens where it is missing. */
import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export type Requirement =
  | 'root'
  | 'serf'
  | 'strace'
  | 'iproute2'
  | 'nft'
  | 'dig'
  | 'prometheus'
  | 'openssl'
  | 'curl'
  | 'jq'

export interface Need {
  /** True where the tests cannot run here: give it to `describe.skipIf`. */
  readonly missing: boolean
  /** Why, for the title of what is skipped: empty where nothing is missing. */
  readonly reason: string
}

const commands = {
  serf: 'serf',
  strace: 'strace',
  iproute2: 'ip',
  nft: 'nft',
  dig: 'dig',
  prometheus: 'prometheus',
  openssl: 'openssl',
  curl: 'curl',
  jq: 'jq',
} as const

/** Where the command is; undefined where it is nowhere. */
function onPath(command: string): string | undefined {
  // Daemons live in sbin, which an ordinary user's path leaves out.
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const files = folders.map((folder) => join(folder, command))
  return files.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function has(requirement: Requirement): boolean {
  if (requirement === 'root') return process.getuid?.() === 0
  const file = onPath(commands[requirement])
  if (requirement !== 'prometheus' || file === undefined) return file !== undefined
  // Since Debian 12 its package is built without the one thing that is asked of it here.
  return readFileSync(file).includes('prometheus/discovery/consul')
}

/**
 * `describe.skipIf(needs('serf').missing)(...)`. With `CI=true` nothing may be skipped in silence:
 * a missing requirement throws while the test file is collected, which fails the run.
 */
export function needs(...requirements: readonly Requirement[]): Need {
  const absent = requirements.filter((requirement) => !has(requirement))
  if (absent.length === 0) return { missing: false, reason: '' }
  const reason = `needs ${absent.join(' and ')}, which this machine does not have`
  if (process.env['CI'] === 'true') throw new Error(`${reason}; CI must not skip`)
  process.stderr.write(`skipped: ${reason}\n`)
  return { missing: true, reason }
}
