/**
 * gRPC by the name of a service, for `@grpc/grpc-js`.
 * @packageDocumentation
 */
export { GrpcError } from './errors.ts'
export type { GrpcErrorCode, GrpcErrorDetails } from './errors.ts'
export type { GrpcResolverOptions } from './options.ts'
export type { ServiceSource } from './ports.ts'
export { registerGrpcResolver } from './resolver.ts'
export type { GrpcResolver } from './resolver.ts'
