/** Prometheus, as Debian 11 has it, as a process of a test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { freePort } from '../support/ports.ts'
import { type Need, needs } from '../support/requirements.ts'
import { tier } from '../support/tier.ts'

// Tier 2: no package of a present Debian has the Prometheus that this takes (`.ci/prometheus`).
export const need: Need =
  tier === 2 ? needs('prometheus') : { missing: true, reason: '(tier 2: npm run prove)' }

/** Whatever an answer holds; what it must hold the tests say. */
export type Json = ReturnType<typeof JSON.parse>

export interface Target {
  readonly job: string
  readonly member: string
  readonly instance: string
  readonly consulHealth: string
  readonly health: string
}

export class Prometheus {
  url = ''
  readonly #folder: string
  readonly #child: ChildProcess

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder
    this.#child = child
  }

  static async start(configuration: object): Promise<Prometheus> {
    const folder = await mkdtemp(join(tmpdir(), 'kith-prometheus-'))
    const file = join(folder, 'prometheus.yml')
    // JSON is YAML.
    await writeFile(file, JSON.stringify(configuration))
    const port = await freePort()
    const flags = [`--web.listen-address=127.0.0.1:${port}`, '--log.format=json']
    const places = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`]
    const child = spawn('prometheus', [...flags, ...places], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const prometheus = new Prometheus(folder, child)
    const lines: string[] = []
    for await (const line of createInterface({ input: child.stderr as NodeJS.ReadableStream })) {
      lines.push(line)
      if (!line.includes('Server is ready to receive web requests.')) continue
      prometheus.url = `http://127.0.0.1:${port}`
      break
    }
    expect(prometheus.url, lines.join('\n')).not.toBe('')
    child.stderr?.resume()
    return prometheus
  }

  async get(path: string): Promise<Json> {
    const response = await fetch(this.url + path)
    return ((await response.json()) as { data: unknown }).data
  }

  /** Those that it found through Consul's API, by job and member. */
  async targets(): Promise<readonly Target[]> {
    const { activeTargets } = await this.get('/api/v1/targets?state=active')
    return (activeTargets as Json[])
      .filter(({ labels }) => labels.consul_node !== undefined)
      .map(({ labels, health }) => ({
        job: labels.job,
        member: labels.consul_node,
        instance: labels.instance,
        consulHealth: labels.consul_health,
        health,
      }))
      .sort((a, b) => (`${a.job}/${a.member}` < `${b.job}/${b.member}` ? -1 : 1))
  }

  /** Its discovery gathers changes for five seconds, and tells nobody: it has to be asked. */
  async settles(wanted: readonly string[]): Promise<void> {
    const until = performance.now() + 60_000
    for (;;) {
      const shown = (await this.targets()).map(({ job, member, consulHealth, health }) =>
        [job, member, consulHealth, health].join(' '),
      )
      if (performance.now() > until) expect(shown).toEqual(wanted)
      if (isDeepStrictEqual(shown, wanted)) return
      await delay(100)
    }
  }

  async stop(): Promise<void> {
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await gone
    await rm(this.#folder, { recursive: true, force: true })
  }
}
