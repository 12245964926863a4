/** Every moment the core waits for, in one binary heap: cheap to add, to withdraw and to ask. */

export interface Timer<Task> {
  at: number
  readonly task: Task
  /** Place in the heap; -1 once it ran or was withdrawn. */
  index: number
  /** Breaks ties: what was scheduled first runs first, so that runs repeat exactly. */
  readonly order: number
}

export interface Deadlines<Task> {
  readonly heap: Timer<Task>[]
  nextOrder: number
}

export function createDeadlines<Task>(): Deadlines<Task> {
  return { heap: [], nextOrder: 0 }
}

export function schedule<Task>(deadlines: Deadlines<Task>, at: number, task: Task): Timer<Task> {
  const timer = { at, task, index: deadlines.heap.length, order: deadlines.nextOrder }
  deadlines.nextOrder += 1
  deadlines.heap.push(timer)
  rise(deadlines.heap, timer)
  return timer
}

/** Withdrawing twice, or after it ran, does nothing. */
export function cancel<Task>(deadlines: Deadlines<Task>, timer: Timer<Task> | undefined): void {
  if (timer === undefined || timer.index < 0) return
  const heap = deadlines.heap
  const last = heap.pop()
  if (last !== undefined && last !== timer) {
    last.index = timer.index
    heap[timer.index] = last
    rise(heap, last)
    sink(heap, last)
  }
  timer.index = -1
}

export function earliest<Task>(deadlines: Deadlines<Task>): Timer<Task> | undefined {
  return deadlines.heap[0]
}

/** Takes the earliest timer that is due, if any. */
export function takeDue<Task>(deadlines: Deadlines<Task>, now: number): Timer<Task> | undefined {
  const first = deadlines.heap[0]
  if (first === undefined || first.at > now) return undefined
  cancel(deadlines, first)
  return first
}

/** Moves every timer by as much as `byMs` says; the cost is the size of the heap. */
export function postpone<Task>(deadlines: Deadlines<Task>, byMs: (task: Task) => number): void {
  for (const timer of deadlines.heap) timer.at += byMs(timer.task)
  deadlines.heap.sort(compare)
  for (const [index, timer] of deadlines.heap.entries()) timer.index = index
}

function compare<Task>(a: Timer<Task>, b: Timer<Task>): number {
  return a.at - b.at || a.order - b.order
}

function rise<Task>(heap: Timer<Task>[], timer: Timer<Task>): void {
  while (timer.index > 0) {
    const parentIndex = (timer.index - 1) >> 1
    const parent = heap[parentIndex]
    if (parent === undefined || compare(parent, timer) <= 0) return
    swap(heap, parent, timer)
  }
}

function sink<Task>(heap: Timer<Task>[], timer: Timer<Task>): void {
  for (;;) {
    const left = heap[timer.index * 2 + 1]
    const right = heap[timer.index * 2 + 2]
    if (left === undefined) return
    const child = right !== undefined && compare(right, left) < 0 ? right : left
    if (compare(timer, child) <= 0) return
    swap(heap, timer, child)
  }
}

function swap<Task>(heap: Timer<Task>[], a: Timer<Task>, b: Timer<Task>): void {
  const index = a.index
  a.index = b.index
  b.index = index
  heap[a.index] = a
  heap[b.index] = b
}
