/** A kind of check: whether something still writes its file. */
import { stat } from 'node:fs/promises'
import type { CheckKind } from '@kith/interface'

export interface FreshFileOptions {
  readonly path: string
  /** It was written at most so many milliseconds ago. Default 60 000. */
  readonly ageMaxMs?: number
}

/** Passing while the file was changed lately: the mark of a backup, of a queue, of a job. */
export const freshFileCheck: CheckKind<Required<FreshFileOptions>> = {
  kind: 'fresh-file',
  parse(options) {
    const { path, ageMaxMs = 60_000, ...others } = (options ?? {}) as Partial<FreshFileOptions>
    const [unknown] = Object.keys(others)
    if (unknown !== undefined) throw new Error(`${unknown} is no option of a fresh-file check`)
    if (typeof path !== 'string' || path === '') throw new Error('path must be the path of a file')
    if (!Number.isInteger(ageMaxMs) || ageMaxMs < 1) throw new Error('ageMaxMs must be 1 or more')
    return { path, ageMaxMs }
  },
  async run({ path, ageMaxMs }, signal, { clock }) {
    signal.throwIfAborted()
    const { mtimeMs } = await stat(path)
    const ageMs = Math.max(0, clock.wallNow() - mtimeMs)
    const output = `${path} was written ${Math.round(ageMs / 1000)} s ago`
    return { status: ageMs <= ageMaxMs ? 'passing' : 'critical', output }
  },
}
