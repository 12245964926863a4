import { describe, expect, it } from 'vitest'
import { createScreen, renderTable, type Row } from '../src/view.ts'

const row: Row = {
  name: 'ada',
  state: 'running',
  pid: 7,
  http: ':40001',
  alive: 5,
  services: '4/5',
  desk: ':40002 sick',
  records: 100,
  lag: 'unknown',
  fed: '83 %',
}

function terminal(isTTY: boolean): {
  isTTY: boolean
  columns: number
  text: string
  write(text: string): void
} {
  return {
    isTTY,
    columns: 20,
    text: '',
    write(text) {
      this.text += text
    },
  }
}

describe('the table', () => {
  it('has a column for each promise, and a dash for what is not known', () => {
    const silent = { ...row, name: 'eve', pid: undefined, alive: undefined, records: undefined }
    expect(renderTable([row, silent], ['end'])).toEqual([
      'MEMBER  STATE    PID  HTTP    DESK         SEES  SERVICES  RECORDS  LAG      FED',
      'ada     running  7    :40001  :40002 sick  5     4/5       100      unknown  83 %',
      'eve     running  -    :40001  :40002 sick  -     4/5       -        unknown  83 %',
      '',
      'end',
    ])
  })
})

describe('the screen', () => {
  it('draws over the last picture in one write, and cuts lines that would wrap', () => {
    const out = terminal(true)
    const screen = createScreen(out)
    screen.show(['a'.repeat(30), 'b'])
    out.text = ''
    screen.show(['c'])
    expect(out.text).toBe('\u001b[?2026h\u001b[2Fc\u001b[K\n\u001b[J\u001b[?2026l')
    screen.close()
    expect(out.text).toContain('\u001b[?25h')
    const wide = terminal(true)
    createScreen(wide).show(['a'.repeat(30)])
    expect(wide.text).toContain(`${'a'.repeat(19)}\u001b[K\n`)
  })

  it('prints plain lines elsewhere, and only what is new', () => {
    const out = terminal(false)
    const screen = createScreen(out)
    screen.show(['one', '', 'two'])
    screen.show(['one', '', 'two'])
    screen.show(['three'])
    screen.close()
    expect(out.text).toBe('one\ntwo\n\nthree\n\n')
  })
})
