/** What the sources declare, so that a table that claims to cover all of it can be held to that. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Names of the fields of an interface in a source file. */
export function declaredFields(file: string, name: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  const start = text.search(new RegExp(`interface ${name}\\b[^{]*\\{`))
  if (start < 0) throw new Error(`${file} declares no interface ${name}`)
  const body = text.slice(start, text.indexOf('\n}', start))
  return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map((match) => match[1] ?? '')
}

/** `PUT /v1/services/:id` for each route of the server. */
export function declaredRoutes(): string[] {
  const files = globSync('packages/server/src/routes/*.ts', { cwd: root })
  const routes = files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const found = text.matchAll(/\.(get|post|put|delete)(?:<[^(]*>)?\(\s*['`]([^'`]+)['`]/g)
    return [...found].map(([, method = '', path = '']) => `${method.toUpperCase()} ${path}`)
  })
  return routes.sort((a, b) => (a < b ? -1 : 1))
}

/** `PUT /v1/agent/service/register` for each route of Consul's API. */
export function declaredConsulRoutes(): string[] {
  const files = globSync('packages/consul-api/src/routes/*.ts', { cwd: root })
  const routes = files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8')
    const found = text.matchAll(/\b(read|write)Route\(app, api, ['`]([^'`]+)['`]/g)
    return [...found].map(([, kind, path = '']) => `${kind === 'read' ? 'GET' : 'PUT'} ${path}`)
  })
  return routes.sort((a, b) => (a < b ? -1 : 1))
}

/** What stands in a `--help`: commands, and options that take a value. */
export function declaredInHelp(help: string): { commands: string[]; flags: string[] } {
  const commands = [...help.matchAll(/^ {2}([a-z][a-z-]*)(?= |$)/gm)].map((match) => match[1] ?? '')
  const flags = [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+) <[^>]+>/gm)]
  const known = help.includes('\nCommands:') ? commands.filter((name) => name !== 'help') : []
  return { commands: known, flags: flags.map((match) => match[1] ?? '') }
}

/** Every command of Serf's RPC that our server reads. */
export function declaredCommands(): string[] {
  const text = readFileSync(join(root, 'packages/serf-rpc/src/wire/request.ts'), 'utf8')
  const start = text.indexOf('const decoders')
  const body = text.slice(start, text.indexOf('\n}', start))
  return [...body.matchAll(/^ {2}'?([a-z-]+)'?:/gm)].map((match) => match[1] ?? '')
}
