// What is said of options, and what they are, is the same.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { GossipError } from '../src/errors.ts'
import { profiles, resolveOptions } from '../src/options.ts'
import type { GossipTimings, Profile } from '../src/options.ts'

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const text = read('OPTIONS.md')

/** The cells of the rows below a heading, without its head. */
function table(heading: string): readonly (readonly string[])[] {
  const [, section = ''] = text.split(`\n## ${heading}\n`)
  const [body = ''] = section.split('\n## ')
  const rows = body.split('\n').filter((line) => line.startsWith('| '))
  return rows.slice(2).map((row) => row.split(/(?<!\\)\|/).map((cell) => cell.trim()))
}

/** The fields of an interface in this file. */
function declared(file: string, name: string): readonly string[] {
  const [, body = ''] = read(file).split(`export interface ${name} {`)
  const [fields = ''] = body.split('\n}')
  return [...fields.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field = '']) => field)
}

const shown = (value: number | boolean): string =>
  typeof value === 'number' ? value.toLocaleString('en-US') : value ? 'on' : 'off'

/** As a refusal says them. */
function bounds(field: string): string {
  try {
    resolveOptions('lan', { [field]: Number.NaN })
  } catch (cause) {
    const [problem] = (cause instanceof GossipError && cause.details?.problems) || []
    const [, least, most] = /^an integer from (\d+) to (\d+)$/.exec(problem?.want ?? '') ?? []
    return least === undefined ? 'on, off' : `${shown(Number(least))} to ${shown(Number(most))}`
  }
  return 'none'
}

describe('the tables of options', () => {
  it('GOS-21 have every option of a member, and no other', () => {
    const rows = table('createGossip').map(([, name = '']) => name.replaceAll('`', ''))
    expect(rows).toEqual(declared('src/runtime/types.ts', 'GossipOptions'))
  })

  it('GOS-66 have every timing with its unit, its value in each profile, and its bounds', () => {
    const of = (profile: Profile, field: keyof GossipTimings): string => {
      const value = profiles[profile][field]
      return profile !== 'lan' && value === profiles.lan[field] ? '' : shown(value)
    }
    const wanted = (Object.keys(profiles.lan) as (keyof GossipTimings)[]).map((field) => [
      `\`${field}\``,
      field.endsWith('Ms') ? 'ms' : field.includes('Bytes') ? 'bytes' : '',
      ...(['lan', 'wan', 'local', 'fast'] as const).map((profile) => of(profile, field)),
      bounds(field),
    ])
    const rows = table('Timings and limits')
    expect(rows.map((cells) => cells.slice(1, 8))).toEqual(wanted)
    for (const cells of rows) expect(cells[8]?.length).toBeGreaterThan(10)
  })

  it('GOS-21 have every option of a call, of a keyring and of a discovery', () => {
    const named = (heading: string, of: string): readonly string[] =>
      table(heading)
        .filter(([, owner]) => owner === `\`${of}\``)
        .flatMap(([, , options = '']) => options.match(/\w+/g) ?? [])
        .toSorted()
    const files = [
      ['Calls', 'join', 'src/runtime/types.ts', 'JoinOptions'],
      ['Calls', 'emit', 'src/runtime/talk-types.ts', 'EmitOptions'],
      ['Calls', 'events', 'src/runtime/talk-types.ts', 'EventsOptions'],
      ['Calls', 'query', 'src/runtime/talk-types.ts', 'QueryOptions'],
      ['Calls', 'fetch', 'src/runtime/fetching.ts', 'FetchOptions'],
      ['Calls', 'keys.*', 'src/runtime/key-types.ts', 'KeyOptions'],
      ['Keyrings and discoveries', 'createKeyring', 'src/runtime/keyring.ts', 'KeyringOptions'],
    ] as const
    for (const [heading, of, file, name] of files) {
      expect(named(heading, of), of).toEqual(declared(file, name).toSorted())
    }
    for (const [of, file, name] of [
      ['dnsDiscovery', 'src/runtime/discovery/dns.ts', 'DnsDiscoveryOptions'],
      ['fileDiscovery', 'src/runtime/discovery/file.ts', 'FileDiscoveryOptions'],
    ] as const) {
      const options = named('Keyrings and discoveries', of)
      expect(options).toEqual(expect.arrayContaining([...declared(file, name)]))
    }
  })
})
