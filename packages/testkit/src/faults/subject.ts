/** What is put under faults: a store that any process can make on a directory. */
import type { LogStore } from '@kith/interface'
import { expectThat } from '../expect.ts'

/**
 * Makes a store on a directory, which exists and is empty at first. Nothing is open yet.
 *
 * A store with work of its own beside its commits, such as a thread that copies what they wrote, is
 * given turns of the event loop between them. Where it has `Symbol.asyncDispose` a process at work
 * closes it with that, and not with `close`, so that it can end that work first.
 */
export type OpenLogStore = (directory: string) => LogStore

/** A store under faults: how any process makes it on a directory. */
export interface LogStoreFaultSubject {
  /**
   * The module that makes the store, as a `file:` URL: `new URL('./store.ts', import.meta.url)`.
   * Processes that are made to be killed import it as well, so it should import little.
   */
  readonly module: string | URL
  /** Its export, a function of type `OpenLogStore`. Default: `openStore`. */
  readonly export?: string
  /** What Node.js needs to import it. Default: the `execArgv` of this process. */
  readonly execArgv?: readonly string[]
}

export async function loadStore(subject: LogStoreFaultSubject): Promise<OpenLogStore> {
  const name = subject.export ?? 'openStore'
  const module = (await import(String(subject.module))) as Readonly<Record<string, unknown>>
  const open = module[name]
  expectThat(typeof open === 'function', `${String(subject.module)} exports no function ${name}`)
  return open as OpenLogStore
}
