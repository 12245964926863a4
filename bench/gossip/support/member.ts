/**
 * One process with one or more members, measured as a real Serf agent is: a line on standard output
 * for whatever a member sees, `<member> <joined|left|failed> <other>`. SIGINT leaves in order.
 */
import { createGossip } from '@kith/gossip'
import type { Gossip, Profile } from '@kith/gossip'
import { tcpTransport } from '@kith/transport-tcp'
import { udpTransport } from '@kith/transport-udp'

export interface MemberSpec {
  readonly members: readonly { readonly name: string; readonly host: string }[]
  readonly port: number
  readonly profile: Profile
  readonly join: readonly string[]
}

const spec = JSON.parse(process.argv[2] ?? '') as MemberSpec
const open: Gossip[] = []
for (const { name, host } of spec.members) {
  const gossip = createGossip({
    name,
    packets: udpTransport({ host, port: spec.port }),
    streams: tcpTransport({ host, port: spec.port }),
    profile: spec.profile,
    join: spec.join.filter((seed) => seed !== `${host}:${spec.port}`),
  })
  const tell = (what: string) => (event: { readonly member: { readonly name: string } }) =>
    void process.stdout.write(`${name} ${what} ${event.member.name}\n`)
  gossip.on('join', tell('joined'))
  gossip.on('leave', tell('left'))
  gossip.on('fail', tell('failed'))
  await gossip.start()
  open.push(gossip)
}

let ending = false
process.on('SIGINT', () => {
  if (ending) return
  ending = true
  const over = Promise.all(open.map((gossip) => gossip.leave()))
  void over.then(() => Promise.all(open.map((gossip) => gossip.stop()))).then(() => process.exit(0))
})
// A benchmark that was killed must not leave members behind.
process.stdin.on('end', () => process.exit(1)).resume()
