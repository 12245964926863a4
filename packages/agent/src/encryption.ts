/** What the options say about keys and labels, as gossip takes it. */
import { createKeyring, type Keyring } from '@kith/gossip'
import { type Logger, type OptionProblem, showValue } from '@kith/interface'

export interface EncryptionOptions {
  /** The key of the cluster: base64 of 16, 24 or 32 bytes. Either this or a keyring. */
  readonly encrypt?: string
  /** A keyring file as Serf has it: a JSON list of such keys, the primary first. */
  readonly keyring?: string
  /** Members of other labels are not heard. 1 to 255 bytes, not secret. Default none. */
  readonly label?: string
  /** Off only while a plaintext cluster gets its key: takes what is not encrypted. Default true. */
  readonly verifyIncoming?: boolean
  /** Off only while a plaintext cluster gets its key: sends without encryption. Default true. */
  readonly verifyOutgoing?: boolean
}

export interface ResolvedEncryption {
  readonly keyring: Keyring | undefined
  readonly label: string
  readonly verifyIncoming: boolean
  readonly verifyOutgoing: boolean
}

const labelBytesMax = 255

/** Opens the keyring; what is wrong is added to `problems`, without any key in it. */
export function resolveEncryption(
  options: EncryptionOptions,
  logger: Logger,
  problems: OptionProblem[],
): ResolvedEncryption {
  const { label = '', verifyIncoming = true, verifyOutgoing = true } = options
  if (typeof label !== 'string' || Buffer.byteLength(label) > labelBytesMax) {
    const want = `text of at most ${labelBytesMax} bytes`
    problems.push({ field: 'label', got: showValue(label), want })
  }
  for (const [field, value] of Object.entries({ verifyIncoming, verifyOutgoing })) {
    if (typeof value === 'boolean') continue
    problems.push({ field, got: showValue(value), want: 'true or false' })
  }
  return { keyring: openKeyring(options, logger, problems), label, verifyIncoming, verifyOutgoing }
}

/** Whether whoever has no key can neither read gossip nor speak in it. */
export function isEncrypted(resolved: ResolvedEncryption): boolean {
  return resolved.keyring !== undefined && resolved.verifyIncoming && resolved.verifyOutgoing
}

function openKeyring(
  { encrypt, keyring: file }: EncryptionOptions,
  logger: Logger,
  problems: OptionProblem[],
): Keyring | undefined {
  if (encrypt !== undefined && file !== undefined) {
    const want = 'absent where there is a keyring, whose first key encrypts'
    problems.push({ field: 'encrypt', got: 'a key', want })
    return undefined
  }
  if (encrypt !== undefined) {
    try {
      return createKeyring({ keys: [typeof encrypt === 'string' ? encrypt : ''] })
    } catch {
      // Never the key itself: messages end in logs.
      const got = typeof encrypt === 'string' ? `${encrypt.length} characters` : typeof encrypt
      const want = 'base64 of 16, 24 or 32 bytes, as kith keygen prints'
      problems.push({ field: 'encrypt', got, want })
    }
  }
  if (file === undefined) return undefined
  try {
    return createKeyring({ file: typeof file === 'string' ? file : '', logger })
  } catch (cause) {
    const want = `a keyring file (${(cause as Error).message})`
    problems.push({ field: 'keyring', got: showValue(file), want })
    return undefined
  }
}
