/**
 * A process of members that join an agent, one after another: with the letter `l` on its standard
 * input some of them leave; the rest stay until the process is killed.
 */
import { type Agent, createAgent } from '@kith/agent'

const [seed = '', prefix = '', ...counts] = process.argv.slice(2)
const [leaving = 0, staying = 0] = counts.map(Number)
const agents: Agent[] = []
for (let at = 0; at < leaving + staying; at += 1) {
  const agent = createAgent({
    name: `${prefix}-${at}`,
    join: [seed],
    profile: 'fast',
    services: [{ service: 'web', port: 8080 }],
  })
  // One after another, as processes would come.
  // oxlint-disable-next-line no-await-in-loop -- see above
  await agent.start()
  agents.push(agent)
}
process.stdout.write('started\n')
process.stdin.once('data', () => {
  void Promise.all(agents.slice(0, leaving).map((agent) => agent.stop())).then(() => {
    process.stdout.write('left\n')
  })
})
