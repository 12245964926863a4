/** Memory of the network, given back when it has been read and not when somebody collects. */

/**
 * Frees the memory behind `bytes` at once: they have length 0 from here on. They must belong to the
 * caller, who is done with them. Bytes that are a part of a larger buffer stay as they are, since
 * others may have the rest.
 *
 * A datagram, or a piece of a stream, is a few hundred bytes of objects around up to 64 KiB outside
 * of the heap. The collector goes by the objects, so that a flood would hold tens of megabytes that
 * nobody reads any more.
 */
export function releaseBytes(bytes: Uint8Array): void {
  const { buffer, length } = bytes
  const whole = length > 0 && length === buffer.byteLength
  if (whole && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
