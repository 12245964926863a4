/** Members as processes, each of which knows all others. */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Command, Figures, Peer, Reply } from './member.ts'

export class MeshMember {
  readonly peer: Peer
  readonly pid: number
  readonly #child: ChildProcess
  #id = 0

  private constructor(child: ChildProcess, peer: Peer) {
    this.#child = child
    this.peer = peer
    this.pid = child.pid ?? 0
    // One listener for each command under way.
    child.setMaxListeners(0)
  }

  static async start(name: string, directory: string, watches: boolean): Promise<MeshMember> {
    const args = [name, directory, watches ? 'watches' : '']
    const child = fork(new URL('member.ts', import.meta.url), args)
    const [port] = (await once(child, 'message')) as [number]
    return new MeshMember(child, { name, port })
  }

  tell(command: Command): Promise<unknown> {
    const child = this.#child
    this.#id += 1
    const id = this.#id
    child.send({ id, command })
    return new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error(`${this.peer.name} ended`))
      const heard = (reply: Reply): void => {
        if (reply.id !== id) return
        child.off('message', heard).off('exit', gone)
        if (reply.error === undefined) resolve(reply.result)
        else reject(new Error(reply.error))
      }
      child.on('message', heard).on('exit', gone)
    })
  }

  figures(): Promise<Figures> {
    return this.tell({ kind: 'figures' }) as Promise<Figures>
  }

  /** The moment, on the clock of all processes, at which it held so many records. */
  until(records: number): Promise<number> {
    return this.tell({ kind: 'until', records }) as Promise<number>
  }

  async end(): Promise<void> {
    this.#child.disconnect()
    await once(this.#child, 'exit')
  }
}

export class Mesh implements AsyncDisposable {
  readonly members: readonly MeshMember[]
  readonly #directory: string

  private constructor(members: readonly MeshMember[], directory: string) {
    this.members = members
    this.#directory = directory
  }

  /** The last one reads what arrives, and says how long it took. */
  static async start(size: number, place: string): Promise<Mesh> {
    const directory = mkdtempSync(join(place, 'kith-bench-mesh-'))
    const members: MeshMember[] = []
    for (let index = 0; index < size; index += 1) {
      const name = `member-${index}`
      members.push(await MeshMember.start(name, join(directory, name), index === size - 1))
    }
    const mesh = new Mesh(members, directory)
    await mesh.tie('join', members, members)
    return mesh
  }

  /** What membership says to some about others; the moment of the last word. */
  async tie(
    kind: 'join' | 'fail',
    those: readonly MeshMember[],
    about: readonly MeshMember[],
  ): Promise<number> {
    const said = those.map((member) => {
      const peers = about.filter((other) => other !== member).map(({ peer }) => peer)
      return member.tell({ kind, peers }) as Promise<number>
    })
    return Math.max(...(await Promise.all(said)))
  }

  /** The moment at which all of them held so many records. */
  async until(records: number): Promise<number> {
    return Math.max(...(await Promise.all(this.members.map((one) => one.until(records)))))
  }

  figures(): Promise<readonly Figures[]> {
    return Promise.all(this.members.map((member) => member.figures()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.end()))
    rmSync(this.#directory, { recursive: true })
  }
}
