/**
 * Where a member listens. `host` is an IP literal without brackets, or a name where one is allowed.
 */
export interface Address {
  readonly host: string
  /** 0 to 65535; 0 asks for a free port and never appears in an address that was announced. */
  readonly port: number
}

/** `127.0.0.1:7946`, `[::1]:7946`. */
export function formatAddress(address: Address): string {
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

/**
 * Reads `host:port`, `[v6]:port`, and, with a default port, `host`, `v6` and `[v6]`.
 * Returns undefined for anything else; the caller owns the error because it knows the field.
 */
export function parseAddress(text: string, defaultPort?: number): Address | undefined {
  const bracketed = /^\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?$/.exec(text)
  if (bracketed) return withPort(bracketed[1] ?? '', bracketed[2], defaultPort)
  const colons = text.split(':').length - 1
  if (colons > 1) return withPort(/^[0-9A-Fa-f:.]+$/.test(text) ? text : '', undefined, defaultPort)
  const plain = /^([A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?$/.exec(text)
  return plain ? withPort(plain[1] ?? '', plain[2], defaultPort) : undefined
}

function withPort(
  host: string,
  port: string | undefined,
  fallback: number | undefined,
): Address | undefined {
  const value = port === undefined ? fallback : Number(port)
  if (host === '' || value === undefined || value > 65535) return undefined
  return { host, port: value }
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port
}
