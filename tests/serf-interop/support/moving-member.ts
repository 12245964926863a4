// A Kith member that finds its own address, as a process in a network namespace: what it is told of
// members and of itself goes to standard output, an object a line.
import { createGossip } from '@kith/gossip'
import { formatAddress } from '@kith/interface'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'

const [name = '', ...join] = process.argv.slice(2)
const wildcard = { host: '0.0.0.0', port: 7946 }
const gossip = createGossip({
  name,
  packets: udpTransport(wildcard),
  streams: tcpTransport(wildcard),
  advertise: 'auto',
  join,
})

function tell(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

for (const kind of ['join', 'update', 'fail', 'leave'] as const) {
  gossip.on(kind, ({ member }) => {
    tell({ kind, name: member.name, address: formatAddress(member.address) })
  })
}
gossip.on('warning', ({ kind }) => tell({ kind, name }))
await gossip.start()
