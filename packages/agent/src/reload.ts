/** What a member that runs takes over: all of it, or nothing. */
import { isDeepStrictEqual } from 'node:util'
import type { Gossip } from '@kith/gossip'
import type { TlsServerOptions } from '@kith/interface/node'
import type { Registry, ServiceDefinition } from '@kith/registry'
import { type AgentOptions, resolveAgentOptions, type ResolvedAgentOptions } from './options.ts'
import { ownTags } from './own-tags.ts'

/** Options that a running agent takes over; what is left out stays. */
export type AgentReload = Pick<AgentOptions, 'tags' | 'services'>

/** What a reload has changed. */
export type Reloaded = 'tags' | 'services' | 'tls' | 'keyring'

interface ReloadParts {
  readonly gossip: Gossip
  readonly registry: Registry
  renewTls(tls: TlsServerOptions): void
}

/** Checked together with the options that stay. Throws `ERR_AGENT_OPTIONS`. */
export function reloadedOptions(
  given: AgentOptions,
  before: ResolvedAgentOptions,
  change: AgentReload,
): ResolvedAgentOptions {
  const { tags = before.tags, services = before.services } = change
  const next = resolveAgentOptions({ ...given, tags, services })
  // A copy: what the caller changes later is to be found by the next reload.
  const { tags: told, services: registered } = structuredClone({ tags, services: next.services })
  return { ...before, tags: told, services: registered }
}

/** Where one step fails, those before it are taken back. Returns what has changed. */
export async function applyReload(
  { gossip, registry, renewTls }: ReloadParts,
  before: ResolvedAgentOptions,
  next: ResolvedAgentOptions,
): Promise<Reloaded[]> {
  const changed: Reloaded[] = []
  const back: (() => Promise<void>)[] = []
  try {
    if (!isDeepStrictEqual(before.tags, next.tags)) {
      await changeTags(gossip, before.tags, next.tags)
      back.push(() => changeTags(gossip, next.tags, before.tags))
      changed.push('tags')
    }
    if (!isDeepStrictEqual(before.services, next.services)) {
      back.push(() => changeServices(registry, next.services, before.services))
      await changeServices(registry, before.services, next.services)
      changed.push('services')
    }
    const undoTls = renewFiles(before, renewTls)
    if (undoTls !== undefined) {
      back.push(undoTls)
      changed.push('tls')
    }
    if (await before.keyring?.reload()) changed.push('keyring')
    return changed
  } catch (cause) {
    for (const undo of back.toReversed()) {
      await undo().catch((failure: unknown) => {
        next.logger.error({ cause: failure }, 'a reload that failed was not taken back whole')
      })
    }
    throw cause
  }
}

/** Returns how to take it back; undefined where the files hold what they held. */
function renewFiles(
  { tls }: ResolvedAgentOptions,
  renewTls: ReloadParts['renewTls'],
): (() => Promise<void>) | undefined {
  const undo = tls?.renew()
  if (tls === undefined || undo === undefined) return undefined
  renewTls(tls.server)
  tls.tellOfTimes()
  return async () => {
    undo()
    renewTls(tls.server)
  }
}

/** Only those that differ: what others set meanwhile stays. */
async function changeTags(
  gossip: Gossip,
  before: Readonly<Record<string, string>>,
  next: Readonly<Record<string, string>>,
): Promise<void> {
  const tags = ownTags(gossip)
  for (const name of Object.keys(before)) if (!Object.hasOwn(next, name)) delete tags[name]
  for (const [name, value] of Object.entries(next)) {
    if (!Object.hasOwn(before, name) || before[name] !== value) tags[name] = value
  }
  await gossip.setTags(tags)
}

async function changeServices(
  registry: Registry,
  before: readonly ServiceDefinition[],
  next: readonly ServiceDefinition[],
): Promise<void> {
  const kept = new Map(before.map((service) => [idOf(service), service]))
  const wanted = new Set(next.map(idOf))
  // Those that go first: they make room.
  for (const id of kept.keys()) {
    const gone = !wanted.has(id) && registry.registration(id) !== undefined
    if (gone) await registry.deregister(id)
  }
  for (const service of next) {
    if (isDeepStrictEqual(kept.get(idOf(service)), service)) continue
    await registry.register(service)
  }
}

function idOf({ id, service }: ServiceDefinition): string {
  return id ?? service
}
