/** Brings one cluster to rest in a process of its own, and tells its parent what that costs. */
import { atRest, type RestPlan } from './at-rest.ts'

process.once('message', (plan: RestPlan) => {
  void atRest(plan).then((rest) => {
    process.send?.(rest)
    process.disconnect()
  })
})
