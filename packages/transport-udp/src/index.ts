/**
 * Packet transport over UDP.
 * @packageDocumentation
 */
export { UdpError } from './errors.ts'
export type { UdpErrorCode, UdpErrorDetails } from './errors.ts'
export type { UdpOptions } from './options.ts'
export { udpTransport } from './transport.ts'
export type { UdpStats, UdpTransport } from './transport.ts'
