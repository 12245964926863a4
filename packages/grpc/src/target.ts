/** `kith:///eu.web`: the last label names the service, those before it tags (GRP-1). */
import { showValue } from '@kith/interface'
import { GrpcError } from './errors.ts'

/** A target as grpc-js takes it apart. */
export interface Target {
  readonly scheme?: string
  readonly authority?: string
  readonly path: string
}

export interface Wanted {
  readonly service: string
  readonly tags: readonly string[]
}

const tagsMax = 32

/** Throws `ERR_GRPC_TARGET`. */
export function readTarget(scheme: string, { authority = '', path }: Target): Wanted {
  const labels = path.split('.', tagsMax + 2)
  const service = labels.at(-1) ?? ''
  const tags = labels.slice(0, -1)
  const fits =
    authority === '' &&
    /^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/.test(service) &&
    tags.length <= tagsMax &&
    tags.every((tag) => /^[A-Za-z0-9_-]{1,128}$/.test(tag))
  if (fits) return { service, tags }
  const given = authority === '' ? `${scheme}:${path}` : `${scheme}://${authority}/${path}`
  const want = `${scheme}:///SERVICE or ${scheme}:///TAG.SERVICE`
  throw new GrpcError('ERR_GRPC_TARGET', `a target must be ${want}, got ${showValue(given)}`)
}
