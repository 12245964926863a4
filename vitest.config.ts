import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Tests run from the sources: the condition makes every workspace import resolve to `src`.
const conditions = ['@kith/source', 'node', 'import', 'default']

/**
 * Minutes beside a real Serf, and of agents that are killed, which mostly wait; and programs that
 * run to their end within a time.
 */
const paired = [
  'tests/serf-interop/**/*.test.ts',
  'tests/dist-smoke/**/*.test.ts',
  'tests/soak/replication.test.ts',
  'tests/soak/agent.test.ts',
  'tools/readme-examples.test.ts',
]

/** What only computes, while those wait: four files at a time, of both together. */
const fuzzed = ['tests/fuzz/**/*.test.ts']

/** What a library keeps for the whole process would be that of the file before. */
const alone = [
  'packages/registry/test/tls-check.test.ts',
  'packages/grpc/test/**/*.test.ts',
  'packages/metrics/test/**/*.test.ts',
  'packages/undici/test/**/*.test.ts',
]

/** Tests that judge real time or memory: one file at a time, at the end. */
const processes = [
  'packages/dns/test/process/**/*.test.ts',
  'tests/e2e/hostile*.test.ts',
  'tests/e2e/blocked.test.ts',
  'tests/e2e/storm.test.ts',
  'tests/e2e/stream-bounds.test.ts',
  'tests/sim/gossip-scale.test.ts',
]

/** Whole programs that mostly wait, for each other or for a disk: two files at a time. */
const programs = [
  'packages/*/test/process/**/*.test.ts',
  'apps/*/test/process/**/*.test.ts',
  'tests/e2e/**/*.test.ts',
  'tools/run.test.ts',
]

/** What takes longest begins first, so that no processor is idle at the end of a group. */
const longest = [
  'tests/sim/gossip.test.ts',
  'packages/agent/test/agent.test.ts',
  'tests/sim/replication.test.ts',
  'packages/testkit/test/planted.test.ts',
  'packages/log/test/start.test.ts',
  'tests/sim/registry/registry.test.ts',
  'tests/sim/gossip-lifeguard.test.ts',
  'tests/serf-interop/serf.test.ts',
  'tests/serf-interop/sealed.test.ts',
  'tests/fuzz/gossip.test.ts',
  'tests/soak/replication.test.ts',
  'tools/readme-examples.test.ts',
  'tests/serf-interop/rpc.test.ts',
  'tests/serf-interop/handlers.test.ts',
  'tests/dist-smoke/packed.test.ts',
  'tests/fuzz/others.test.ts',
  'tests/e2e/agent.test.ts',
  'packages/log/test/process/kill.test.ts',
  'tests/e2e/by-name.test.ts',
].map((name) => join(import.meta.dirname, name))

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = longest.indexOf(moduleId)
      return at === -1 ? longest.length : at
    }
    return sorted.toSorted((a, b) => rank(a) - rank(b))
  }
}

/** Gives way to the tests of its group that judge real time, and waits for a processor. */
const patient = { setupFiles: ['tools/support/low-priority.ts'], testTimeout: 120_000 }
const notOurs = ['**/node_modules/**', '**/dist/**']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'units',
          include: [
            'packages/*/test/**/*.test.ts',
            'apps/*/test/**/*.test.ts',
            'bench/test/**/*.test.ts',
            'tests/**/*.test.ts',
            'tools/**/*.test.ts',
          ],
          exclude: [...notOurs, ...alone, ...paired, ...fuzzed, ...programs, ...processes],
          // Vitest would leave one processor idle, which on two halves the speed.
          maxWorkers: '100%',
          // A process for each file would spend half of its time on loading the same modules.
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          exclude: notOurs,
          maxWorkers: '100%',
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'paired',
          include: paired,
          exclude: notOurs,
          maxWorkers: 4,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'fuzzed',
          include: fuzzed,
          exclude: notOurs,
          ...patient,
          maxWorkers: 4,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'programs',
          include: programs,
          exclude: [...notOurs, ...processes],
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: processes,
          exclude: notOurs,
          maxWorkers: 1,
          sequence: { groupOrder: 4 },
        },
      },
    ],
    execArgv: [
      '--conditions=@kith/source',
      // Threads that load TypeScript share a WebAssembly module, and V8 13.6 frees code of it that
      // another one still counts when it replaces a wrapper: under load a process crashed at times.
      '--wasm-wrapper-tiering-budget=1000000000',
    ],
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
