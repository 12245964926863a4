/** Transports under test, on loopback and free ports. */
import { silentLogger } from '@kith/interface'
import type { PluginContext } from '@kith/interface'
import { systemClock, systemRandom } from '@kith/interface/node'
import type { PacketTransportSubject } from '@kith/testkit'
import { udpTransport } from '../src/index.ts'

export function openUdp(host: string): PacketTransportSubject {
  let errors = 0
  const logger = { ...silentLogger, error: () => void (errors += 1) }
  const context: PluginContext = { clock: systemClock, random: systemRandom(), logger }
  return {
    clock: systemClock,
    open: (port = 0) => udpTransport({ host, port })(context),
    errorsLogged: () => errors,
  }
}
