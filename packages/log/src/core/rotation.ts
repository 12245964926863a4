/** How often an origin may be replaced (LOG-15): a log that rotates all day fills every vector. */

export const ROTATION_INTERVAL_MS = 3_600_000

/** `rotatedAt` is the wall time of the last rotation, 0 for none. */
export function mayRotate(rotatedAt: number, wallNow: number): boolean {
  // A wall clock set back must not forbid rotation for as long as it was ahead.
  return rotatedAt === 0 || wallNow < rotatedAt || wallNow - rotatedAt >= ROTATION_INTERVAL_MS
}
