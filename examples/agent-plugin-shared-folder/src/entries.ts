/** A file for each member: `ada.member` holds `ada/10.0.0.1:7946`. */
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { formatAddress, type Member, parseAddress } from '@kith/interface'
import { replaceFile } from '@kith/interface/node'

const ending = '.member'
/** As many as a discovery may name. */
const entriesMax = 1024
/** The longest name, the longest host, and what is between. */
const bytesMax = 512

/** What the folder says, each once. What is no address is left out: others may write there, too. */
export async function readEntries(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(ending))
  const texts = await Promise.all(names.slice(0, entriesMax).map((name) => firstLine(folder, name)))
  return [...new Set(texts.filter(isEntry))]
}

export async function writeEntry(folder: string, { name, address }: Member): Promise<void> {
  await mkdir(folder, { recursive: true })
  // Whoever reads meanwhile finds the old one or the new one, and nothing between.
  await replaceFile(fileOf(folder, name), `${name}/${formatAddress(address)}\n`)
}

/** Whether there was one. */
export async function removeEntry(folder: string, member: string): Promise<boolean> {
  try {
    await rm(fileOf(folder, member))
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw cause
  }
}

/** Names of members can be names of files. From elsewhere they need not be names of members. */
export function isMemberName(name: string): boolean {
  return /^[A-Za-z0-9._-]{1,128}$/.test(name)
}

function fileOf(folder: string, member: string): string {
  return join(folder, `${member}${ending}`)
}

async function firstLine(folder: string, name: string): Promise<string> {
  try {
    await using file = await open(join(folder, name))
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytesMax), 0, bytesMax, 0)
    return buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? ''
  } catch {
    // It went while we looked.
    return ''
  }
}

function isEntry(text: string): boolean {
  const address = parseAddress(text.slice(text.indexOf('/') + 1))
  return address !== undefined && address.port > 0
}
