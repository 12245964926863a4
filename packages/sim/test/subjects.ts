/** Memory transports under test: one network, with time running as fast as it can. */
import { silentLogger } from '@kith/interface'
import type { PluginContext } from '@kith/interface'
import type { PacketTransportSubject, StreamTransportSubject } from '@kith/testkit'
import { createSimRandom, createVirtualClock, SimNetwork } from '../src/index.ts'
import type { LinkFaults } from '../src/index.ts'

const host = '10.0.0.1'

function world(faults: Partial<LinkFaults>) {
  const clock = createVirtualClock()
  const network = new SimNetwork({ seed: 7, clock, faults })
  let errors = 0
  const logger = { ...silentLogger, error: () => void (errors += 1) }
  const context: PluginContext = { clock, random: createSimRandom(7, 'context'), logger }
  const over = new AbortController()
  const pump = clock.pump(over.signal)
  const dispose = async (): Promise<void> => {
    over.abort()
    await pump
  }
  return { clock, network, context, errorsLogged: () => errors, [Symbol.asyncDispose]: dispose }
}

export function openPackets(faults: Partial<LinkFaults> = {}): PacketTransportSubject {
  const { network, context, ...rest } = world(faults)
  return { ...rest, open: (port = 0) => network.packetTransport({ host, port })(context) }
}

export function openStreams(faults: Partial<LinkFaults> = {}): StreamTransportSubject {
  const { network, context, ...rest } = world(faults)
  const silent = { host: '10.0.0.9', port: 9 }
  return {
    ...rest,
    open: (port = 0) => network.streamTransport({ host, port })(context),
    silentAddress() {
      network.attach(silent, {})
      network.crash(silent, { afterwards: 'swallow' })
      return silent
    },
  }
}
