/** What is used of it; it brings no types along. */
declare module 'hypercore' {
  export default class Hypercore {
    constructor(storage: string)
    readonly length: number
    ready(): Promise<void>
    append(blocks: readonly Uint8Array[]): Promise<{ length: number }>
    get(index: number): Promise<Uint8Array | null>
    close(): Promise<void>
  }
}
