import { defineConfig } from 'vitest/config'

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
  'tools/readme-examples.test.ts',
]

/** What only computes, while those wait: three files at a time, of both together. */
const fuzzed = ['tests/fuzz/**/*.test.ts']

/** Whole programs that mostly wait for each other: two files at a time. */
const programs = [
  'agent',
  'access',
  'by-name',
  'client',
  'consul-client',
  'gossip',
  'reload',
  'services',
].map((name) => `tests/e2e/${name}.test.ts`)

/** Tests that start processes and judge real time or memory: one file at a time, at the end. */
const processes = [
  'packages/*/test/process/**/*.test.ts',
  'apps/*/test/process/**/*.test.ts',
  'tests/e2e/**/*.test.ts',
  'tools/run.test.ts',
]

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
          exclude: [...notOurs, ...paired, ...fuzzed, ...programs, ...processes],
          // Vitest would leave one processor idle, which on two halves the speed.
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
          maxWorkers: 3,
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
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'programs',
          include: programs,
          exclude: notOurs,
          maxWorkers: 2,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: processes,
          exclude: [...notOurs, ...programs],
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
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
