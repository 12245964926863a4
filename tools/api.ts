/**
 * The public face of every package as a text that is reviewed: `etc/<package>.api.md`.
 * Without arguments it rewrites the reports; with `--check` it fails where one is stale.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  CompilerState,
  Extractor,
  ExtractorConfig,
  type ExtractorMessage,
  ExtractorLogLevel,
  type IConfigFile,
} from '@microsoft/api-extractor'
import { root } from './support/command.ts'
import { publishedPackages, type WorkspacePackage } from './support/packages.ts'

const reportFolder = join(root, 'etc')
const temporaryFolder = join(root, 'node_modules/.cache/kith-api')

function configFile(it: WorkspacePackage, types: string, report: string): IConfigFile {
  const ignored = { logLevel: ExtractorLogLevel.None }
  return {
    projectFolder: join(root, it.folder),
    mainEntryPointFilePath: join(root, it.folder, types),
    newlineKind: 'lf',
    apiReport: {
      enabled: true,
      includeForgottenExports: false,
      reportFileName: report,
      reportFolder,
      reportTempFolder: temporaryFolder,
    },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
    compiler: {
      // The workspace's own condition would lead the extractor from declarations to sources.
      overrideTsconfig: {
        compilerOptions: {
          target: 'ES2023',
          lib: ['ES2023', 'ESNext.Disposable'],
          types: ['node'],
          module: 'NodeNext',
          moduleResolution: 'NodeNext',
          strict: true,
          customConditions: [],
        },
        files: [types],
      },
    },
    messages: {
      compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
      extractorMessageReporting: {
        default: { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true },
        'ae-missing-release-tag': ignored,
        // Reported by line, which any edit moves; the report marks what has no comment anyway.
        'ae-undocumented': ignored,
      },
      tsdocMessageReporting: { default: ignored },
    },
  }
}

/** `@kith/log` and its `./core` have the reports `log.api.md` and `log.core.api.md`. */
function reportName(it: WorkspacePackage, subpath: string): string {
  return `${[it.short, ...subpath.split('/').slice(1)].join('.')}.api.md`
}

interface Report {
  readonly name: string
  readonly config: ExtractorConfig
}

/** Rewrites one report, or with `check` compares it; returns what is wrong. */
function extract({ name, config }: Report, compilerState: CompilerState, check: boolean): string[] {
  const problems: string[] = []
  const result = Extractor.invoke(config, {
    compilerState,
    localBuild: !check,
    messageCallback(message: ExtractorMessage) {
      if (message.logLevel === ExtractorLogLevel.Error) problems.push(`${name}: ${message.text}`)
      message.handled = true
    },
  })
  if (problems.length > 0) return problems
  return check && result.apiReportChanged ? [`${name} is stale: npm run api`] : []
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
mkdirSync(reportFolder, { recursive: true })
mkdirSync(temporaryFolder, { recursive: true })
const failures: string[] = []
const reports: Report[] = []
for (const it of publishedPackages()) {
  for (const [subpath, types] of it.entries) {
    const name = reportName(it, subpath)
    if (!existsSync(join(root, it.folder, types))) {
      failures.push(`${name}: ${join(it.folder, types)} is missing: npm run build`)
      continue
    }
    const configObject = configFile(it, types, name)
    const packageJsonFullPath = join(root, it.folder, 'package.json')
    const configObjectFullPath = undefined
    const config = ExtractorConfig.prepare({
      configObject,
      configObjectFullPath,
      packageJsonFullPath,
    })
    reports.push({ name, config })
  }
}
const [first, ...others] = reports
if (first) {
  // One program for all: most of the time would go into reading the same declarations again.
  const additionalEntryPoints = others.map(({ config }) => config.mainEntryPointFilePath)
  const compilerState = CompilerState.create(first.config, { additionalEntryPoints })
  for (const report of reports) failures.push(...extract(report, compilerState, values.check))
}
for (const file of readdirSync(reportFolder)) {
  if (reports.some(({ name }) => name === file)) continue
  if (values.check) failures.push(`${file} describes no built entry: npm run api`)
  else rmSync(join(reportFolder, file))
}
process.stdout.write(`${reports.length} reports\n`)
if (failures.length > 0) {
  process.stderr.write(`${failures.join('\n')}\n`)
  process.exitCode = 1
}
