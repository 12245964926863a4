import { defineConfig } from 'vitest/config'

// Tests run from the sources: the condition makes every workspace import resolve to `src`.
const conditions = ['@kith/source', 'node', 'import', 'default']

/**
 * Long tests of which no two want all processors: minutes beside a real Serf, which wait, and what
 * only computes or runs programs to their end. Two files at a time.
 */
const paired = [
  'tests/serf-interop/**/*.test.ts',
  'tests/fuzz/**/*.test.ts',
  'tests/dist-smoke/**/*.test.ts',
  'tools/readme-examples.test.ts',
]

/** Tests that start processes and wait on real timers: one file at a time, after all others. */
const processes = [
  'packages/*/test/process/**/*.test.ts',
  'apps/*/test/process/**/*.test.ts',
  'tests/e2e/**/*.test.ts',
  'tools/run.test.ts',
]

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
          exclude: ['**/node_modules/**', '**/dist/**', ...paired, ...processes],
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
          exclude: ['**/node_modules/**', '**/dist/**'],
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'processes',
          include: processes,
          exclude: ['**/node_modules/**', '**/dist/**'],
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
    ],
    execArgv: ['--conditions=@kith/source'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
