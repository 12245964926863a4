// Who may import whom (ARCHITECTURE.md). tools/layers.test.ts plants one violation of each rule.

/** Libraries: they meet in the contracts and know nothing of each other. */
const libraries =
  '(?:msgpack|gossip|log|replicator|registry|server|serf-rpc|sim|dns|consul-api|undici|grpc|metrics|transport-[^/]+)'

/** What a package shows to others: its root and the subpaths its exports map declares. */
const surface = '(?:(?:core|http|node|opentelemetry)/)?index\\.ts$'

const rules = [
  {
    name: 'interface-is-the-floor',
    from: { path: '^packages/interface/' },
    to: { path: '^packages/(?!interface/)' },
  },
  {
    name: 'testkit-stands-on-interface',
    from: { path: '^packages/testkit/' },
    to: { path: '^packages/(?!interface/|testkit/)' },
  },
  {
    name: 'libraries-meet-in-interface',
    from: { path: `^packages/(${libraries})/src/` },
    to: { path: '^packages/', pathNot: ['^packages/$1/', '^packages/(?:interface|msgpack)/'] },
  },
  {
    name: 'msgpack-is-for-the-wires-of-serf',
    from: { path: '^packages/(?!msgpack/|gossip/|serf-rpc/)' },
    to: { path: '^packages/msgpack/' },
  },
  {
    name: 'library-tests-use-the-test-packages-only',
    from: { path: `^packages/(${libraries})/test/`, pathNot: '^packages/replicator/' },
    to: {
      path: '^packages/',
      pathNot: ['^packages/$1/', '^packages/(?:interface|msgpack|testkit|sim)/'],
    },
  },
  {
    // Its source is an interface, so that only its tests need a real log.
    name: 'replicator-tests-may-use-a-log',
    from: { path: '^packages/replicator/test/' },
    to: { path: '^packages/', pathNot: '^packages/(?:replicator|interface|testkit|sim|log)/' },
  },
  {
    name: 'nothing-shipped-uses-test-packages',
    from: { path: '^(?:packages/(?!testkit/|sim/)[^/]+/src|apps/[^/]+/src)/' },
    to: { path: '^packages/(?:testkit|sim)/' },
  },
  {
    name: 'cli-stands-on-agent',
    from: { path: '^packages/cli/src/' },
    to: { path: '^packages/(?!cli/|agent/|interface/|serf-rpc/|registry/|consul-api/)' },
  },
  {
    name: 'nothing-stands-on-cli',
    from: { path: '^packages/(?!cli/)' },
    to: { path: '^packages/cli/' },
  },
  {
    name: 'runtime-on-top',
    from: { path: '/src/(?:core|wire)/' },
    to: { path: '/src/runtime/' },
  },
  {
    name: 'wire-below-core',
    from: { path: '/src/wire/' },
    to: { path: '/src/core/' },
  },
  {
    name: 'no-deep-imports',
    from: { path: '^packages/([^/]+)/' },
    to: { path: `^packages/(?!$1/)[^/]+/(?!src/${surface})` },
  },
  {
    name: 'no-deep-imports-from-outside',
    from: { path: '^(?:apps|tests|bench|tools)/', pathNot: '^tests/fuzz/' },
    to: { path: `^packages/[^/]+/(?!src/${surface})` },
  },
  {
    // Decoders are what is fuzzed, and no package shows them; the encryption is behind one. The DNS
    // server has no rooms.
    name: 'fuzz-reaches-into-wire-rooms-only',
    from: { path: '^tests/fuzz/' },
    to: {
      path: `^packages/[^/]+/(?!src/(?:${surface}|wire/|runtime/aead\\.ts$))`,
      pathNot: '^packages/dns/src/(?:answer|message|options)\\.ts$',
    },
  },
  {
    name: 'packages-know-no-applications',
    from: { path: '^packages/' },
    to: { path: '^(?:apps|tests|bench|tools)/' },
  },
  {
    name: 'no-cycles',
    from: {},
    to: { circular: true },
  },
  {
    name: 'no-unresolved',
    from: {},
    to: { couldNotResolve: true },
  },
]

export default {
  // The default severity is a warning, which would pass.
  forbidden: rules.map((rule) => ({ ...rule, severity: 'error' })),
  options: {
    // Imports of types count: a type is a dependency as well.
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|fixtures|\\.examples)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@kith/source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.mts', '.js', '.mjs', '.json'],
    },
  },
}
