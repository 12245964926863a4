/**
 * What was registered to stay, kept where a restart finds it. Definitions are kept as they were
 * given and judged again when they are read: a kind of check may be missing by then.
 */
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '@kith/interface/node'
import { RegistryError } from '../errors.ts'

export interface KeptService {
  readonly definition: unknown
  /** Why it is held back; absent where it is not. */
  readonly maintenance?: string
}

export interface ServiceFile {
  /** What was saved last; nothing where there is no file. */
  load(): Promise<readonly KeptService[]>
  /** Durable when it resolves. */
  save(services: readonly KeptService[]): Promise<void>
}

const fileName = 'registry-services.json'
const format = 1
/** As many instances as a member may have, with checks of a few kilobytes each. */
const fileBytesMax = 16 * 1024 * 1024

/** Rejects with `ERR_REGISTRY_SERVICE_STORE` where the file cannot be read, written or believed. */
export function serviceFile(directory: string): ServiceFile {
  const path = join(directory, fileName)
  return {
    async load() {
      const text = await read(path)
      if (text === undefined) return []
      const services = parse(text)
      if (services !== undefined) return services
      throw failed(`${path} is not a list of services of format ${format}: repair or remove it`)
    },
    async save(services) {
      try {
        await mkdir(directory, { recursive: true })
        await replaceFile(path, `${JSON.stringify({ format, services }, undefined, 2)}\n`)
      } catch (cause) {
        throw failed(`cannot keep the services in ${path}`, cause)
      }
    },
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path)
    if (size <= fileBytesMax) return await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw failed(`cannot read ${path}`, cause)
  }
  throw failed(`${path} has more than ${fileBytesMax} bytes: repair or remove it`)
}

function parse(text: string): readonly KeptService[] | undefined {
  try {
    const { format: found, services } = JSON.parse(text) as Record<string, unknown>
    const fits = found === format && Array.isArray(services) && services.every(isKept)
    return fits ? (services as KeptService[]) : undefined
  } catch {
    return undefined
  }
}

function isKept(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !('definition' in value)) return false
  const { maintenance } = value as KeptService
  return maintenance === undefined || typeof maintenance === 'string'
}

function failed(message: string, cause?: unknown): RegistryError {
  return new RegistryError('ERR_REGISTRY_SERVICE_STORE', message, { cause })
}
