/** One instance as bytes. Its version is not part of them: the message around them carries it. */
import type { CheckState, CheckStatus, ServiceInstance } from '@kith/interface'
import {
  type ByteReader,
  type ByteWriter,
  createMeter,
  createWriter,
  cutText,
  utf8Length,
} from './bytes.ts'
import {
  addressCharactersMax,
  checkNameCharactersMax,
  checksMax,
  idCharactersMax,
  isAddress,
  isCheckName,
  isInstanceId,
  isKindName,
  isMetaKey,
  isMetaValue,
  isServiceName,
  isTag,
  kindCharactersMax,
  metaBytesMax,
  metaKeyCharactersMax,
  metaPairsMax,
  metaValueBytesMax,
  outputWireBytesMax,
  serviceCharactersMax,
  tagBytesMax,
  tagsMax,
} from './limits.ts'

const statuses: readonly CheckStatus[] = ['passing', 'warning', 'critical']

/** The worst of the checks; `passing` where there is none. */
export function worstStatus(checks: readonly { readonly status: CheckStatus }[]): CheckStatus {
  let worst = 0
  for (const check of checks) worst = Math.max(worst, statuses.indexOf(check.status))
  return statuses[worst] ?? 'critical'
}

export function encodeInstance(instance: ServiceInstance): Uint8Array {
  const writer = createWriter()
  writeInstance(writer, instance)
  return writer.finish()
}

/** Length of `encodeInstance`. */
export function instanceBytes(instance: ServiceInstance): number {
  const meter = createMeter()
  writeInstance(meter, instance)
  return meter.length
}

export function writeInstance(writer: ByteWriter, instance: ServiceInstance): void {
  writer.text(instance.id)
  writer.text(instance.service)
  writer.text(instance.address)
  writer.varint(instance.port)
  writer.varint(instance.tags.length)
  for (const tag of instance.tags) writer.text(tag)
  const meta = Object.entries(instance.meta)
  writer.varint(meta.length)
  for (const [key, value] of meta) {
    writer.text(key)
    writer.text(value)
  }
  writer.varint(instance.checks.length)
  for (const check of instance.checks) {
    writer.text(check.id.slice(instance.id.length + 1))
    writer.text(check.kind)
    writer.byte(statuses.indexOf(check.status))
    writer.text(cutText(check.output, outputWireBytesMax))
  }
}

/** Fails the reader where a name, a count or a length breaks the rules that owners keep. */
export function decodeInstance(
  reader: ByteReader,
  member: string,
  version: number,
): ServiceInstance | undefined {
  const id = reader.text(idCharactersMax)
  const service = reader.text(serviceCharactersMax)
  const address = reader.text(addressCharactersMax)
  const port = reader.varint(65_535)
  const tags = readTags(reader)
  const meta = readMeta(reader)
  const checks = readChecks(reader, id)
  if (!isInstanceId(id) || !isServiceName(service) || !isAddress(address) || port === 0)
    reader.fail()
  if (reader.failed) return undefined
  const status = worstStatus(checks)
  return Object.freeze({ service, id, member, address, port, tags, meta, checks, status, version })
}

function readTags(reader: ByteReader): readonly string[] {
  const tags: string[] = []
  const count = reader.varint(tagsMax)
  for (let index = 0; index < count && !reader.failed; index += 1) {
    const tag = reader.text(tagBytesMax)
    if (!isTag(tag)) reader.fail()
    tags.push(tag)
  }
  return Object.freeze(tags)
}

function readMeta(reader: ByteReader): Readonly<Record<string, string>> {
  const meta = new Map<string, string>()
  const count = reader.varint(metaPairsMax)
  let bytes = 0
  for (let index = 0; index < count && !reader.failed; index += 1) {
    const key = reader.text(metaKeyCharactersMax)
    const value = reader.text(metaValueBytesMax)
    bytes += key.length + utf8Length(value)
    if (!isMetaKey(key) || !isMetaValue(value) || meta.has(key)) reader.fail()
    meta.set(key, value)
  }
  if (bytes > metaBytesMax) reader.fail()
  // `fromEntries` defines each key, so that one named like part of the prototype is only a key.
  return Object.freeze(Object.fromEntries(meta))
}

function readChecks(reader: ByteReader, instanceId: string): readonly CheckState[] {
  const checks: CheckState[] = []
  const names = new Set<string>()
  // One more than an owner may define: maintenance.
  const count = reader.varint(checksMax + 1)
  for (let index = 0; index < count && !reader.failed; index += 1) {
    const name = reader.text(checkNameCharactersMax)
    const kind = reader.text(kindCharactersMax)
    const status = statuses[reader.byte()]
    const output = reader.text(outputWireBytesMax)
    if (!isCheckName(name) || names.has(name) || !isKindName(kind) || status === undefined) {
      reader.fail()
      break
    }
    names.add(name)
    checks.push(Object.freeze({ id: `${instanceId}/${name}`, kind, status, output }))
  }
  return Object.freeze(checks)
}
