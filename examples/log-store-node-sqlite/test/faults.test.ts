/** What every durable log store withstands. `FAULTS=full` looks for minutes, as root. */
import { describe, it } from 'node:test'
import { extname } from 'node:path'
import { runLogStoreFaults } from '@kith/testkit'

// As source and as built.
const module = new URL(`./open-store${extname(import.meta.url)}`, import.meta.url)
const extent = process.env['FAULTS'] === 'full' ? 'full' : 'short'
const report = (figure: string): void => console.log(figure)
runLogStoreFaults('node:sqlite store', { module }, { describe, it }, { extent, report })
