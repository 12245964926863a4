import { defineConfig } from 'vitest/config'

// Tests run from the sources: the condition makes every workspace import resolve to `src`.
const conditions = ['@kith/source', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'tests/**/*.test.ts', 'tools/**/*.test.ts'],
    execArgv: ['--conditions=@kith/source'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
