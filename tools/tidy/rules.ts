/**
 * The house rules that a machine can check. Each takes the files of the repository and returns what
 * is wrong, one line each; `tidy.test.ts` shows for every rule that it can find something.
 */
import { type Files, filesIn } from './files.ts'
import { identifiers, stripped } from './words.ts'

const clauseId = '(?:GOS|LOG|REP|REG|RPC|TRA|DNS|UND|GRP|CON|MET)-\\d+'
const source = /^(?:packages|apps)\/[^/]+\/src\/.*\.ts$/
const packageSource = /^packages\/[^/]+\/src\/.*\.ts$/
const testFile = /^(?:(?:packages|apps)\/[^/]+\/test|tests)\/.*\.ts$/
const anyCode = /\.(?:ts|mts|js|mjs)$/

/**
 * Clauses a SPEC.md or docs/protocol declares: an id that opens a line, a list item, a heading or a
 * table row.
 */
function declaredClauses(files: Files): Map<string, string> {
  const declared = new Map<string, string>()
  const opening = new RegExp(`^(?:[\\s|#*\`\\-]|\\d+\\.)*(${clauseId})\\b`, 'gm')
  for (const [name, text] of filesIn(
    files,
    /^(?:packages\/[^/]+\/SPEC|docs\/protocol\/[^/]+)\.md$/,
  )) {
    for (const match of text.matchAll(opening)) {
      const id = match[1] ?? ''
      declared.set(declared.has(id) ? `${id} twice` : id, name)
    }
  }
  return declared
}

/** Clauses that titles of tests and of conformance cases begin with. */
function testedClauses(files: Files): Map<string, string> {
  const tested = new Map<string, string>()
  const title = new RegExp(
    `(?:\\(|\\bid:|\\[)\\s*['"\`]((?:${clauseId}(?:\\s*[,&/+]\\s*|\\s+(?:and\\s+)?)?)+)`,
    'g',
  )
  const places =
    /^(?:(?:packages|apps)\/[^/]+\/test\/.*\.test|tests\/.*\.test|packages\/testkit\/src\/.*)\.ts$/
  for (const [name, text] of filesIn(files, places)) {
    for (const match of text.matchAll(title)) {
      for (const id of match[1]?.match(new RegExp(clauseId, 'g')) ?? []) tested.set(id, name)
    }
  }
  return tested
}

/** House rule 8: every clause has a test that begins with its id, and every such id is a clause. */
export function clauseProblems(files: Files): string[] {
  const declared = declaredClauses(files)
  const tested = testedClauses(files)
  const problems: string[] = []
  for (const [id, name] of declared) {
    if (id.endsWith(' twice')) problems.push(`${name}: ${id.replace(' twice', '')} stands twice`)
    else if (!tested.has(id)) problems.push(`${name}: no test's title begins with ${id}`)
  }
  for (const [id, name] of tested) {
    if (!declared.has(id)) problems.push(`${name}: ${id} is a clause of no SPEC.md`)
  }
  return problems
}

/** The members of its `XErrorCode` union; a file may name codes of other packages elsewhere. */
function ownCodes(text: string): Set<string> {
  const union = /\btype \w*ErrorCode\s*=([\s|]*'ERR_[A-Z0-9_]+'|\s*\/\/.*|\s*\/\*[^]*?\*\/)+/.exec(
    text,
  )
  const codes = (union?.[0] ?? text).matchAll(/'(ERR_[A-Z0-9_]+)'/g)
  return new Set([...codes].map((match) => match[1] ?? ''))
}

