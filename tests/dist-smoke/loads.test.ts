// What an agent that starts does not load: each of these takes longer than all of gossip.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { command, env } from '../e2e/process.ts'

/** Says of every module that is loaded which it is. */
const spy = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module'
  registerHooks({
    load(url, context, next) {
      const way = context.conditions.includes('import') ? 'import ' : 'require '
      process.stderr.write(way + url + '\\n')
      return next(url, context)
    },
  })`)}`

it('an agent is ready before it has loaded what it may never need', async () => {
  const ports = ['--bind', '--http', '--rpc'].flatMap((flag) => [flag, '127.0.0.1:0'])
  const args = ['--import', spy, command, 'agent', '--log-format', 'json', ...ports]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const told = text(child.stderr)
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes('"event":"ready"')) break
  }
  child.kill('SIGKILL')
  const loaded = await told
  const has = (name: string): boolean => loaded.includes(`/node_modules/${name}/`)
  expect(['fastify', 'commander'].filter(has)).toEqual(['fastify', 'commander'])
  const late = ['undici', 'zod', 'ajv', 'prom-client', 'better-sqlite3']
  expect(late.filter(has)).toEqual([])
  // The exports of `node:http`, which an import reads, load what `fetch` is made of.
  expect(loaded.split('\n')).not.toContain('import node:http')
  expect(loaded.split('\n')).toContain('require node:http')
})
