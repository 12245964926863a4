/** How own services were registered, which of them outlive this process, and the file of those. */
import { showValue } from '@kith/interface'
import { RegistryError } from '../errors.ts'
import type { ServiceDefinition } from './definition.ts'
import type { KeptService, ServiceFile } from './service-file.ts'
import type { ServiceRegistration } from './types.ts'

export class Keeper {
  readonly #file: ServiceFile | undefined
  readonly #kept = new Map<string, KeptService>()
  /** All own instances as they were given. */
  readonly #noted = new Map<string, ServiceDefinition>()
  /** What could not be registered again; it stays in the file for whoever can. */
  #foreign: readonly KeptService[] = []
  #saving: Promise<void> = Promise.resolve()

  constructor(file: ServiceFile | undefined) {
    this.#file = file
  }

  /** What the last life kept, each to be given back with `keep` or `leave`. */
  async load(): Promise<readonly KeptService[]> {
    return (await this.#file?.load()) ?? []
  }

  /** Takes what it loaded and could be registered again. */
  keep(id: string, service: KeptService): void {
    this.#kept.set(id, service)
  }

  /** How an own instance was registered, kept or not. */
  registration(id: string): ServiceRegistration | undefined {
    const definition = this.#noted.get(id)
    return definition === undefined ? undefined : { definition, persist: this.#kept.has(id) }
  }

  note(id: string, definition: ServiceDefinition): void {
    this.#noted.set(id, definition)
  }

  drop(id: string): void {
    this.#noted.delete(id)
  }

  leave(service: KeptService): void {
    this.#foreign = [...this.#foreign, service]
  }

  /** Throws where a service cannot be kept. */
  check(definition: ServiceDefinition): void {
    if (this.#file === undefined) {
      throw refused('persist needs a registry with a directory')
    }
    if (isData(definition)) return
    const { id, service } = definition
    const text = 'has a check whose options are not plain data'
    throw refused(`${showValue(id ?? service)} ${text}`)
  }

  /** Kept from now on, or no longer; durable when it resolves. */
  async set(id: string, definition: ServiceDefinition | undefined): Promise<void> {
    if (definition === undefined) {
      if (!this.#kept.delete(id)) return
    } else {
      const { maintenance } = this.#kept.get(id) ?? {}
      const copy = structuredClone(definition)
      this.#kept.set(id, {
        definition: copy,
        ...(maintenance === undefined ? {} : { maintenance }),
      })
    }
    await this.#save()
  }

  async maintain(id: string, reason: string | undefined): Promise<void> {
    const service = this.#kept.get(id)
    if (service === undefined) return
    const { definition } = service
    this.#kept.set(id, { definition, ...(reason === undefined ? {} : { maintenance: reason }) })
    await this.#save()
  }

  /** Resolves when nothing is being written any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#saving.catch(() => {})
  }

  /** One after the other, so that the last word is the one that stays. */
  #save(): Promise<void> {
    const save = (): Promise<void> =>
      this.#file?.save([...this.#foreign, ...this.#kept.values()]) ?? Promise.resolve()
    this.#saving = this.#saving.then(save, save)
    return this.#saving
  }
}

function refused(text: string): RegistryError {
  return new RegistryError('ERR_REGISTRY_SERVICE_STORE', text)
}

/** Whether JSON gives it back as it was; functions and class instances it does not. */
function isData(value: unknown): boolean {
  if (value === null || ['string', 'boolean', 'undefined'].includes(typeof value)) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object') return false
  const plain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
  return plain && Object.values(value).every(isData)
}
