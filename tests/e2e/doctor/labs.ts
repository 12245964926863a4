/**
 * Three places in which things go wrong for real: a cluster on loopback that others disturb, a
 * network namespace with a firewall, and a disk that is small, slow or broken.
 */
import { execFile, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Agent, createAgent } from '@kith/agent'
import { parseAddress } from '@kith/interface'
import { MsgpackWriter } from '@kith/msgpack'
import { freePort } from '../../support/ports.ts'
import { type AgentProcess, kith, startAgentIn } from '../process.ts'
import { type Look, Patient } from './patient.ts'

const execute = promisify(execFile)

/** Blocks the event loop of a process that is sent SIGUSR2, and nothing else of it. */
const blockMs = 1_200
const blockable = `process.on('SIGUSR2', () => {
  const until = performance.now() + ${blockMs}
  while (performance.now() < until);
})`

const twin = ['--node', 'twin']

interface Disturbers {
  readonly agents: AgentProcess[]
  readonly other: Agent
}

export class LoopbackLab {
  /** Without a key and without a label; the others disturb it. */
  readonly asked: Patient
  /** Has a key, another one than `wrongKey`, which joins it in vain. */
  readonly keyed: Patient
  /** Has the label `west`, and reaches nobody. */
  readonly labelled: Patient
  /** Where `twin` says that its HTTP is, and nothing listens. */
  readonly closed: string
  readonly #disturbers: Disturbers

  private constructor(
    patients: Pick<LoopbackLab, 'asked' | 'keyed' | 'labelled'>,
    closed: string,
    disturbers: Disturbers,
  ) {
    this.asked = patients.asked
    this.keyed = patients.keyed
    this.labelled = patients.labelled
    this.closed = closed
    this.#disturbers = disturbers
  }

  static async start(): Promise<LoopbackLab> {
    const closed = `127.0.0.1:${await freePort()}`
    const [one = '', two = ''] = [1, 2].map((fill) => Buffer.alloc(32, fill).toString('base64'))
    const execArgv = ['--import', `data:text/javascript,${encodeURIComponent(blockable)}`]
    const asked = await Patient.start({ execArgv }, '--node', 'asked')
    const seed = ['--join', asked.agent.gossip]
    const [keyed, labelled, first] = await Promise.all([
      Patient.start({}, '--node', 'keyed', '--encrypt', one),
      Patient.start({}, '--node', 'labelled', '--label', 'west', ...seed),
      startAgentIn({}, ...twin, ...seed, '--http-advertise', closed),
    ])
    const [wrongKey, other] = await Promise.all([
      startAgentIn({}, '--node', 'wrongKey', '--encrypt', two, '--join', keyed.agent.gossip),
      otherCluster(asked.agent.gossip),
    ])
    const agents = [labelled.agent, first, wrongKey]
    return new LoopbackLab({ asked, keyed, labelled }, closed, { agents, other })
  }

  /** Another process with the name of one that is there. */
  async startTwin(): Promise<void> {
    const { agents } = this.#disturbers
    agents.push(await startAgentIn({}, ...twin, '--join', this.asked.agent.gossip))
  }

  block(): void {
    process.kill(this.asked.agent.pid, 'SIGUSR2')
  }

  /** A member of its own making, whose tags are longer than any member may have. */
  async sayTooMuch(): Promise<void> {
    const to = parseAddress(this.asked.agent.gossip)
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const packet = aliveOf('large', socket.address().port, new Uint8Array(600))
    await new Promise((resolve) => {
      socket.send(packet, to?.port, to?.host, resolve)
    })
    await new Promise<void>((resolve) => void socket.close(resolve))
  }

  /** One that has a key and one that has none try to join each other. */
  async joinOverKeys(from: 'asked' | 'keyed'): Promise<void> {
    const [one, other] = [this[from], from === 'asked' ? this.keyed : this.asked]
    await kith(['join', other.agent.gossip, '--rpc-addr', one.agent.rpc])
  }

  /** Nobody disturbs any more. */
  async calm(): Promise<void> {
    const { agents, other } = this.#disturbers
    for (const { child } of agents) child.kill('SIGKILL')
    await other.stop()
  }
}

/** An agent in this process: the command has no word for the cluster id. */
async function otherCluster(seed: string): Promise<Agent> {
  const agent = createAgent({ name: 'cleo', profile: 'local', clusterId: 'other', join: [seed] })
  await agent.start()
  return agent
}

/** What memberlist sends of a member that lives. */
function aliveOf(name: string, port: number, meta: Uint8Array): Uint8Array {
  const alive = 4
  const writer = new MsgpackWriter()
  writer.map(6)
  writer.text('Incarnation').uint(1)
  writer.text('Node').text(name)
  writer.text('Addr').bytes(Uint8Array.of(127, 0, 0, 1))
  writer.text('Port').uint(port)
  writer.text('Meta').bytes(meta)
  writer.text('Vsn').bytes(Uint8Array.of(1, 5, 2, 2, 5, 4))
  return Uint8Array.of(alive, ...writer.finish())
}

