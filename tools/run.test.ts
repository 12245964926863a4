import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { command, root } from './support/command.ts'

const door = join(root, 'tools/run.mjs')
// Without it the first call would install, which a run of `npm test` has done already.
const installed =
  process.platform === 'linux' && existsSync(join(root, 'node_modules/.kith-install'))

/** Process ids of the children of a process, as Linux tells them. */
function childrenOf({ pid }: ChildProcess): readonly string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
}

describe('the door to the root scripts', () => {
  it('refuses an unknown task and names those there are', async () => {
    const { code, output } = await command(process.execPath, [door, 'dmeo'])
    expect(code).toBe(1)
    expect(output).toMatch(/unknown task 'dmeo'.*demo/)
  })

  describe.skipIf(!installed)('on Linux with everything installed', () => {
    it('hands over to Node 24 with arguments and exit code, and adds no word of its own', async () => {
      const { code, output } = await command(process.execPath, [door, 'sim', '--scenario', 'none'])
      expect(code).toBe(2)
      expect(output).toMatch(/^npm run sim -- --scenario/)
    })

    it('passes a signal on and ends as its child ended', { timeout: 60_000 }, async () => {
      const endless = ['sim', '--scenario', 'registry', '--seeds', '1000000']
      const child = spawn(process.execPath, [door, ...endless], { stdio: 'ignore' })
      try {
        const pid = await vi.waitUntil(() => childrenOf(child).find(Boolean), { timeout: 30_000 })
        child.kill('SIGTERM')
        const [code] = (await once(child, 'exit')) as [number]
        expect(code).toBe(143)
        expect(() => process.kill(Number(pid), 0)).toThrow(/ESRCH/)
      } finally {
        child.kill('SIGKILL')
      }
    })
  })
})
