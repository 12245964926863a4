/**
 * A project outside the repository, as a stranger has one: an empty folder in which npm installs
 * every package as it would be published, and from the registry what those need.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command, root } from './command.ts'
import type { CommandResult } from './command.ts'

const limitMs = 300_000

export interface Project extends Disposable {
  readonly folder: string
  /** npm in that folder; throws with what it printed where it fails. */
  npm(...args: readonly string[]): Promise<string>
  /** Any program there; resolves with its exit code whatever it is. */
  run(file: string, args: readonly string[], timeoutMs?: number): Promise<CommandResult>
}

/** Packed from `dist`, so build first. */
export async function strangersProject(): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), 'kith-stranger-'))
  // Without the runner's own options, among them the condition that leads to the sources.
  const env = { NODE_OPTIONS: '' }
  const run: Project['run'] = (file, args, timeoutMs = limitMs) =>
    command(file, args, { folder, env, timeoutMs })
  const strictly = async (what: string, running: Promise<CommandResult>): Promise<string> => {
    const { code, output } = await running
    if (code !== 0) throw new Error(`${what} ended with ${code}: ${output.slice(-2000)}`)
    return output
  }
  const npm: Project['npm'] = (...args) => strictly(`npm ${args[0]}`, run('npm', args))
  // A name and a version, because a list of materials is of something.
  const manifest = { name: 'kith-project', version: '0.0.0', private: true, type: 'module' }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  const pack = ['--filter', './packages/*', 'pack', '--pack-destination', join(folder, 'packed')]
  const packing = command(join(root, 'node_modules/.bin/pnpm'), pack, { timeoutMs: limitMs })
  await strictly('pnpm pack', packing)
  const tarballs = readdirSync(join(folder, 'packed')).map((file) => `./packed/${file}`)
  await npm('install', '--no-audit', '--no-fund', ...tarballs)
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  return { folder, npm, run, [Symbol.dispose]: remove }
}