/** Two agents in a namespace of their own, between which UDP and HTTP do not pass. */
export class FirewallLab {
  readonly #inside: readonly string[]
  #asked: Patient | undefined

  constructor() {
    this.#inside = ['ip', 'netns', 'exec', `kith-doctor-${process.pid}`]
  }

  get asked(): Patient {
    if (this.#asked === undefined) throw new Error('the firewall is not there yet')
    return this.#asked
  }

  async start(): Promise<void> {
    await execute('ip', ['netns', 'add', this.#name])
    await this.#run('ip', 'link', 'set', 'lo', 'up')
    await this.#run('ip', 'address', 'add', '10.77.0.1/32', 'dev', 'lo')
    const rules = `
      table inet doctor {
        chain in {
          type filter hook input priority 0;
          udp dport 8946 drop
          udp sport 8946 drop
          tcp dport 8947 drop
        }
      }`
    await this.#run('nft', rules)
    const surroundings = { before: this.#inside }
    const open = ['--insecure-plaintext', '--no-rpc']
    this.#asked = await Patient.start(
      surroundings,
      ...['--node', 'asked', '--bind', '10.77.0.1:7946', '--http', '10.77.0.1:7947', ...open],
    )
    await startAgentIn(
      surroundings,
      ...['--node', 'walled', '--bind', '127.0.0.1:8946', '--http', '127.0.0.1:8947', ...open],
      ...['--join', '10.77.0.1:7946'],
    )
  }

  /** Lets everything pass. */
  open(): Promise<void> {
    return this.#run('nft', 'flush', 'ruleset')
  }

  /** After its processes have ended. */
  async remove(): Promise<void> {
    await execute('ip', ['netns', 'del', this.#name])
  }

  get #name(): string {
    return this.#inside.at(-1) ?? ''
  }

  async #run(...words: readonly string[]): Promise<void> {
    const [program = '', ...args] = [...this.#inside, ...words]
    await execute(program, args)
  }
}

type Tracer = AsyncDisposable

/** An agent whose data is on a small disk of its own. */
export class DiskLab {
  #folder = ''
  #asked: Patient | undefined
  /** What the doctor said before anything was wrong. */
  before: Look | undefined
  /** Three appends to a slow disk, and whether each was taken. */
  slowed: Promise<readonly number[]> = Promise.resolve([])

  get asked(): Patient {
    if (this.#asked === undefined) throw new Error('the disk is not there yet')
    return this.#asked
  }

  async start(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'kith-doctor-'))
    await execute('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', this.#folder])
    const data = ['--data', join(this.#folder, 'data')]
    this.#asked = await Patient.start({}, '--node', 'full', ...data)
    this.before = await this.#asked.look()
    this.slowed = this.#appendSlowly()
    this.slowed.catch(() => {})
  }

  async #appendSlowly(): Promise<readonly number[]> {
    // Each flush takes so much longer, as on a disk that is throttled.
    await using _slow = await this.#trace('delay_enter=1100000')
    return [await this.append(10), await this.append(10), await this.append(10)]
  }

  /** Appends so many bytes, and resolves with the status of the answer. */
  async append(bytes: number): Promise<number> {
    const answer = await fetch(`http://${this.asked.agent.http}/v1/log/records`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: new Uint8Array(bytes).fill(7),
    })
    await answer.arrayBuffer()
    return answer.status
  }

  /** Until the agent refuses records: what is left of the disk, and then appends. */
  async fill(): Promise<number> {
    const rest = new Uint8Array(24 * 1024 * 1024)
    await writeFile(this.#filler, rest).catch(() => {})
    for (let tries = 0; tries < 200; tries += 1) {
      const status = await this.append(200_000)
      if (status !== 200) return status
    }
    throw new Error('a disk without room took everything')
  }

  async empty(): Promise<void> {
    await rm(this.#filler)
  }

  /** Appends while each flush fails, as on a disk that is broken. */
  async appendBroken(): Promise<number> {
    await using _broken = await this.#trace('error=EIO')
    return await this.append(10)
  }

  /** After its process has ended. */
  async remove(): Promise<void> {
    await execute('umount', ['-l', this.#folder])
    await rm(this.#folder, { recursive: true })
  }

  get #filler(): string {
    return join(this.#folder, 'filler')
  }

  #trace(inject: string): Promise<Tracer> {
    return trace(this.asked.agent, `fdatasync,fsync:${inject}`)
  }
}

/** Changes what the system does for a process that runs, until it is disposed of. */
async function trace({ pid }: AgentProcess, inject: string): Promise<Tracer> {
  const quiet = ['-o', '/dev/null', '-e', 'trace=fdatasync,fsync']
  const args = ['-f', ...quiet, '-e', `inject=${inject}`, '-p', String(pid)]
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(strace, 'exit')
  let said = ''
  await new Promise<void>((resolve, reject) => {
    strace.stderr.on('data', (text: Buffer) => {
      said += text.toString()
      if (said.includes('attached')) resolve()
    })
    void ended.then(() => reject(new Error(`strace ended: ${said}`)))
  })
  return {
    async [Symbol.asyncDispose]() {
      strace.kill('SIGTERM')
      await ended
    },
  }
}
