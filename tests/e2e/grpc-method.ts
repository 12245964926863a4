/** The one method of the servers in these tests: bytes in, bytes out. */
const same = (bytes: Buffer): Buffer => bytes

export const whoMethod = {
  path: '/kith.test.Web/Who',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const
