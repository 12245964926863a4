/** A server that takes part: started for the comparison, ended by its process id. */
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { MissingError } from './contender.ts'

const startMsMax = 10_000

export interface Program {
  readonly pid: number
  /** What `ready` matched in what it printed. */
  readonly match: RegExpExecArray
  stop(): Promise<void>
}

/** The number in what `file --version` prints; throws `MissingError` where there is no such. */
export function programVersion(file: string, debianPackage: string): string {
  const { error, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8' })
  if (error === undefined) return /v=?(\d[\w.]*)/.exec(stdout)?.[1] ?? ''
  throw new MissingError(`no ${file} here; the Debian package ${debianPackage} has it`)
}

/** Resolves once it printed something that `ready` matches. */
export async function startProgram(
  file: string,
  args: readonly string[],
  ready: RegExp,
): Promise<Program> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const end = (): void => void child.kill('SIGKILL')
  // Before its directory is removed.
  process.prependOnceListener('exit', end)
  const match = await printed(child, ready)
  return {
    pid: child.pid ?? 0,
    match,
    async stop() {
      process.off('exit', end)
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

function printed(child: ChildProcess, ready: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let output = ''
    const fail = (why: string): void => {
      child.kill('SIGKILL')
      reject(new Error(`${child.spawnfile} ${why}:\n${output}`))
    }
    const timer = setTimeout(() => fail('did not get ready in time'), startMsMax)
    const look = (chunk: Buffer): void => {
      output += chunk.toString()
      const match = ready.exec(output)
      if (match === null) return
      clearTimeout(timer)
      child.off('exit', ended)
      for (const stream of [child.stdout, child.stderr]) stream?.removeAllListeners('data').resume()
      resolve(match)
    }
    const ended = (): void => {
      clearTimeout(timer)
      fail('ended')
    }
    child.once('error', ended).once('exit', ended)
    child.stdout?.on('data', look)
    child.stderr?.on('data', look)
  })
}
