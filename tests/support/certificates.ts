/** The certificates beside it, which `certificates/make.sh` made, and questions over TLS. */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** Authorities, those whom `ca` signed, `stranger` of `other-ca`, and one that holds no more. */
export type CertificateName =
  | 'ca'
  | 'other-ca'
  | 'member'
  | 'renewed'
  | 'named'
  | 'client'
  | 'stranger'
  | 'expired'

export function certificatePath(name: CertificateName | `${CertificateName}-key`): string {
  return fileURLToPath(new URL(`certificates/${name}.pem`, import.meta.url))
}

export function pem(name: CertificateName | `${CertificateName}-key`): string {
  return readFileSync(certificatePath(name), 'utf8')
}

/** What somebody shows who has this certificate, and trusts `ca`. */
export function shownBy(name: CertificateName): { ca: string; cert: string; key: string } {
  return { ca: pem('ca'), cert: pem(name), key: pem(`${name}-key`) }
}

export interface SecureAsk {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export interface SecureAnswer {
  readonly status: number
  readonly body: string
  /** The common name in the certificate of whoever answered. */
  readonly by: string
}

/** Over a connection of its own, as somebody who trusts `ca` where nothing else is said. */
export async function askSecurely(url: string, ask: SecureAsk = {}): Promise<SecureAnswer> {
  const { method = 'GET', headers = {}, ca = pem('ca'), ...shown } = ask
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method, headers, ca, ...shown, agent: false }, (answer) => {
      const { CN } = (answer.socket as import('node:tls').TLSSocket).getPeerCertificate().subject
      const by = String(CN)
      text(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body, by }), reject)
    })
    sent.on('error', reject).end()
  })
}
