/**
 * The door to every root script. On a bare clone there is only an older Node.js and npm: this file
 * installs what the lockfile names, builds what changed, and hands over to Node 24 from the
 * lockfile. It therefore uses nothing that Node 20 does not have.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const node = join(root, 'node_modules/node/bin/node')
const stampFile = join(root, 'node_modules/.kith-install')
const source = '--conditions=@kith/source'

/**
 * What each script runs, as arguments to Node 24. `build: false` where the task builds by itself
 * or needs no build; `alone` where Ctrl-C must arrive once and in one process only.
 */
const tasks = {
  build: {},
  demo: { run: ['apps/demo/src/main.ts'], alone: true },
  test: { run: ['tools/test.ts'] },
  prove: { run: ['tools/prove.ts'] },
  check: { run: ['tools/check.ts'], build: false },
  api: { run: ['tools/api.ts'] },
  sbom: { run: ['tools/sbom.ts'] },
  bench: { run: ['tools/bench.ts'] },
  sim: { run: [source, 'tests/sim/main.ts'], build: false },
  soak: { run: [source, 'tests/soak/main.ts'], alone: true },
  // Young objects in 16 MiB: what an input costs is not to drown in what was not collected yet.
  fuzz: { run: ['--max-semi-space-size=8', source, 'tests/fuzz/main.ts'], build: false },
}

/** The binary itself comes before the shims: a shim is a shell that passes no signal on. */
const environment = {
  ...process.env,
  PATH: [dirname(node), join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter),
  TURBO_TELEMETRY_DISABLED: '1',
}

let child
let lastSignalAt = -Infinity
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGWINCH']) {
  process.on(signal, () => {
    if (signal !== 'SIGWINCH') {
      // A terminal and npm both send the same Ctrl-C; only a later one is a second wish.
      const now = performance.now()
      if (now - lastSignalAt < 300) return
      lastSignalAt = now
    }
    child?.kill(signal)
  })
}

/**
 * Resolves with the exit code; with `capture`, what was printed is kept for the case of failure.
 */
function run(command, args, { capture = false, alone = false } = {}) {
  return new Promise((resolve, reject) => {
    child = spawn(command, args, {
      cwd: root,
      env: environment,
      detached: alone,
      stdio: capture ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    })
    const printed = []
    child.stdout?.on('data', (chunk) => printed.push(chunk))
    child.stderr?.on('data', (chunk) => printed.push(chunk))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const output = Buffer.concat(printed).toString()
      resolve({ code: code ?? 128 + (constants.signals[signal] ?? 0), output })
    })
  })
}

function fail(message, output = '', code = 1) {
  if (output) process.stderr.write(output.endsWith('\n') ? output : `${output}\n`)
  process.stderr.write(`kith: ${message}\n`)
  process.exit(code)
}

/** Changes whenever another install is due: other versions, another machine, a moved folder. */
function installStamp() {
  const hash = createHash('sha256')
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml']) {
    hash.update(readFileSync(join(root, file)))
  }
  return hash.update(`${process.platform} ${process.arch} ${root}`).digest('hex')
}

async function install() {
  const stamp = installStamp()
  const current = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''
  if (current === stamp && existsSync(node)) return
  process.stderr.write('kith: installing what the lockfile names (once, under a minute) ... ')
  const startedAt = performance.now()
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const args = ['--yes', packageManager, 'install', '--frozen-lockfile']
  const { code, output } = await run('npx', args, { capture: true }).catch((cause) => {
    process.stderr.write('\n')
    fail(`npx did not start (${cause.code}). Install npm, which comes with Node.js 20 or newer.`)
  })
  process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`)
  if (code !== 0) fail(`the install failed with exit code ${code}; its output is above`, output)
  if (!existsSync(node)) fail(`the install left no Node.js 24 at ${node}`, output)
  mkdirSync(dirname(stampFile), { recursive: true })
  writeFileSync(stampFile, stamp)
}

async function build() {
  const tsc = join(root, 'node_modules/.bin/tsc')
  const { code, output } = await run(tsc, ['-b', '--pretty', 'false'], { capture: true })
  if (code !== 0) fail('the build failed; what the compiler says is above', output, code)
}

async function main() {
  const [name = '', ...args] = process.argv.slice(2)
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20) fail(`Node.js 20 or newer is needed to start, this is ${process.version}`)
  const task = Object.hasOwn(tasks, name) ? tasks[name] : undefined
  if (!task) fail(`unknown task '${name}'; there are: ${Object.keys(tasks).join(', ')}`)
  await install()
  if (task.build !== false) await build()
  if (!task.run) return
  const { code } = await run(node, [...task.run, ...args], { alone: task.alone })
  process.exit(code)
}

await main()
