/** The plugin: everything of this package as one entry in `plugins`. */
import type { AgentContext, AgentPlugin, PluginRoute } from '@kith/agent'
import { folderDiscovery } from './discovery.ts'
import { isMemberName, readEntries, removeEntry, writeEntry } from './entries.ts'
import { freshFileCheck } from './fresh-file.ts'

export interface SharedFolderOptions {
  /** A folder that all members can read and write; made where it is missing. */
  readonly folder: string
}

/**
 * `createAgent({ plugins: [sharedFolder({ folder: '/mnt/cluster' })] })` finds the other members by
 * their files there, and keeps one of its own. Throws where `folder` is no path.
 */
export function sharedFolder({ folder }: SharedFolderOptions): AgentPlugin {
  return {
    name: 'shared-folder',
    discovery: [folderDiscovery(folder)],
    checkKinds: [freshFileCheck],
    async setup(context) {
      const { membership, http, logger, name } = context
      await writeEntry(folder, membership.self)
      const unsubscribe = membership.subscribe({
        memberChanged({ kind, member }) {
          // Failed members may come back; those that the cluster forgot have no use for their file.
          if (kind !== 'reap' || member.name === name) return
          removeEntry(folder, member.name).catch((cause: unknown) => {
            logger.warn({ cause, member: member.name }, 'the file of a member stays in the folder')
          })
        },
      })
      http.route(listing(folder, context))
      http.route(removal(folder, name))
      return async () => {
        unsubscribe()
        await removeEntry(folder, name)
      }
    },
  }
}

/** `GET /v1/plugins/shared-folder/entries`: who has a file, and what this member knows of them. */
function listing(folder: string, { membership }: AgentContext): PluginRoute {
  return {
    method: 'GET',
    path: '/entries',
    role: 'read',
    async handle() {
      const entries = (await readEntries(folder)).map((entry) => {
        const slash = entry.indexOf('/')
        const member = slash < 0 ? undefined : entry.slice(0, slash)
        const status = member === undefined ? undefined : membership.member(member)?.status
        return { member, address: entry.slice(slash + 1), status: status ?? 'unknown' }
      })
      return { json: { entries } }
    },
  }
}

/** `DELETE /v1/plugins/shared-folder/entries/NAME`: for the file of one that will not come back. */
function removal(folder: string, self: string): PluginRoute {
  return {
    method: 'DELETE',
    path: '/entries/:member',
    role: 'operator',
    async handle({ params: { member = '' } }) {
      if (member === self) {
        const detail = `${self} answers you, and keeps its file for as long as it runs`
        return { status: 409, refusal: { code: 'ERR_SHARED_FOLDER_SELF', detail } }
      }
      if (isMemberName(member) && (await removeEntry(folder, member))) return { status: 204 }
      const detail = 'no member of that name has a file'
      return { status: 404, refusal: { code: 'ERR_SHARED_FOLDER_UNKNOWN', detail } }
    },
  }
}
