/**
 * Walks msgpack bytes before the library sees them: nothing but nil, booleans, numbers, strings,
 * binaries, arrays and maps; bounded nesting and item count; every length inside the bytes; one
 * value, and nothing after it. The library alone would build dates, sets and records from
 * extensions, and reserve what a lying length asks for.
 */
import { wireLimits } from './limits.ts'

export interface ScanLimits {
  readonly nestingMax: number
  readonly itemsMax: number
}

/** Undefined when the bytes are safe to decode, else what is wrong with them. */
export function scan(bytes: Uint8Array, limits: ScanLimits = wireLimits): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // How many values each open container still lacks; the outermost is the message itself.
  const open: number[] = [1]
  let items = 0
  let at = 0
  while (open.length > 0) {
    const top = open.length - 1
    if (open[top] === 0) {
      open.pop()
      continue
    }
    open[top] = (open[top] ?? 0) - 1
    items += 1
    if (items > limits.itemsMax) return 'too many items'
    if (at >= bytes.length) return 'cut short'
    const token = readToken(view, at)
    if (token === undefined) return 'a type that is not allowed, or cut short'
    at += token.bytes
    if (at > bytes.length) return 'a length past the end'
    if (token.children > bytes.length - at) return 'a count past the end'
    if (token.container) {
      if (open.length > limits.nestingMax) return 'nested too deeply'
      open.push(token.children)
    }
  }
  return at === bytes.length ? undefined : 'bytes after the value'
}

interface Token {
  /** Of the tag, its length field and its payload. */
  readonly bytes: number
  readonly children: number
  readonly container: boolean
}

function readToken(view: DataView, at: number): Token | undefined {
  const tag = view.getUint8(at)
  if (tag <= 0x7f || tag >= 0xe0) return leaf(1)
  if (tag <= 0x8f) return container(1, (tag & 0x0f) * 2)
  if (tag <= 0x9f) return container(1, tag & 0x0f)
  if (tag <= 0xbf) return leaf(1 + (tag & 0x1f))
  const size = sized[tag - 0xc0]
  if (size === undefined) return undefined
  if (size.fixed !== undefined) return leaf(size.fixed)
  if (at + 1 + size.lengthBytes > view.byteLength) return undefined
  const length = readLength(view, at + 1, size.lengthBytes)
  if (size.perChild === 0) return leaf(1 + size.lengthBytes + length)
  return container(1 + size.lengthBytes, length * size.perChild)
}

const leaf = (bytes: number): Token => ({ bytes, children: 0, container: false })
const container = (bytes: number, children: number): Token => ({ bytes, children, container: true })

function readLength(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at)
  return bytes === 2 ? view.getUint16(at) : view.getUint32(at)
}

interface Size {
  readonly fixed?: number
  readonly lengthBytes: number
  /** 0 for bytes, 1 for arrays, 2 for maps. */
  readonly perChild: 0 | 1 | 2
}

const fixed = (bytes: number): Size => ({ fixed: bytes, lengthBytes: 0, perChild: 0 })
const counted = (lengthBytes: number, perChild: 0 | 1 | 2): Size => ({ lengthBytes, perChild })

/** Tags 0xc0 to 0xdf; undefined refuses: the unused tag and all extensions. */
const sized: readonly (Size | undefined)[] = Object.freeze([
  fixed(1), // nil
  undefined,
  fixed(1), // false
  fixed(1), // true
  counted(1, 0), // bin 8, 16, 32
  counted(2, 0),
  counted(4, 0),
  undefined, // ext 8, 16, 32
  undefined,
  undefined,
  fixed(5), // float 32, 64
  fixed(9),
  fixed(2), // uint 8 to 64
  fixed(3),
  fixed(5),
  fixed(9),
  fixed(2), // int 8 to 64
  fixed(3),
  fixed(5),
  fixed(9),
  undefined, // fixext 1 to 16
  undefined,
  undefined,
  undefined,
  undefined,
  counted(1, 0), // str 8, 16, 32
  counted(2, 0),
  counted(4, 0),
  counted(2, 1), // array 16, 32
  counted(4, 1),
  counted(2, 2), // map 16, 32
  counted(4, 2),
])
