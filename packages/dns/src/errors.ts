/** What the DNS server refuses: its options, and an address that it cannot have. */
import { KithError, type KithErrorOptions, type OptionProblem } from '@kith/interface'

export type DnsErrorCode = 'ERR_DNS_OPTIONS' | 'ERR_DNS_LISTEN' | 'ERR_DNS_STATE'

export interface DnsErrorDetails {
  /** Each field at fault, all at once. */
  readonly problems?: readonly OptionProblem[]
}

export class DnsError extends KithError<DnsErrorCode, DnsErrorDetails> {
  constructor(
    code: DnsErrorCode,
    message: string,
    options: KithErrorOptions<DnsErrorDetails> = {},
  ) {
    super(code, message, options)
    this.name = 'DnsError'
  }
}
