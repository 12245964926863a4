/** What takes part in a comparison of logs. */
import { readFileSync } from 'node:fs'

export interface Guarantee {
  /** What stands behind a record once its append was answered. */
  readonly acknowledged: string
  /** What would find a damaged record. */
  readonly checksum: string
  /** Who flushes, and when. */
  readonly flushes: string
}

export interface Contender {
  readonly name: string
  /** Of the program or package; empty where it is of this repository. */
  readonly version: string
  readonly guarantee: Guarantee
  /** Where its files are. */
  readonly directory: string
  /** The process that does the work, where that is another one. */
  readonly pid?: number
  /** Resolves once `values` are acknowledged, in one commit where there is such a thing. */
  append(values: readonly Uint8Array[]): Promise<unknown> | void
  /**
   * Reads the next page from where the last one ended, after the end from the beginning again, and
   * says how many bytes its values had together, and how many they were.
   */
  read(): Promise<Page> | Page
  stop(): Promise<void> | void
}

export interface Page {
  readonly records: number
  readonly bytes: number
}

/** Records a page has at most, for all alike: of 1 KiB a megabyte. */
export const pageRecords = 1_000

/** Makes a contender in a directory of its own; records will be of `recordBytes`. */
export type OpenContender = (directory: string) => Promise<Contender>

/** The version of a package that this one has installed. */
export function packageVersion(name: string): string {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

/** A contender that this machine does not have; the others go on. */
export class MissingError extends Error {}
