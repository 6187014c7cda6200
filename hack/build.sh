#!/usr/bin/env bash
# build.sh FILE PACKAGE VERSION builds a program and stamps it with the version.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='build'
. hack/lib.sh
work=$(mktemp -d)
file=$1 package=$2 version=$3
# Each program has one of the two; the linker passes over the other.
stamps="-X github.com/aws-auth-refresher/aws-auth-refresher/internal/app.version=$version -X main.version=$version"

# -buildvcs=false: the stamp says the version, and git refuses to speak of a
# working copy that belongs to another user, which would stop the build.
with_progress "building $file" "$(go list -deps "$package" | wc -l)" "$work/log" \
  go build -v -buildvcs=false -trimpath -ldflags "$stamps" -o "$file" "$package" ||
  refuse "$package does not build, see above"
say "ok: $file $version ($(clock "$SECONDS"))"