/** House rule 21: the codes in `src/errors.ts`, their fragments and the index are one set. */
export function errorProblems(files: Files): string[] {
  const problems: string[] = []
  const index = files.get('docs/errors.md') ?? ''
  const all = new Set<string>()
  for (const [name, text] of filesIn(files, /^packages\/[^/]+\/src\/errors\.ts$/)) {
    const short = name.split('/')[1] ?? ''
    const fragmentName = `docs/errors/${short}.md`
    const codes = ownCodes(text)
    for (const code of codes) all.add(code)
    const fragment = files.get(fragmentName)
    if (codes.size === 0) continue
    if (fragment === undefined) {
      problems.push(`${fragmentName} is missing, ${name} has ${codes.size} codes`)
      continue
    }
    if (!index.includes(`errors/${short}.md`)) problems.push(`docs/errors.md: no ${fragmentName}`)
    problems.push(...fragmentProblems(fragmentName, fragment, codes))
  }
  for (const [, link = ''] of index.matchAll(/\(errors\/([\w-]+\.md)\)/g)) {
    if (!files.has(`docs/errors/${link}`)) problems.push(`docs/errors.md: ${link} does not exist`)
  }
  const families = new Set([...all].map((code) => code.split('_')[1]))
  for (const [name, text] of filesIn(files, source)) {
    for (const [, code = ''] of text.matchAll(/['"`](ERR_[A-Z0-9]+_[A-Z0-9_]+)['"`]/g)) {
      if (families.has(code.split('_')[1]) && !all.has(code)) {
        problems.push(`${name}: ${code} stands in no errors.ts`)
      }
    }
  }
  return problems
}

function fragmentProblems(name: string, text: string, codes: ReadonlySet<string>): string[] {
  const problems: string[] = []
  const rows = new Map<string, readonly string[]>()
  for (const line of text.split('\n')) {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim())
    const code = cells[1]?.match(/^`?(ERR_[A-Z0-9_]+)`?$/)?.[1]
    if (code) rows.set(code, cells.slice(1, -1))
  }
  for (const code of codes) if (!rows.has(code)) problems.push(`${name}: no row for ${code}`)
  for (const [code, cells] of rows) {
    if (!codes.has(code)) problems.push(`${name}: ${code} is no code of that package`)
    if (cells.length !== 5 || cells.includes('')) {
      problems.push(`${name}: ${code} needs cause, state changed, retry helps and what to do`)
    }
  }
  return problems
}

/** House rule 22: names leave a package one by one. */
export function surfaceProblems(files: Files): string[] {
  return filesIn(files, packageSource).flatMap(([name, text]) => {
    const code = stripped(text)
    const problems: string[] = []
    if (/\bexport\s+(?:type\s+)?\*/.test(code)) problems.push(`${name}: export *`)
    if (/\bexport\s+default\b/.test(code)) problems.push(`${name}: export default`)
    return problems
  })
}

/** The first file of a process or of a thread: nobody imports it, so its state is nobody else's. */
const program = /\/(?:main|[a-z-]+-thread)\.ts$/

/** House rule 13: state belongs to the object that a factory made. */
export function stateProblems(files: Files): string[] {
  const modules = filesIn(files, packageSource).filter(([name]) => !program.test(name))
  return modules.flatMap(([name, text]) =>
    [...stripped(text).matchAll(/^(?:export )?(?:let|var) \w+/gm)].map(
      ([found]) => `${name}: ${found}: state of a module is shared by everybody who imports it`,
    ),
  )
}

/** House rule 23: a file opens with its purpose. */
export function purposeProblems(files: Files): string[] {
  return filesIn(files, source)
    .filter(([, text]) => !/^(?:#!.*\n)?\s*(?:\/\*|\/\/)/.test(text))
    .map(([name]) => `${name}: opens without a comment that says what it is for`)
}

/** House rule 23: 100 columns. The formatter breaks no string, so strings do not count. */
export function widthProblems(files: Files): string[] {
  const strings = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|https?:\/\/\S+/g
  return filesIn(files, anyCode).flatMap(([name, text]) =>
    text.split('\n').flatMap((line, index) => {
      const columns = [...line].length
      const long = columns > 100 && [...line.replaceAll(strings, '')].length > 80
      return long ? [`${name}:${index + 1}: ${columns} columns`] : []
    }),
  )
}

export interface BannedWord {
  readonly word: string
  readonly say: string
  /** Where the word is right: a path prefix, an identifier, or `path:identifier`. */
  readonly except: readonly string[]
}

/** The table under "Banned" in GLOSSARY.md: `| word | say | except in |`. */
export function bannedWords(glossary: string): BannedWord[] {
  const section = glossary.split(/^## Banned.*$/m)[1]?.split(/^## /m)[0] ?? ''
  return [...section.matchAll(/^\|\s*`(\w+)`\s*\|([^|]*)\|([^|]*)\|\s*$/gm)].map(
    ([, word = '', say = '', except = '']) => ({
      word,
      say: say.trim(),
      except: [...except.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? ''),
    }),
  )
}

function covers(exception: string, file: string, identifier: string): boolean {
  const [path = '', name] = exception.split(':')
  return name === identifier && file.startsWith(path)
}

/** House rule 24: one vocabulary, in identifiers of what is shipped. */
export function vocabularyProblems(files: Files): string[] {
  const banned = bannedWords(files.get('GLOSSARY.md') ?? '')
  if (banned.length === 0) return ['GLOSSARY.md: its table of banned words was not found']
  return filesIn(files, source).flatMap(([name, text]) => {
    const found = identifiers(text)
    return banned.flatMap(({ word, say, except }) => {
      if (except.some((prefix) => name.startsWith(prefix))) return []
      return found
        .filter(({ words }) => words.includes(word) || words.includes(`${word}s`))
        .filter((identifier) => !except.includes(identifier.name))
        .filter((identifier) => !except.some((it) => covers(it, name, identifier.name)))
        .map((identifier) => `${name}: ${identifier.name}: not ${word}, say ${say}`)
    })
  })
}

/** Where a conformance suite passes a skipped case on to the runner, with its reason. */
const passesSkipsOn = 'packages/testkit/src/conformance.ts'

/** Marks that mean unfinished work, and tests that are switched off or alone. */
export function markProblems(files: Files): string[] {
  const marks = /\b(?:TO[D]O|FIX[M]E|X{3}|HA[C]K)\b|\.on[l]y\(|\b(?:it|test|describe)\.ski[p]\(/
  const code = filesIn(files, anyCode).filter(([name]) => name !== passesSkipsOn)
  return code.flatMap(([name, text]) =>
    text
      .split('\n')
      .flatMap((line, index) => (marks.test(line) ? [`${name}:${index + 1}: ${line.trim()}`] : [])),
  )
}

/** Paths that exist on somebody's machine only. */
export function pathProblems(files: Files): string[] {
  const machine = /(?:^|[^A-Za-z0-9_.])\/(?:wor[k]|far[m]|roo[t]|hom[e]|User[s])\/|\/tm[p]\/kith\//
  return [...files].flatMap(([name, text]) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        machine.test(line) ? [`${name}:${index + 1}: ${line.trim()}`] : [],
      ),
  )
}

/** A test waits for what it wants to see, not for a time in which it usually happens. */
export const sleepMsMax: number = 250

export function sleepProblems(files: Files): string[] {
  const sleeps = [
    /new Promise[^(]*\(\(?(\w+)\)?\s*=>\s*(?:void\s+)?\{?\s*setTimeout\(\1,\s*(?<ms>[\d_]+)/g,
    /await\s+(?:sleep|delay|wait|pause|setTimeout)\(\s*(?<ms>[\d_]+)\s*[,)]/g,
  ]
  return filesIn(files, testFile).flatMap(([name, text]) =>
    sleeps.flatMap((sleep) =>
      [...text.matchAll(sleep)]
        .filter((match) => Number(match.groups?.['ms']?.replaceAll('_', '')) > sleepMsMax)
        .map(([found]) => `${name}: ${found.replaceAll(/\s+/g, ' ')}: await the event instead`),
    ),
  )
}
