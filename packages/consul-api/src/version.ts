/** The version of this package, as its manifest says it. */
import { readFileSync } from 'node:fs'

/** The version in the package's own manifest, which stands beside `src` and `dist` alike. */
export function apiVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
