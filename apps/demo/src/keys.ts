/** Single keys of a terminal, while something is shown there. */
import type { ReadStream } from 'node:tty'

const CTRL_C = '\u0003'

/**
 * Calls `press` with each key; Ctrl-C, which a terminal in this mode hands on as a key, stays the
 * signal that it is. Returns the way back. Does nothing where the input is no terminal.
 */
export function onKeys(
  input: Pick<
    ReadStream,
    'isTTY' | 'setRawMode' | 'setEncoding' | 'on' | 'off' | 'resume' | 'pause'
  >,
  press: (key: string) => void,
  interrupt: () => void = () => void process.kill(process.pid, 'SIGINT'),
): () => void {
  if (input.isTTY !== true) return () => {}
  const read = (text: string): void => {
    for (const key of text) {
      if (key === CTRL_C) interrupt()
      else press(key)
    }
  }
  input.setRawMode(true)
  input.setEncoding('utf8')
  input.on('data', read)
  input.resume()
  return () => {
    input.off('data', read)
    input.setRawMode(false)
    input.pause()
  }
}
