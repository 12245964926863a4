/** What Serf's queries about keys carry, and what members answer to them. */
import { MsgpackReader, MsgpackWriter } from './msgpack.ts'
import { serfType } from './serf.ts'

export interface KeyResponse {
  /** It was done, or here is the list. */
  readonly ok: boolean
  /** Why it was not done, or what is missing of the list. */
  readonly message: string
  /** As base64; only of a list. */
  readonly keys: readonly string[]
  /** As base64; empty where the answer is not a list. */
  readonly primary: string
}

/** Keys of an answer that are read; the others are passed over. */
const keysReadMax = 1024

/** `key` is empty in a request for the list. */
export function encodeKeyRequest(key: Uint8Array): Uint8Array {
  return new MsgpackWriter().byte(serfType.keyRequest).map(1).text('Key').bytes(key).finish()
}

/** The key; empty where there is none, or where the request is malformed. */
export function decodeKeyRequest(payload: Uint8Array): Uint8Array {
  let key: Uint8Array = new Uint8Array(0)
  if (payload[0] !== serfType.keyRequest) return key
  const reader = new MsgpackReader(payload, 1)
  reader.struct(['Key'], (field) => {
    if (field === 'Key') key = reader.bytes()
    else reader.skip()
  })
  return reader.failure === undefined ? key : new Uint8Array(0)
}

export function encodeKeyResponse({ ok, message, keys, primary }: KeyResponse): Uint8Array {
  const writer = new MsgpackWriter().byte(serfType.keyResponse).map(4).text('Keys')
  if (keys.length === 0) writer.nil()
  else writer.array(keys.length)
  for (const key of keys) writer.text(key)
  writer.text('Message').text(message).text('PrimaryKey').text(primary)
  return writer.text('Result').bool(ok).finish()
}

/** Undefined where the answer is malformed. */
export function decodeKeyResponse(payload: Uint8Array): KeyResponse | undefined {
  if (payload[0] !== serfType.keyResponse) return undefined
  const reader = new MsgpackReader(payload, 1)
  const keys: string[] = []
  let [ok, message, primary] = [false, '', '']
  reader.struct(['Result', 'Message', 'Keys', 'PrimaryKey'], (field) => {
    if (field === 'Result') ok = reader.bool()
    else if (field === 'Message') message = reader.shownText()
    else if (field === 'PrimaryKey') primary = reader.text()
    else if (field === 'Keys') reader.array((index) => readKey(reader, index, keys))
    else reader.skip()
  })
  if (reader.failure !== undefined || reader.textInvalid) return undefined
  return { ok, message, keys, primary }
}

function readKey(reader: MsgpackReader, index: number, keys: string[]): void {
  if (index < keysReadMax) keys.push(reader.text())
  else reader.skip()
}
