/**
 * Services and members by DNS.
 * @packageDocumentation
 */
export { DnsError } from './errors.ts'
export type { DnsErrorCode, DnsErrorDetails } from './errors.ts'
export type { DnsServerOptions } from './options.ts'
export { dnsPlugin } from './plugin.ts'
export type { DnsPluginOptions } from './plugin.ts'
export type { DnsMembers, DnsPlugin, DnsPluginContext, DnsRegistry } from './ports.ts'
export { createDnsServer } from './server.ts'
export type { DnsServer } from './server.ts'
export type { DnsStats } from './stats.ts'
