/** A type of browsers that the declarations of `@msgpack/msgpack` name; nobody else needs it. */
declare global {
  type BufferSource = ArrayBufferView | ArrayBuffer
}
export {}
