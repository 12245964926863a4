/** A decoder that never comes back, to see that the watchdog notices. */
import { startWatchdog } from './watchdog.ts'

const watchdog = startWatchdog('endless', 200)
process.stdout.write(watchdog.file)
watchdog.note(Uint8Array.of(1, 2, 3))
// Nothing else of this process runs while this does.
while (watchdog.file !== '') process.uptime()
