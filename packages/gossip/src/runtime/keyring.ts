/**
 * The keys of one member: the primary encrypts, all of them decrypt. Where they come from a file,
 * a change is on disk before it is in force, so that a restart never knows less than it did.
 */
import { silentLogger } from '@kith/interface'
import type { Logger } from '@kith/interface'
import { GossipError } from '../errors.ts'
import { decodeKey, keySizes, keysMax, sameBytes, toBase64 } from '../wire/codec.ts'
import { readKeyring, writeKeyring } from './keyring-file.ts'

export interface Keyring {
  /** As base64, primary first. Secret. */
  readonly keys: readonly string[]
  /** The same as bytes, which nobody may change: what encrypts and decrypts. Secret. */
  readonly secrets: readonly Uint8Array[]
  /**
   * Adds a key behind the others; one that is there is no change. Rejects with
   * `ERR_GOSSIP_KEY_INVALID`, `ERR_GOSSIP_KEYS_FULL` beyond 32, or `ERR_GOSSIP_KEYRING_FILE` where
   * the file could not be written; nothing has changed then.
   */
  install(key: string | Uint8Array): Promise<void>
  /** Makes an installed key the primary. Rejects with `ERR_GOSSIP_KEY_NOT_INSTALLED` for others. */
  use(key: string | Uint8Array): Promise<void>
  /** Drops a key; one that is not there is no change. `ERR_GOSSIP_KEY_PRIMARY` for the primary. */
  remove(key: string | Uint8Array): Promise<void>
  /**
   * Takes the keys that its file holds now; resolves with whether they differ from those before.
   * One without a file has nothing to read. Rejects with `ERR_GOSSIP_KEYRING_FILE`; the keys in
   * force stay then.
   */
  reload(): Promise<boolean>
}

export interface KeyringOptions {
  /** Base64 or bytes of 16, 24 or 32; the first is the primary. Either these or a file. */
  readonly keys?: readonly (string | Uint8Array)[]
  /** A keyring file as Serf has it: a JSON list of base64, read now and rewritten on a change. */
  readonly file?: string
  /** Hears of a file that others may read or write. Default: nobody. */
  readonly logger?: Logger
}

/**
 * Throws `ERR_GOSSIP_KEY_INVALID` for keys that are none, and `ERR_GOSSIP_KEYRING_FILE` for a file
 * that is missing, half written or holds something else; the message says what to do.
 */
export function createKeyring(options: KeyringOptions): Keyring {
  const { keys, file, logger = silentLogger } = options
  if ((keys === undefined) === (file === undefined)) {
    throw new GossipError('ERR_GOSSIP_KEY_INVALID', 'a keyring takes either keys or a file')
  }
  if (file !== undefined) {
    return new MemberKeyring(readKeyring(file, logger), { path: file, logger })
  }
  const secrets: Uint8Array[] = []
  for (const key of keys ?? []) {
    const secret = readKey(key)
    if (!secrets.some((known) => sameBytes(known, secret))) secrets.push(secret)
  }
  if (secrets.length === 0 || secrets.length > keysMax) {
    throw new GossipError('ERR_GOSSIP_KEY_INVALID', `a keyring takes 1 to ${keysMax} keys`)
  }
  return new MemberKeyring(secrets, undefined)
}

interface KeyringFile {
  readonly path: string
  readonly logger: Logger
}

class MemberKeyring implements Keyring {
  readonly #file: KeyringFile | undefined
  #secrets: readonly Uint8Array[]
  #last: Promise<void> = Promise.resolve()

  constructor(secrets: readonly Uint8Array[], file: KeyringFile | undefined) {
    this.#secrets = Object.freeze([...secrets])
    this.#file = file
  }

  get keys(): readonly string[] {
    return this.#secrets.map(toBase64)
  }

  get secrets(): readonly Uint8Array[] {
    return this.#secrets
  }

  install(key: string | Uint8Array): Promise<void> {
    return this.#change(key, (secret, secrets) => {
      if (secrets.some((known) => sameBytes(known, secret))) return secrets
      if (secrets.length < keysMax) return [...secrets, secret]
      throw new GossipError('ERR_GOSSIP_KEYS_FULL', `the keyring has ${keysMax} keys already`)
    })
  }

  use(key: string | Uint8Array): Promise<void> {
    return this.#change(key, (secret, secrets) => {
      const installed = secrets.find((known) => sameBytes(known, secret))
      if (installed === undefined) {
        const text = 'requested key is not in the keyring'
        throw new GossipError('ERR_GOSSIP_KEY_NOT_INSTALLED', text)
      }
      return [installed, ...secrets.filter((known) => known !== installed)]
    })
  }

  remove(key: string | Uint8Array): Promise<void> {
    return this.#change(key, (secret, secrets) => {
      const [primary] = secrets
      if (primary !== undefined && sameBytes(primary, secret)) {
        const text = 'removing the primary key is not allowed'
        throw new GossipError('ERR_GOSSIP_KEY_PRIMARY', text)
      }
      return secrets.filter((known) => !sameBytes(known, secret))
    })
  }

  reload(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#file === undefined) return false
      const { path, logger } = this.#file
      const before = this.keys.join()
      this.#secrets = Object.freeze([...readKeyring(path, logger)])
      return this.keys.join() !== before
    })
  }

  #change(
    key: string | Uint8Array,
    change: (secret: Uint8Array, secrets: readonly Uint8Array[]) => readonly Uint8Array[],
  ): Promise<void> {
    return this.#inTurn(async () => {
      const next = Object.freeze([...change(readKey(key), this.#secrets)])
      if (this.#file !== undefined) await writeKeyring(this.#file.path, next)
      this.#secrets = next
    })
  }

  /** One after another: each begins with what the one before left, in memory and on disk. */
  #inTurn<Value>(run: () => Promise<Value>): Promise<Value> {
    const done = this.#last.then(run)
    this.#last = done.then(
      () => {},
      () => {},
    )
    return done
  }
}

/**
 * A key of the caller's as bytes of our own. Throws `ERR_GOSSIP_KEY_INVALID`, in the words of
 * memberlist, because other members show them.
 */
export function readKey(key: string | Uint8Array): Uint8Array {
  const secret = typeof key === 'string' ? decodeKey(key) : Uint8Array.from(key)
  if (typeof secret !== 'string' && keySizes.includes(secret.length)) return secret
  const text =
    secret === 'keyNotBase64' ? 'key is not base64' : 'key size must be 16, 24 or 32 bytes'
  throw new GossipError('ERR_GOSSIP_KEY_INVALID', text)
}

/** Whether something was made by `createKeyring`, of whatever installed copy. */
export function isKeyring(value: unknown): value is Keyring {
  const secrets = (value as Keyring | null | undefined)?.secrets
  return Array.isArray(secrets) && secrets.every((secret) => secret instanceof Uint8Array)
}
