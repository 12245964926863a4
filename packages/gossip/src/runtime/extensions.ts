/** The extensions of this member: what they send, and what comes in for them. */
import type { ExtensionHost, GossipExtension, Unsubscribe } from '@kith/interface'
import { GossipError } from '../errors.ts'
import { extensionStateBytesMax } from '../options.ts'
import type { FetchMessage, FetchReplyMessage } from '../wire/message.ts'

/** An answer to a fetch. */
const fetchBodyBytesMax = 4_194_304
/** States of all extensions together in one exchange. */
const extensionsMax = 64

export interface ExtensionsOptions {
  readonly added: (name: string) => void
  readonly removed: (name: string) => void
  /** A callback threw, or gave more than it may. */
  readonly failed: (name: string, cause: unknown) => void
}

export interface Extensions {
  readonly names: readonly string[]
  has(name: string): boolean
  extend: ExtensionHost['extend']
  localStates(): ReadonlyMap<string, Uint8Array>
  merge(name: string, bytes: Uint8Array, from: string): void
  deliver(name: string, bytes: Uint8Array, from: string): void
  answerFetch(message: FetchMessage, self: string): FetchReplyMessage
}

export function createExtensions(options: ExtensionsOptions): Extensions {
  return new ExtensionTable(options)
}

class ExtensionTable implements Extensions {
  readonly #options: ExtensionsOptions
  readonly #extensions = new Map<string, GossipExtension>()

  constructor(options: ExtensionsOptions) {
    this.#options = options
  }

  get names(): readonly string[] {
    return [...this.#extensions.keys()]
  }

  has(name: string): boolean {
    return this.#extensions.has(name)
  }

  extend(name: string, extension: GossipExtension): Unsubscribe {
    if (!/^[a-z][a-z0-9-]{0,31}$/.test(name)) {
      const message = `an extension name must be [a-z][a-z0-9-]{0,31}, got ${String(name)}`
      throw new GossipError('ERR_GOSSIP_EXTENSION_NAME', message.slice(0, 200))
    }
    if (this.#extensions.has(name) || this.#extensions.size >= extensionsMax) {
      const why = this.#extensions.has(name) ? 'is taken' : `is one more than ${extensionsMax}`
      throw new GossipError('ERR_GOSSIP_EXTENSION_TAKEN', `the extension ${name} ${why}`)
    }
    this.#extensions.set(name, extension)
    this.#options.added(name)
    return () => {
      if (this.#extensions.get(name) !== extension) return
      this.#extensions.delete(name)
      this.#options.removed(name)
    }
  }

  localStates(): ReadonlyMap<string, Uint8Array> {
    const states = new Map<string, Uint8Array>()
    for (const [name, extension] of this.#extensions) {
      const bytes = this.#call(name, () => extension.localState?.())
      if (bytes === undefined) continue
      if (bytes.length <= extensionStateBytesMax) states.set(name, bytes)
      else this.#options.failed(name, new Error(`a state of ${bytes.length} bytes is too large`))
    }
    return states
  }

  merge(name: string, bytes: Uint8Array, from: string): void {
    this.#call(name, () => this.#extensions.get(name)?.mergeState?.(bytes, from))
  }

  deliver(name: string, bytes: Uint8Array, from: string): void {
    this.#call(name, () => this.#extensions.get(name)?.onMessage?.(bytes, from))
  }

  answerFetch(
    { extension: name, from, node, request }: FetchMessage,
    self: string,
  ): FetchReplyMessage {
    if (node !== self) return refusal(`this is ${self}`)
    const extension = this.#extensions.get(name)
    if (extension?.onFetch === undefined) return refusal('no such extension')
    const body = this.#call(name, () => extension.onFetch?.(request, from))
    if (body === undefined) return refusal('the extension has no answer')
    if (body.length > fetchBodyBytesMax) return refusal('the answer is too large')
    return { kind: 'fetchReply', refused: false, text: '', body }
  }

  /** An extension that throws loses its own call and nothing else. */
  #call<Result>(name: string, call: () => Result): Result | undefined {
    try {
      return call()
    } catch (cause) {
      this.#options.failed(name, cause)
      return undefined
    }
  }
}

function refusal(text: string): FetchReplyMessage {
  return { kind: 'fetchReply', refused: true, text, body: new Uint8Array(0) }
}
