/** What the HTTP interface was asked. How long it took is in `events.ts`. */
import { counter, gauge, type Part } from './family.ts'
import type { ServerSource } from './sources.ts'

const requests = counter('kith_http_requests_total', 'Requests that came, answered yet or not.')
const refused = counter(
  'kith_http_refused_total',
  'Requests refused: for a missing token, its role, a certificate, or anything else that was wrong.',
  'reason',
)
const handshakes = counter('kith_http_failed_handshakes_total', 'Handshakes of TLS that failed.')
const failures = counter('kith_http_failures_total', 'Requests answered with a status from 500.')
const bodyBytes = counter('kith_http_body_bytes_total', 'Bytes of bodies received.')
const reserved = gauge('kith_http_reserved_body_bytes', 'Bytes of bodies held now.')
const appended = counter('kith_http_appended_records_total', 'Records appended over HTTP.')
const read = counter('kith_http_read_records_total', 'Records read over HTTP.')
const readers = gauge('kith_http_readers', 'Answers with records that are being sent.', 'kind')
const watchers = gauge('kith_http_watchers', 'Answers that follow a service.')

export function serverPart(source: ServerSource): Part {
  return {
    name: 'server',
    families: [
      ...[requests, refused, handshakes, failures, bodyBytes, reserved],
      ...[appended, read, readers, watchers],
    ],
    read(put) {
      const stats = source.stats()
      put(requests, stats.requests)
      put(refused, stats.unauthorized, 'unauthorized')
      put(refused, stats.forbidden, 'forbidden')
      put(refused, stats.certificatesRefused, 'certificate')
      const known = stats.unauthorized + stats.forbidden + stats.certificatesRefused
      put(refused, stats.badRequests - known, 'other')
      put(handshakes, stats.handshakesFailed)
      put(failures, stats.failures)
      put(bodyBytes, stats.bodyBytes)
      put(reserved, stats.bodyBytesReserved)
      put(appended, stats.recordsAppended)
      put(read, stats.recordsRead)
      put(readers, stats.followers, 'following')
      put(readers, stats.readers - stats.followers, 'once')
      put(watchers, stats.watchers)
    },
  }
}
