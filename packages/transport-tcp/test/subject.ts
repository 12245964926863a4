/** Transports under test, on loopback and free ports, plain and with TLS. */
import { readFileSync } from 'node:fs'
import { silentLogger } from '@kith/interface'
import type { PluginContext } from '@kith/interface'
import { systemClock, systemRandom } from '@kith/interface/node'
import type { StreamTransportSubject } from '@kith/testkit'
import { tcpTransport } from '../src/index.ts'
import type { TcpOptions, TcpTlsOptions } from '../src/index.ts'
import { openBlackHole } from './black-hole.ts'
import type { BlackHole } from './black-hole.ts'

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
  const holes: BlackHole[] = []
  return {
    clock: systemClock,
    open: (port = 0) => tcpTransport({ ...options, port })(context),
    errorsLogged: () => errors,
    async silentAddress() {
      const hole = await openBlackHole()
      holes.push(hole)
      return hole.address
    },
    async [Symbol.asyncDispose]() {
      for (const hole of holes) await hole[Symbol.asyncDispose]()
    },
  }
}
