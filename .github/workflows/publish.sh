#!/bin/sh
# Publishes what is newer here than on npm. Provenance is refused where a package does not name the
# repository that it came from, so each is given the one that this runs in.
set -eu
for folder in packages/*; do
  (cd "$folder" && npm pkg set \
    "repository.type=git" \
    "repository.url=git+https://github.com/${GITHUB_REPOSITORY}.git" \
    "repository.directory=$folder")
done
exec npx changeset publish
