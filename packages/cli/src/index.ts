/**
 * The command `kith` as a function, for those who run it inside another program.
 * @packageDocumentation
 */
export { CliError, exitCodes } from './errors.ts'
export type { CliErrorCode, CliErrorDetails, ExitCodes } from './errors.ts'
export type { Io } from './io.ts'
export { runCli } from './program.ts'
