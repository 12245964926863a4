/** The addresses of this machine, and which of them others can reach it at. */
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { addressBytes, isPrivate, isRoutable } from '../wire/codec.ts'

/** The addresses of this machine, in its order. */
export type Hosts = () => readonly string[]

export const machineHosts: Hosts = () =>
  Object.values(networkInterfaces()).flatMap((some = []) =>
    some.filter(({ internal }) => !internal).map(({ address }) => address),
  )

/**
 * The first private address of the family of that wildcard, else the first one; undefined where
 * there is none that other machines could reach.
 */
export function findHost(hosts: Hosts, wildcard: string): string | undefined {
  const all = hosts().flatMap((host) => {
    const bytes = isIP(host) === isIP(wildcard) ? addressBytes(host) : undefined
    return bytes !== undefined && isRoutable(bytes) ? [{ host, bytes }] : []
  })
  return (all.find(({ bytes }) => isPrivate(bytes)) ?? all[0])?.host
}
