/** The last epoch of this member, kept where a restart finds it: a file replaced whole. */
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '@kith/interface/node'
import { RegistryError } from '../errors.ts'
import { epochMax } from '../wire/limits.ts'

export interface EpochStore {
  /** The epoch saved last; undefined where there is none, or none that can be read. */
  load(): Promise<number | undefined>
  /** Durable when it resolves. */
  save(epoch: number): Promise<void>
}

const fileName = 'registry-epoch'

/** Rejects with `ERR_REGISTRY_EPOCH_STORE` where the directory cannot be read or written. */
export function epochFile(directory: string): EpochStore {
  const path = join(directory, fileName)
  const failed = (cause: unknown): RegistryError =>
    new RegistryError('ERR_REGISTRY_EPOCH_STORE', `cannot keep the epoch in ${path}`, { cause })
  return {
    async load() {
      try {
        const text = (await readFile(path, 'utf8')).trim()
        const epoch = Number(text)
        // A damaged file is as good as none: the wall clock, or the others, know better.
        return /^\d{1,16}$/.test(text) && epoch <= epochMax ? epoch : undefined
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw failed(cause)
      }
    },
    async save(epoch) {
      try {
        await mkdir(directory, { recursive: true })
        await replaceFile(path, `${epoch}\n`)
      } catch (cause) {
        throw failed(cause)
      }
    },
  }
}
