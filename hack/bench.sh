#!/usr/bin/env bash
# Runs the benchmarks that match BENCH (default all) in PKG (default all folders,
# those of nested modules such as hack/bench too), COUNT times each (default
# once), with the arguments as further flags of go test. Where a benchmark runs
# ours and the reference side by side, a table of both and their ratio comes
# last. What go test says is also written to bin/bench.txt, for benchstat to
# compare with another one:
#
#   go tool -modfile=hack/tools/go.mod benchstat old.txt bin/bench.txt
#
# For example, beside aws-iam-authenticator, whose first build takes minutes:
#
#   make bench PKG=hack/bench                        # everything
#   make bench PKG=hack/bench BENCH=TokenCommand     # whole processes that print a token
#   make bench PKG=hack/bench BENCH=Server ARGS='-benchtime 5s'  # whole servers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='bench'
. hack/lib.sh

folders=$(ours '*_test.go' |
  xargs grep -lE '^func Benchmark' /dev/null | xargs -r -n1 dirname | sort -u) || true
[[ ${PKG:-./...} == ./... ]] || folders=$PKG
[[ -n $folders ]] || { say "ok: there are no benchmarks" && exit; }

# ratios reads what go test -bench prints. The two sides are rows NAME/ours and
# NAME/reference, or units ours-UNIT and reference-UNIT in one row; with -count
# the means are compared. What the benchmark itself allocates says nothing where
# it measures in units of its own.
ratios() {
  awk '
    $1 ~ /^Benchmark/ && NF > 3 {
      name = $1
      sub(/-[0-9]+$/, "", name)
      side = name
      if (!sub(/^.*\//, "", side) || (side != "ours" && side != "reference")) side = ""
      if (side != "") sub(/\/[^\/]*$/, "", name)
      for (i = 3; i < NF; i += 2) {
        unit = $(i + 1)
        whose = side
        if (side == "" && match(unit, /^(ours|reference)-/)) {
          whose = substr(unit, 1, RLENGTH - 1)
          unit = substr(unit, RLENGTH + 1)
        }
        if (whose == "") continue
        if (unit !~ /^(ns|B|allocs)\/op$/) own[name] = 1
        key = name SUBSEP unit
        if (!(key in known)) { known[key] = 1; order[++keys] = key }
        sum[key, whose] += $i
        n[key, whose]++
      }
    }
    END {
      for (k = 1; k <= keys; k++) {
        key = order[k]
        split(key, part, SUBSEP)
        if (!n[key, "ours"] || !n[key, "reference"] || !sum[key, "reference"]) continue
        if (own[part[1]] && part[2] ~ /^(ns|B|allocs)\/op$/) continue
        us = sum[key, "ours"] / n[key, "ours"]
        them = sum[key, "reference"] / n[key, "reference"]
        if (!lines++) printf "%-28s %-12s %12s %12s %16s\n", "", "", "ours", "reference", "ours/reference"
        printf "%-28s %-12s %12.6g %12.6g %16.2f\n", part[1], part[2], us, them, us / them
      }
    }' "$1"
}

# slow FOLDER names the benchmarks that are about to run and whose comments say
# how long they take.
slow() {
  local which=${BENCH:-.}
  awk -v which="${which%%/*}" '
    /^\/\/ It takes about / { takes = substr($0, length("// It ") + 1) }
    /^func / {
      name = $2
      sub(/\(.*/, "", name)
      if (takes != "" && name ~ /^Benchmark/ && name ~ which) print name " " takes
      takes = ""
    }' "$1"/*_test.go
}

# ticking shows every 15 seconds that the benchmarks of a folder go on: most say
# nothing before they are done.
ticking() {
  local begun=$SECONDS
  while sleep 15 >/dev/null 2>&1; do
    say "$1, $(clock $((SECONDS - begun))), $(grep -c '^Benchmark' bin/bench.txt || true) results so far"
  done
}

mkdir -p bin
: >bin/bench.txt
failed=()
for folder in $folders; do
  say "$folder"
  while IFS= read -r line; do say "$line"; done < <(slow "$folder")
  ticking "$folder" &
  job=$!
  go -C "$folder" test -run '^$' -bench "${BENCH:-.}" -benchmem -count "${COUNT:-1}" -timeout 60m "$@" . |
    tee -a bin/bench.txt | grep --line-buffered -v '^PASS$' || failed+=("$folder")
  kill "$job" 2>/dev/null || true
  wait "$job" 2>/dev/null || true
  job=''
done
ratios bin/bench.txt
((${#failed[@]} == 0)) || refuse "$(list "${failed[@]}")"
say "ok: the numbers are in bin/bench.txt too"
