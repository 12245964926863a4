// Where the command keeps what was compiled: below a folder of the user's own, or nowhere.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'

const bin = join(import.meta.dirname, '../../packages/cli/bin/kith.js')
const folder = mkdtempSync(join(tmpdir(), 'kith-cache-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('is no folder below that in which the command is called', () => {
  const left = (env: Record<string, string>): string[] => {
    const all = { PATH: process.env['PATH'] ?? '', ...env }
    execFileSync(process.execPath, [bin, '--version'], { cwd: folder, env: all })
    return readdirSync(folder)
  }
  expect(left({ HOME: '' })).toEqual([])
  expect(left({ XDG_CACHE_HOME: 'here' })).toEqual([])
  expect(left({ XDG_CACHE_HOME: join(folder, 'mine') })).toEqual(['mine'])
}, 30_000)
