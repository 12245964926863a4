/**
 * The parts of the failure detector, each of which can be left out. Nobody who wants a cluster does
 * that; it is for measuring what each part is worth.
 */
/** Default of each: true. With none of them what is left is plain SWIM. */
export interface Detector {
  /** Lifeguard's LHA-Probe: doubt of oneself slows probing, and helpers say nack. */
  readonly awareness?: boolean | undefined
  /** Lifeguard's LHA-Suspicion: suspicions start long, and confirmations shorten them. */
  readonly suspicion?: boolean | undefined
  /** Lifeguard's Buddy System: the ping to a suspect tells it what it is suspected of. */
  readonly buddy?: boolean | undefined
  /**
   * What is ours (GOS-53, GOS-54, GOS-76, GOS-153): stale accusations are answered, a suspect has
   * the last word, acks tell whom we gave up, and time in which this member stood still is given
   * back to everybody.
   */
  readonly own?: boolean | undefined
}

interface Switched {
  readonly policy: { readonly detector?: Detector | undefined }
}

export function uses({ policy }: Switched, part: keyof Detector): boolean {
  return policy.detector?.[part] ?? true
}
