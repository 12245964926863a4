/** `script`: what programs say, and that none outlives its time or fills the memory. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CheckResult } from '@kith/interface'
import { systemClock } from '@kith/interface/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { scriptCheck } from '../src/checks/script.ts'
import { createRegistry } from '../src/index.ts'
import { MemoryCluster } from './support/memory.ts'

const kind = scriptCheck()
const node = process.execPath
let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'kith-script-'))
})

afterAll(() => rmSync(directory, { recursive: true }))

function run(options: object, signal = new AbortController().signal): Promise<CheckResult> {
  return kind.run(kind.parse(options, { address: '', port: 1 }), signal, {} as never)
}

function gone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

describe('script', () => {
  it.each([
    [0, 'passing'],
    [1, 'warning'],
    [2, 'critical'],
    [255, 'critical'],
  ])('REG-21: exit code %i is %s', async (code, status) => {
    const result = await run({ command: [node, '-e', `process.exit(${code})`] })
    expect(result).toMatchObject({ status, output: expect.stringContaining(`exit code ${code}`) })
  })

  it('REG-21: no shell reads the arguments; environment and directory are as told', async () => {
    const code = 'console.log(process.argv[1], process.env.COLOUR, process.cwd())'
    const { output } = await run({
      command: [node, '-e', code, '$HOME; exit 7'],
      environment: { COLOUR: 'blue' },
      directory,
    })
    expect(output).toContain(`$HOME; exit 7 blue ${directory}`)
  })

  it('REG-21: a program that is not there is an error that names it', async () => {
    await expect(run({ command: ['no-such-program-here'] })).rejects.toThrow('no-such-program-here')
  })

  it('REG-21: keeps the beginning of endless output, and lets the program end', async () => {
    const code = `
      let left = 200
      const more = () => {
        while (left-- > 0) if (!process.stdout.write('x'.repeat(65_536))) return
      }
      process.stdout.on('drain', more)
      more()`
    const { status, output } = await run({ command: [node, '-e', code] })
    expect(status).toBe('passing')
    expect(output.length).toBeGreaterThan(4_000)
    expect(output.length).toBeLessThan(4_300)
  })

  it.skipIf(process.platform === 'win32')(
    'REG-22: told to stop, the program goes and all it started, deaf to SIGTERM or not',
    async () => {
      const file = join(directory, 'pids')
      const deaf = `process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)`
      const code = `
        ${deaf}
        const { spawn } = require('node:child_process')
        const child = spawn(process.execPath, ['-e', ${JSON.stringify(deaf)}])
        require('node:fs').writeFileSync(${JSON.stringify(file)}, process.pid + ' ' + child.pid)`
      const abort = new AbortController()
      const ended = run({ command: [node, '-e', code] }, abort.signal)
      const pids = await expect
        .poll(() => readPids(file), { timeout: 20_000 })
        .toHaveLength(2)
        .then(() => readPids(file))
      abort.abort(new Error('time is up'))
      await expect(ended).rejects.toMatchObject({ code: 'ERR_REGISTRY_CHECK_FAILED' })
      await expect.poll(() => pids.every(gone), { timeout: 20_000 }).toBe(true)
    },
    60_000,
  )
})

describe.skipIf(process.platform === 'win32')('a registry with a script check', () => {
  it('REG-11, REG-22: ends a script that is over its time, whatever it prints meanwhile', async () => {
    const file = join(directory, 'flood')
    // Deaf, and as loud as the pipe takes it, for ever; each run leaves its process id.
    const code = `
      process.on('SIGTERM', () => {})
      require('node:fs').appendFileSync(${JSON.stringify(file)}, process.pid + ' ')
      const line = 'x'.repeat(65_536)
      const more = () => { while (process.stdout.write(line)); }
      process.stdout.on('drain', more)
      more()`
    const port = new MemoryCluster(systemClock).add('ada')
    const registry = createRegistry({
      membership: port,
      extensions: port,
      checkKinds: [scriptCheck()],
    })
    await registry.start()
    try {
      const command = [node, '-e', code]
      const timing = { intervalMs: 100, timeoutMs: 1_500 }
      const check = { kind: 'script', ...timing, options: { command } }
      const before = process.memoryUsage().rss
      await registry.register({ service: 'web', port: 80, checks: [check] })
      const timedOut = (): number => registry.stats().checkTimeouts
      await expect.poll(timedOut, { timeout: 40_000 }).toBeGreaterThanOrEqual(2)
      const [state] = registry.checks()
      expect(state).toMatchObject({ status: 'critical', output: 'no answer within 1500 ms' })
      // Hundreds of MiB a second come through the pipe; what is kept of them is 4 KiB.
      expect(process.memoryUsage().rss - before).toBeLessThan(128 * 2 ** 20)
      const pids = readPids(file).filter((pid) => pid > 0)
      expect(pids.length).toBeGreaterThanOrEqual(2)
      // One at a time: whoever is not the last is gone.
      const earlier = pids.slice(0, -1)
      await expect.poll(() => earlier.every(gone), { timeout: 20_000 }).toBe(true)
      await registry.stop()
      await expect.poll(() => pids.every(gone), { timeout: 20_000 }).toBe(true)
    } finally {
      await registry.stop()
    }
  }, 90_000)
})

function readPids(file: string): number[] {
  try {
    return readFileSync(file, 'utf8').split(' ').map(Number)
  } catch {
    return []
  }
}
