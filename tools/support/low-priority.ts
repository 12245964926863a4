/** Set-up of tests that only compute: they give way to those beside them that judge real time. */
import { constants, setPriority } from 'node:os'

setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
