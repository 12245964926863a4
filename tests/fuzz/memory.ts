/** The most memory that this process ever had since the last look, where the system tells. */
import { readFileSync, writeFileSync } from 'node:fs'

/** Resident bytes; on Linux the highest value since `resetPeak`, elsewhere the present one. */
export function peakBytes(): number {
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(statusFile())?.[1]
  return kibibytes === undefined ? process.memoryUsage.rss() : Number(kibibytes) * 1024
}

export function residentBytes(): number {
  return process.memoryUsage.rss()
}

export function resetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    // Without it the highest value is that of the whole run, which is stricter.
  }
}

function statusFile(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8')
  } catch {
    return ''
  }
}
