/** What a host in an address means for who can reach it. */

/** True where only this machine can reach the host. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

/** True for an address that means "every address of this machine". */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]*$/.test(host)
}
