/** Members that share a folder, and so need no list of each other. */
export { folderDiscovery } from './discovery.ts'
export { freshFileCheck } from './fresh-file.ts'
export type { FreshFileOptions } from './fresh-file.ts'
export { sharedFolder } from './plugin.ts'
export type { SharedFolderOptions } from './plugin.ts'
