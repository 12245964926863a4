/**
 * An address on loopback that neither accepts nor refuses: a listener whose process is stopped and
 * whose backlog is full. The system drops what comes after that without a word.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { Address } from '@kith/interface'

const listener = `require('node:net').createServer()
  .listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () {
    process.stdout.write(String(this.address().port))
  })`

export interface BlackHole extends AsyncDisposable {
  readonly address: Address
}

export async function openBlackHole(): Promise<BlackHole> {
  const child = spawn(process.execPath, ['-e', listener], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [text] = (await once(child.stdout, 'data')) as [Buffer]
  const address = { host: '127.0.0.1', port: Number(text) }
  child.kill('SIGSTOP')
  const fillers: Socket[] = []
  while (await getsThrough(address, fillers)) {
    if (fillers.length > 64) throw new Error('this system has room for everybody')
  }
  return {
    address,
    async [Symbol.asyncDispose]() {
      for (const socket of fillers) socket.destroy()
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

/** Takes one more place of the backlog; false once there is none. */
async function getsThrough(address: Address, fillers: Socket[]): Promise<boolean> {
  const socket = connect({ ...address })
  fillers.push(socket.on('error', () => {}))
  return await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), 200)
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
