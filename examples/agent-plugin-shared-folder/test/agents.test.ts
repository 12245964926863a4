/** Two agents that know nothing of each other but the folder. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { it } from 'node:test'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAgent } from '@kith/agent'
import { sharedFolder } from '../src/index.ts'

const token = 'the-token-of-an-operator'
const httpTokens = [
  { token, role: 'operator' as const },
  { token: 'the-token-of-a-reader', role: 'read' as const },
]

void it('find each other, check files, answer for the folder, and clean up', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shared-folder-'))
  const plugins = [sharedFolder({ folder })]
  const shared = { profile: 'local', plugins, httpTokens } as const
  const services = [
    { service: 'backup', port: 1, checks: [{ kind: 'fresh-file', options: { path: folder } }] },
  ]
  const ada = createAgent({ ...shared, name: 'ada', services })
  const ben = createAgent({ ...shared, name: 'ben' })
  try {
    await ada.start()
    const met = new Promise((resolve) => ada.gossip.on('join', resolve))
    await ben.start()
    await met
    for await (const [backup] of ben.registry.watch('backup')) {
      if (backup === undefined) continue
      assert.match(backup.checks[0]?.output ?? '', /was written \d+ s ago/)
      break
    }

    const { host, port } = ben.httpAddress
    const ask = async (method: string, path: string, shown = token): Promise<unknown[]> => {
      const headers = { authorization: `Bearer ${shown}` }
      const url = `http://${host}:${port}/v1/plugins/shared-folder/entries${path}`
      const answer = await fetch(url, { method, headers })
      const text = await answer.text()
      return [answer.status, text === '' ? undefined : JSON.parse(text)]
    }
    await writeFile(join(folder, 'eve.member'), 'eve/10.0.0.9:7946\n')
    const address = (agent: typeof ada): string => `127.0.0.1:${agent.gossip.address.port}`
    const [status, listed] = await ask('GET', '')
    assert.equal(status, 200)
    const { entries } = listed as { readonly entries: readonly { readonly member: string }[] }
    assert.deepEqual(
      entries.toSorted((one, two) => (one.member < two.member ? -1 : 1)),
      [
        { member: 'ada', address: address(ada), status: 'alive' },
        { member: 'ben', address: address(ben), status: 'alive' },
        { member: 'eve', address: '10.0.0.9:7946', status: 'unknown' },
      ],
    )
    const refused = [
      ['eve', 'the-token-of-a-reader', 403],
      ['ben', token, 409],
      ['eva', token, 404],
      ['..%2Fada', token, 404],
      ['eve', token, 204],
    ] as const
    for (const [member, shown, expected] of refused) {
      assert.equal((await ask('DELETE', `/${member}`, shown))[0], expected, member)
    }
    assert.deepEqual((await readdir(folder)).toSorted(), ['ada.member', 'ben.member'])
  } finally {
    await ben.stop()
    await ada.stop()
  }
  assert.deepEqual(await readdir(folder), [])
  await rm(folder, { recursive: true })
})
