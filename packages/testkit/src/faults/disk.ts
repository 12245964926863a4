/**
 * File systems of a test's own: one that loses what was not flushed when its power is cut, one that
 * turns read-only, one that is full. They need root, and are mounted below a folder of the test.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Random } from '@kith/interface'

const megabyte = 1024 * 1024

function command(file: string, ...args: readonly string[]): string {
  // Daemons' tools are in folders that the path of an ordinary user leaves out.
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }
  return execFileSync(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env }).toString()
}

/** Why there can be no such file systems here; undefined where there can. */
export function whyNoDisks(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has the loop devices of it'
  if (process.getuid?.() !== 0) return 'mounting needs root'
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices'
  const missing = ['mkfs.ext4', 'e2fsck', 'losetup', 'perl'].filter((name) => {
    try {
      command('sh', '-c', `command -v ${name}`)
      return false
    } catch {
      return true
    }
  })
  return missing.length > 0 ? `${missing.join(' and ')} is missing` : undefined
}

/** How long a file system may be busy though nobody has a file of it open. */
const busyMsMax = 10_000
const againMs = 20

/** Undone in the reverse order, whatever happened in between. */
class Mounts implements Disposable {
  private readonly mounted: string[] = []

  /**
   * Makes others let go of what is mounted below: a process that begins meanwhile in a network
   * namespace of its own has a copy of every mount, and would keep its device.
   */
  share(home: string): void {
    this.mount(home, '--bind', home)
    command('mount', '--make-shared', home)
  }

  mount(folder: string, ...args: readonly string[]): void {
    mkdirSync(folder, { recursive: true })
    command('mount', ...args, folder)
    this.mounted.push(folder)
  }

  unmount(folder: string): void {
    for (let waitedMs = 0; ; waitedMs += againMs) {
      try {
        command('umount', folder)
        break
      } catch (cause) {
        // A loop device lets go of its file a moment after the file system on it is gone.
        if (waitedMs >= busyMsMax || !String(cause).includes('busy')) throw cause
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, againMs)
      }
    }
    this.mounted.splice(this.mounted.lastIndexOf(folder), 1)
  }

  [Symbol.dispose](): void {
    for (const folder of this.mounted.splice(0).toReversed()) {
      try {
        command('umount', folder)
      } catch {
        command('umount', '-l', folder)
      }
    }
  }
}

/** A file system on a device that is a file in another one. */
export interface Disk extends Disposable {
  /** Where the store is. */
  readonly folder: string
  /** Takes it away as a crash of the machine would, and mounts it again. */
  restart(): void
}

/** ext4 on a device of 64 MiB, which is the file `image`. */
function makeInner(image: string): void {
  command('mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image)
}

export interface PowerDisk extends Disk {
  /**
   * Everything that was not flushed is gone, but for what the device wrote by itself before.
   * Returns the time at which that was so, on the clock of `process.hrtime`, in nanoseconds. A
   * flush that ends later tells nothing: where ext4 gives up meanwhile it may succeed without its
   * data (seen with Linux 6.18: `failed to convert unwritten extents`).
   */
  cutPower(): bigint
  /** Writes some of what the device holds back to its medium, in no order. */
  writeSome(random: Random): void
}

/** `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: nothing more reaches the medium. */
const shutdown = `
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
open(my $f, "<", $ARGV[0]) or die $!;
$| = 1;
printf("%.9f", clock_gettime(CLOCK_MONOTONIC));
my $flags = pack("L", 2);
ioctl($f, 0x8004587D, $flags) or die $!;
`

const innerMegabytes = 64

/**
 * Two file systems, one in a file of the other. Flushing the inner one is what writes that file
 * through; shutting the outer one down loses the rest, which is what a device with a volatile
 * cache loses with its power.
 */
export function powerDisk(home: string): PowerDisk {
  const [outer, folder] = [join(home, 'outer'), join(home, 'disk')]
  const medium = join(home, 'medium')
  const image = join(outer, 'image')
  writeFileSync(medium, '')
  truncateSync(medium, (innerMegabytes + 32) * megabyte)
  // Without a journal: its one file has all its blocks, and keeps them.
  command('mkfs.ext4', '-q', '-F', '-O', '^has_journal', medium)
  const mounts = new Mounts()
  mounts.share(home)
  mounts.mount(outer, '-o', 'loop', medium)
  writeFileSync(image, Buffer.alloc(innerMegabytes * megabyte))
  makeInner(image)
  command('sync', '-f', outer)
  mounts.mount(folder, '-o', 'loop', image)
  return {
    folder,
    cutPower: () => BigInt(command('perl', '-e', shutdown, outer).replace('.', '')),
    writeSome(random) {
      const blocks = (innerMegabytes * megabyte) / 4096
      const from = random.below(blocks)
      const count = 1 + random.below(blocks / 4)
      const range = [`skip=${from}`, `count=${count}`, 'bs=4096']
      command('dd', `if=${image}`, 'of=/dev/null', 'iflag=nocache', 'status=none', ...range)
    },
    restart() {
      mounts.unmount(folder)
      mounts.unmount(outer)
      mounts.mount(outer, '-o', 'loop', medium)
      mounts.mount(folder, '-o', 'loop', image)
    },
    [Symbol.dispose]: () => mounts[Symbol.dispose](),
  }
}

/** Exit 1 of e2fsck: it mended something, which is what it is for. */
function repair(image: string): void {
  try {
    command('e2fsck', '-f', '-y', image)
  } catch (cause) {
    if ((cause as { status?: number }).status !== 1) throw cause
  }
}

/** Leaves so many bytes of a file system. */
function fill(filler: string, folder: string, roomBytes: number): void {
  const { bsize, bfree } = statfsSync(folder)
  writeFileSync(filler, Buffer.alloc(Math.max(0, bfree * bsize - roomBytes)))
}

export interface ReadOnlyDisk extends Disk {
  /**
   * What ext4 does by itself once it met an error: not a byte more is written. Returns the time
   * before, as `cutPower` does.
   */
  becomeReadOnly(): bigint
}

export function readOnlyDisk(home: string): ReadOnlyDisk {
  const [medium, folder] = [join(home, 'medium'), join(home, 'disk')]
  writeFileSync(medium, '')
  truncateSync(medium, innerMegabytes * megabyte)
  makeInner(medium)
  const mounts = new Mounts()
  mounts.share(home)
  const mount = (): void => mounts.mount(folder, '-o', 'loop,errors=remount-ro', medium)
  mount()
  return {
    folder,
    becomeReadOnly() {
      const device = basename(command('findmnt', '-n', '-o', 'SOURCE', folder).trim())
      const before = process.hrtime.bigint()
      writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'a test\n')
      return before
    },
    restart() {
      mounts.unmount(folder)
      repair(medium)
      mount()
    },
    [Symbol.dispose]: () => mounts[Symbol.dispose](),
  }
}

export interface FullDisk extends Disk {
  /** The file that takes the space away. */
  readonly filler: string
}

/** A file system in memory with so many bytes left. */
export function fullDisk(home: string, roomBytes: number): FullDisk {
  const folder = join(home, 'disk')
  const mounts = new Mounts()
  mounts.share(home)
  mounts.mount(folder, '-t', 'tmpfs', '-o', 'size=16m', 'none')
  const filler = join(folder, 'filler')
  fill(filler, folder, roomBytes)
  return {
    folder,
    filler,
    restart() {},
    [Symbol.dispose]: () => mounts[Symbol.dispose](),
  }
}
