/** How much of the room of a member an instance takes. */
import type { ServiceInstance } from '@kith/interface'
import type { InstancePlan } from '../core/types.ts'
import { encodeInstance } from '../wire/instance.ts'
import { outputWireBytesMax } from '../wire/limits.ts'

/** What an instance takes at most in messages, whatever its checks will say. */
export function planBytes(plan: InstancePlan): number {
  const { service, id, address, port, tags, meta } = plan
  const checks = plan.checks.map((check) => ({
    id: check.id,
    kind: check.kind,
    status: check.initialStatus,
    output: '',
  }))
  const instance: ServiceInstance = {
    service,
    id,
    member: '',
    address,
    port,
    tags,
    meta,
    checks,
    status: 'passing',
    version: 0,
  }
  // Maintenance is one check more.
  return encodeInstance(instance).length + (checks.length + 1) * (outputWireBytesMax + 1) + 64
}
