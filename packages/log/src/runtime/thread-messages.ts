/** What the log's threads say to each other. Buffers are moved, never copied. */
import type { StoreDamage, StoreState } from '@kith/interface'
import { isKithError } from '@kith/interface'
import { LogError } from '../errors.ts'
import type { LogErrorCode } from '../errors.ts'
import type { LogStorage } from '../options.ts'
import type { IndexFigures, WalRestart } from '../store/figures.ts'
import type { BackendTransaction } from './backend.ts'

export interface ThreadData {
  readonly directory: string
  readonly storage: LogStorage
  /**
   * Who started the thread has the writer's lock, and the store open until it sends `open`. Else
   * the thread opens the store when it begins.
   */
  readonly locked?: boolean
}

export type ToWriter =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'commit'
      /** Transactions of an epoch that failed are passed over until the next one begins. */
      readonly epoch: number
      readonly transaction: BackendTransaction
      /** The next one is likely to follow at once. */
      readonly attentive: boolean
    }
  | { readonly kind: 'inspect' }
  | { readonly kind: 'restartWal'; readonly hasTime: boolean }
  | { readonly kind: 'backup'; readonly directory: string }
  /** Gives up the backup under way. */
  | { readonly kind: 'cancelBackup' }
  | { readonly kind: 'close' }

export type FromWriter =
  | { readonly kind: 'opened'; readonly state: StoreState }
  | { readonly kind: 'openFailed'; readonly error: PlainError }
  | {
      readonly kind: 'done'
      readonly epoch: number
      readonly buffers: readonly ArrayBuffer[]
      readonly walBytes: number
      readonly freshBytes: number
      /** With segments. */
      readonly index: IndexFigures | undefined
      readonly tookMs: number
    }
  | { readonly kind: 'failed'; readonly epoch: number; readonly error: PlainError }
  | { readonly kind: 'inspected'; readonly damage: readonly StoreDamage[] }
  | { readonly kind: 'notInspected'; readonly error: PlainError }
  | { readonly kind: 'restarted'; readonly outcome: WalRestart }
  | { readonly kind: 'backedUp'; readonly error?: PlainError }
  | { readonly kind: 'closed' }

export type ToCheckpointer = { readonly kind: 'run' } | { readonly kind: 'close' }
export type FromCheckpointer = { readonly kind: 'ran' } | { readonly kind: 'closed' }

/** An error as it crosses threads. */
export interface PlainError {
  readonly code: string
  readonly message: string
  readonly details: unknown
}

export function plainError(cause: unknown): PlainError {
  const message = cause instanceof Error ? cause.message : String(cause)
  if (!isKithError(cause)) return { code: '', message, details: undefined }
  return { code: cause.code, message, details: cause.details }
}

export function revivedError({ code, message, details }: PlainError): Error {
  if (!code.startsWith('ERR_LOG_')) return new Error(message)
  return new LogError(code as LogErrorCode, message, { details })
}

/** How to start a thread of ours, from sources and from what was built. */
export function threadEntry(name: string): { readonly url: URL; readonly execArgv: string[] } {
  const source = import.meta.url.endsWith('.ts')
  const url = new URL(`./${name}.${source ? 'ts' : 'js'}`, import.meta.url)
  return { url, execArgv: source ? ['--conditions=@kith/source'] : [] }
}
