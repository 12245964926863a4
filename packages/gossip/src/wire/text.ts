/** Strict UTF-8, as msgpack and names of members have it. */
export { decodeText, encodeText } from '@kith/msgpack'
