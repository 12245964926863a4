/** Transports under test, on loopback and free ports, plain and with TLS. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { silentLogger } from '@kith/interface'
import type { PluginContext } from '@kith/interface'
import { systemClock, systemRandom } from '@kith/interface/node'
import type { StreamTransportSubject } from '@kith/testkit'
import { tcpTransport } from '../src/index.ts'
import type { TcpOptions, TcpTlsOptions } from '../src/index.ts'

const fixture = (name: string): string =>
  readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8')

/** A self-signed certificate for loopback that serves as its own authority; valid for a century. */
export function testTls(): TcpTlsOptions {
  const cert = fixture('member-cert.pem')
  return { key: fixture('member-key.pem'), cert, ca: cert }
}

export function testContext(onError: () => void = () => {}): PluginContext {
  const logger = { ...silentLogger, error: onError }
  return { clock: systemClock, random: systemRandom(), logger }
}

export function openTcp(options: TcpOptions = {}): StreamTransportSubject {
  let errors = 0
  const context = testContext(() => (errors += 1))
  const held: Socket[] = []
  const mute = createServer((socket) => void held.push(socket.on('error', () => {})))
  return {
    clock: systemClock,
    open: (port = 0) => tcpTransport({ ...options, port })(context),
    errorsLogged: () => errors,
    /**
     * Somebody who accepts connections and never says a word: with TLS, no handshake ends there.
     */
    async silentAddress() {
      await new Promise<void>((resolve) => void mute.listen(0, '127.0.0.1', resolve))
      return { host: '127.0.0.1', port: (mute.address() as AddressInfo).port }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of held) socket.destroy()
      if (mute.listening) await new Promise((resolve) => void mute.close(resolve))
    },
  }
}
