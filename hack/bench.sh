#!/usr/bin/env bash
# Runs the benchmarks that match BENCH (default all), COUNT times each (default
# once), with the arguments as further flags of go test. The result is also
# written to bin/bench.txt, for benchstat to compare with another one. Those of
# nested modules, such as hack/bench, run too:
#
#   go tool -modfile=hack/tools/go.mod benchstat old.txt bin/bench.txt
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='bench'
. hack/lib.sh

folders=$(ours '*_test.go' |
  xargs grep -lE '^func Benchmark' /dev/null | xargs -r -n1 dirname | sort -u) || true
[[ -n $folders ]] || { say "ok: there are no benchmarks" && exit; }

mkdir -p bin
: >bin/bench.txt
failed=()
for folder in $folders; do
  say "$folder"
  go -C "$folder" test -run '^$' -bench "${BENCH:-.}" -benchmem -count "${COUNT:-1}" -timeout 60m "$@" . |
    tee -a bin/bench.txt | grep -v '^PASS$' || failed+=("$folder")
done
((${#failed[@]} == 0)) || refuse "$(list "${failed[@]}")"
say "ok: the numbers are in bin/bench.txt too"
