/** Every subcommand but `agent`. */
import type { Command } from 'commander'
import {
  eventCommand,
  forceLeaveCommand,
  joinCommand,
  leaveCommand,
  tagsCommand,
} from './cluster.ts'
import { doctorCommand } from './doctor.ts'
import { infoCommand, rttCommand } from './inspect.ts'
import { keysCommand } from './keys.ts'
import { logCommand } from './log.ts'
import { membersCommand } from './members.ts'
import { monitorCommand } from './monitor.ts'
import { queryCommand, reachabilityCommand } from './query.ts'
import { deregisterCommand, drainCommand, registerCommand } from './register.ts'
import { resolveCommand, servicesCommand } from './services.ts'
import { keygenCommand } from './keygen.ts'
import type { Io } from '../io.ts'

type MakeCommand = (io: Io, done: (code: number) => void) => Command

/** Over Serf's RPC: they work against real Serf agents too. */
const serfCommands: readonly MakeCommand[] = [
  membersCommand,
  joinCommand,
  leaveCommand,
  forceLeaveCommand,
  eventCommand,
  queryCommand,
  keysCommand,
  tagsCommand,
  rttCommand,
  infoCommand,
  monitorCommand,
  reachabilityCommand,
]

export const otherCommands: readonly MakeCommand[] = [
  keygenCommand,
  ...serfCommands,
  doctorCommand,
  servicesCommand,
  resolveCommand,
  registerCommand,
  deregisterCommand,
  drainCommand,
  logCommand,
]
