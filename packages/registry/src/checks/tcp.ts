/** `tcp`: passing when a connection opens. Nothing is sent. */
import { connect } from 'node:net'
import { type CheckKind, type CheckResult, type CheckTarget, formatAddress } from '@kith/interface'
import { failure, isPort, isText, OptionReader } from './problems.ts'

export interface TcpCheckOptions {
  /** Default: the instance's address. */
  readonly host: string
  /** Default: the instance's port. */
  readonly port: number
}

export function tcpCheck(): CheckKind<TcpCheckOptions> {
  return {
    kind: 'tcp',
    parse(options: unknown, target: CheckTarget) {
      const reader = new OptionReader(options)
      const host = reader.field('host', isText, 'a host name or IP address', target.address)
      const port = reader.field('port', isPort, 'an integer from 1 to 65535', target.port)
      reader.done()
      return Object.freeze({ host, port })
    },
    run: ({ host, port }, signal) =>
      new Promise<CheckResult>((resolve, reject) => {
        signal.throwIfAborted()
        const name = formatAddress({ host, port })
        const socket = connect({ host, port, signal })
        socket.once('connect', () => {
          socket.destroy()
          resolve({ status: 'passing', output: `connected to ${name}` })
        })
        socket.once('error', (cause) => reject(failure(`${name}: ${cause.message}`, cause)))
      }),
  }
}
