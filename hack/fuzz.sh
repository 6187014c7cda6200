#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME (default 30s) each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='fuzz'
. hack/lib.sh
duration=${FUZZTIME:-30s}

# The targets as lines "./folder FuzzName".
targets=$(ours '*_test.go' |
  xargs grep -oE '^func Fuzz[A-Za-z0-9_]*\(' /dev/null |
  sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*)\($|./\1 \2|' | sort) || true
[[ -n $targets ]] || { say "ok: there are no fuzz targets" && exit; }

say "$(wc -l <<<"$targets") targets, $duration each"
failed=()
while read -r folder name; do
  say "$folder $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$duration" -fuzzminimizetime 20x "$folder" </dev/null || failed+=("$folder $name")
done <<<"$targets"
((${#failed[@]} == 0)) || refuse "$(list "${failed[@]}"); the inputs are in testdata/fuzz of each folder"
say "ok: no target failed"
