/** `kith keygen`: a key for a new cluster, of the system's entropy. */
import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { type Io, write } from '../io.ts'

/** AES-256. */
const keyBytes = 32

export function keygenCommand(io: Io): Command {
  return new Command('keygen')
    .description('print a new key for --encrypt or a keyring file')
    .action(async () => {
      await write(io.stdout, `${randomBytes(keyBytes).toString('base64')}\n`)
    })
}
