/** SIGHUP: a running agent takes over what can be changed, and says what cannot. */
import { isDeepStrictEqual } from 'node:util'
import { silentLogger } from '@kith/interface'
import {
  type AgentFlags,
  type AgentSettings,
  namedProblems,
  problemsOf,
  readAgentSettings,
  settingsError,
} from './agent-layers.ts'
import type { AgentLines } from './agent-lines.ts'
import { type AgentPlan, planAgent } from './agent-plan.ts'
import { agentSettings, type SettingKey } from './agent-settings.ts'
import { logLevels } from './settings.ts'

export interface Reloading {
  /** Reads everything again, once that before it is done; asking twice meanwhile counts once. */
  ask(): void
  /** From now on there is a member that can be changed. */
  begin(): void
}

/** What takes effect in a member that runs; all else is for the next start. */
const reloaded: readonly SettingKey[] = ['tags', 'services', 'logLevel']

export function createReloading(
  plan: AgentPlan,
  lines: AgentLines,
  flags: AgentFlags,
  env: Readonly<Record<string, string | undefined>>,
): Reloading {
  let inForce = plan.settings
  let asked = false
  let ready = false
  let running = false

  async function reload(): Promise<void> {
    const settings = await readAgentSettings(flags, env)
    // Judged as a start would judge it: what would not start any more is not taken over either.
    const { options } = await planAgent(settings, silentLogger)
    const { tags = {}, services = [] } = options
    const changed: string[] = await plan.agent.reload({ tags, services }).catch((cause) => {
      const problems = problemsOf(cause)
      throw problems ? settingsError(namedProblems(problems, settings), cause) : cause
    })
    const { logLevel = 'info' } = settings.values
    const { logLevel: before = 'info' } = inForce.values
    if (logLevel !== before) changed.push('logLevel')
    const needsRestart = changedSettings(inForce, settings)
    inForce = { ...settings, values: { ...inForce.values, ...takenOver(settings) } }
    // Said under whichever level lets more through: of a change to silence, too.
    if (logLevels.indexOf(logLevel) < logLevels.indexOf(before)) lines.setLevel(logLevel)
    lines.logger.info({ changed }, changed.length === 0 ? 'reloaded; nothing changed' : 'reloaded')
    lines.setLevel(logLevel)
    if (needsRestart.length === 0) return
    lines.logger.warn({ settings: needsRestart }, 'changed settings that need a restart')
  }

  async function run(): Promise<void> {
    if (running || !ready) return
    running = true
    while (asked) {
      asked = false
      try {
        await reload()
      } catch (cause) {
        lines.logger.error({}, `not reloaded, all stays as it was: ${reason(cause)}`)
      }
    }
    running = false
  }
  return {
    ask() {
      asked = true
      void run()
    },
    begin() {
      ready = true
      void run()
    },
  }
}

function takenOver({ values }: AgentSettings): Partial<AgentSettings['values']> {
  return Object.fromEntries(reloaded.map((key) => [key, values[key]]))
}

function changedSettings(before: AgentSettings, after: AgentSettings): SettingKey[] {
  return agentSettings
    .map(({ key }) => key)
    .filter((key) => !reloaded.includes(key))
    .filter((key) => !isDeepStrictEqual(before.values[key], after.values[key]))
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
