/** The settings of an agent that are one of a few words. */

export const logLevels = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof logLevels)[number]
export const logFormats = ['pretty', 'json'] as const
export type LogFormat = (typeof logFormats)[number]
export const logStorages = ['sqlite', 'segment'] as const
export type LogStorageName = (typeof logStorages)[number]
export const gapPolicies = ['halt', 'skip'] as const
export type GapPolicyName = (typeof gapPolicies)[number]
export const profiles = ['lan', 'wan', 'local', 'fast'] as const
export type Profile = (typeof profiles)[number]
