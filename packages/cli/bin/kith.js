#!/usr/bin/env node
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * What was compiled is kept for the next start. In a folder of the user's own: in that of Node.js,
 * which is below the one for temporary files, other users could leave code for us.
 */
function keepCompiled() {
  const { XDG_CACHE_HOME, NODE_COMPILE_CACHE } = process.env
  if (NODE_COMPILE_CACHE) return
  try {
    const caches = XDG_CACHE_HOME || join(homedir(), '.cache')
    // Without a home it would be wherever the command is called, and so anybody's.
    if (isAbsolute(caches)) enableCompileCache(join(caches, 'kith'))
  } catch {
    // A user without a home starts a little later.
  }
}

keepCompiled()
await import('../dist/main.js')
