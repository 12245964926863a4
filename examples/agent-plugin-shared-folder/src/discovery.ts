/** Finds those who have a file in the folder. */
import type { Discovery, DiscoveryFactory, DiscoveryHandlers } from '@kith/interface'
import { readEntries } from './entries.ts'

/** Throws where `folder` is no path. The folder itself need not be there yet. */
export function folderDiscovery(folder: string): DiscoveryFactory {
  if (typeof folder !== 'string' || folder === '') {
    throw new TypeError(`folder must be the path of a folder, got ${JSON.stringify(folder)}`)
  }
  return () => new FolderDiscovery(folder)
}

class FolderDiscovery implements Discovery {
  readonly name: string
  readonly #folder: string
  readonly #stopped = new AbortController()
  #started = false

  constructor(folder: string) {
    this.name = `folder ${folder}`
    this.#folder = folder
  }

  /** A folder of a network tells nobody of changes: it is looked at whenever somebody asks. */
  async start(
    _handlers: DiscoveryHandlers,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted()
    this.#stopped.signal.throwIfAborted()
    if (this.#started) throw new Error(`${this.name} was started before`)
    this.#started = true
  }

  async find(signal?: AbortSignal): Promise<string[]> {
    if (!this.#started) throw new Error(`${this.name} was not started`)
    const ends = [this.#stopped.signal, ...(signal === undefined ? [] : [signal])]
    return await unlessAborted(readEntries(this.#folder), AbortSignal.any(ends))
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error(`${this.name} has stopped`))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

/** A folder of a network may take for ever to be read; who waits need not. */
function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
