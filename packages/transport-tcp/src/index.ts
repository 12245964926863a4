/**
 * Stream transport over TCP and TLS.
 * @packageDocumentation
 */
export { TcpError } from './errors.ts'
export type { TcpErrorCode, TcpErrorDetails } from './errors.ts'
export type { TcpOptions, TcpTlsOptions } from './options.ts'
export { tcpTransport } from './transport.ts'
export type { TcpStats, TcpTransport } from './transport.ts'
