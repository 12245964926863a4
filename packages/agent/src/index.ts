/**
 * All of Kith in one object: a member of a cluster inside your process.
 * @packageDocumentation
 */
export { createAgent } from './agent.ts'
export type { Agent } from './agent.ts'
export type { EncryptionOptions } from './encryption.ts'
export { AgentError } from './errors.ts'
export type { AgentErrorCode, AgentErrorDetails } from './errors.ts'
export { findingKinds } from './findings.ts'
export type { AgentFinding, AgentFound, HttpProblem, Room } from './findings.ts'
export type { EventHandler } from './handler-options.ts'
export type { PluginFigures } from './figures.ts'
export type { AgentDiscovery } from './finding.ts'
export type { AgentOptions, AgentProfile } from './options.ts'
export type { AgentReload, Reloaded } from './reload.ts'
export type {
  AgentContext,
  AgentPlugin,
  AgentPluginStop,
  AgentTransports,
  PluginHttp,
} from './plugin.ts'
export type {
  AccessRole,
  PluginAnswer,
  PluginMethod,
  PluginRequest,
  PluginRoute,
} from '@kith/server'
