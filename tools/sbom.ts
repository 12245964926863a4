/**
 * What a user of all packages gets, each part with version, licence and digest: a list of materials
 * in CycloneDX, which npm makes of a real install. `npm run sbom [-- FILE]`; default
 * `kith.cdx.json`.
 */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { root } from './support/command.ts'
import { strangersProject } from './support/stranger.ts'

const file = resolve(root, process.argv[2] ?? 'kith.cdx.json')
using project = await strangersProject()
const text = await project.npm('sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev')
const { components } = JSON.parse(text) as { readonly components: readonly unknown[] }
writeFileSync(file, text)
process.stdout.write(`${file}: ${components.length} components\n`)
