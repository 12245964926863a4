/** How the suites make a store; also imported by the processes that are made to be killed. */
import type { LogStore } from '@kith/interface'
import { nodeSqliteStore } from '../src/index.ts'

export const openStore = (directory: string): LogStore => nodeSqliteStore({ directory })()
