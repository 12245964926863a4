// One run of a program: what it reads, what of its output is kept, and that it ends.
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type ProgramEnd, runProgram, type RunProgramOptions } from '../src/node/index.ts'

const node = process.execPath

function run(script: string, options: Partial<RunProgramOptions> = {}): Promise<ProgramEnd> {
  const { signal } = new AbortController()
  return runProgram({ command: [node, '-e', script], outputBytesMax: 100, signal, ...options })
}

describe('a program', () => {
  it('reads its input and its environment, and no shell reads its arguments', async () => {
    const echo = 'process.stdin.pipe(process.stdout); process.stdout.write(process.env.A + ";")'
    const input = Buffer.from('$(id) `id`')
    const { output, ...end } = await run(echo, { input, environment: { A: '$HOME' } })
    expect(end).toEqual({ code: 0, killedBy: null, stopped: false })
    expect(output.toString()).toBe('$HOME;$(id) `id`')
  })

  it('may leave a long input unread', async () => {
    const { code } = await run('process.exit(7)', { input: Buffer.alloc(4 * 1024 * 1024) })
    expect(code).toBe(7)
  })

  it.each([
    ['first', 'a'.repeat(100)],
    ['last', 'b'.repeat(100)],
  ] as const)('is heard to its end, of which the %s bytes are kept', async (keep, want) => {
    const flood = 'process.stdout.write("a".repeat(3e6) + "b".repeat(3e6))'
    expect((await run(flood, { keep })).output.toString()).toBe(want)
  })

  it('keeps both ends apart where they are shorter than what is kept', async () => {
    for (const keep of ['first', 'last'] as const) {
      const { output } = await run('process.stdout.write("x"); console.error("y")', { keep })
      expect(new Set(output.toString())).toEqual(new Set('xy\n'))
    }
  })

  it('is ended by the signal, also one that is deaf', async () => {
    const stop = new AbortController()
    const file = join(tmpdir(), `kith-deaf-${process.pid}`)
    const tell = `require('node:fs').writeFileSync('${file}', String(process.pid))`
    const deaf = `process.on('SIGTERM', () => {}); ${tell}; setInterval(Date, 1e9)`
    const running = run(deaf, { signal: stop.signal })
    let pid = 0
    while (pid === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      pid = Number(await readFile(file, 'utf8').catch(() => ''))
    }
    await rm(file)
    stop.abort()
    const { stopped, code } = await running
    expect([stopped, code]).toEqual([true, null])
    while (lives(pid)) await new Promise((resolve) => setTimeout(resolve, 20))
    await expect(run('', { signal: stop.signal })).rejects.toBe(stop.signal.reason)
  })

  it('that cannot be started is an error', async () => {
    const missing = run('', { command: ['/nowhere/program'] })
    await expect(missing).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(run('', { environment: { A: 'x\0' } })).rejects.toThrow('null bytes')
  })
})

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
