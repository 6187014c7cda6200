#!/usr/bin/env bash
# Runs the fuzz targets of the packages PKG (default all of the module) for
# FUZZTIME each (default 30s), those of the other packages for FUZZREST each
# (default: not at all). As many run at once as leave each a processor, at most
# two. What a target says is shown only if it fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='fuzz'
. hack/lib.sh
work=$(mktemp -d)

# targets DURATION PACKAGE... prints lines "DURATION ./folder FuzzName".
targets() {
  local duration=$1 folder
  shift
  go list -f '{{.Dir}}' "$@" >"$work/folders" || return 1
  while read -r folder; do
    grep -hosE '^func Fuzz[A-Za-z0-9_]*' "$folder"/*_test.go /dev/null |
      sed -E "s|^func |$duration .${folder#"$PWD"} |" || true
  done <"$work/folders" | sort
}

wanted=()
read -ra packages <<<"${PKG:-./...}"
list=$(targets "${FUZZTIME:-30s}" "${packages[@]}") || refuse "the packages cannot be listed"
if [[ -n ${FUZZREST:-} ]]; then
  rest=$(targets "$FUZZREST" ./...) || refuse "the packages cannot be listed"
  list+=$'\n'$(awk 'NR == FNR { seen[$2] = 1; next } !seen[$2]' <(echo "$list") - <<<"$rest")
fi
while read -r line; do
  [[ -z $line ]] || wanted+=("$line")
done <<<"$list"
((${#wanted[@]} > 0)) || { say "ok: there are no fuzz targets" && exit; }

# inputs FOLDER NAME lists the inputs that have failed before.
inputs() { [[ ! -d $1/testdata/fuzz/$2 ]] || ls "$1/testdata/fuzz/$2"; }

# fuzz DURATION FOLDER NAME LOG runs one target. Go sometimes takes the end of
# the time for a failure of the target (https://go.dev/issue/75804): then nothing
# else is said than "context deadline exceeded", and there is no failing input.
fuzz() {
  local duration=$1 folder=$2 name=$3 log=$4 before
  before=$(inputs "$folder" "$name")
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$duration" -fuzzminimizetime 20x -parallel "$parallel" "$folder" \
    >"$log" 2>&1 </dev/null && return
  [[ $(inputs "$folder" "$name") == "$before" ]] || return 1
  ! grep -q 'Failing input written to' "$log" || return 1
  grep -A1 "^--- FAIL: $name (" "$log" | grep -qx ' *context deadline exceeded' || return 1
  [[ $(grep -cE '^ *--- FAIL: |^panic: ' "$log") == 1 ]]
}

# execs LOG prints how many inputs were tried.
execs() { sed -nE 's/^fuzz: elapsed: .* execs: ([0-9]+) .*/\1/p' "$1" | tail -n 1; }

processors=$(getconf _NPROCESSORS_ONLN)
jobs=$((processors > 1 ? 2 : 1))
parallel=$((processors / jobs))
say "${#wanted[@]} targets, $jobs at once"

# Each job is a process group of its own: go test does not end what it started.
running=()
end_jobs() {
  local pid
  for pid in "${running[@]}"; do kill -- "-$pid" 2>/dev/null || true; done
  cleanup
}
trap end_jobs EXIT

failed=() next=0
# finish INDEX waits for the job and says what became of its target.
finish() {
  local log=$work/$1.log duration target count
  read -r duration target <<<"${wanted[$1]}"
  if wait "${running[$1]}"; then
    count=$(execs "$log")
    say "ok: $target, $duration, ${count:-no new} execs$(! grep -q '^--- FAIL' "$log" || echo ', ended late by Go')"
  else
    cat "$log"
    say "FAILED: $target"
    failed+=("$target")
  fi
  unset "running[$1]"
}

set -m
while ((next < ${#wanted[@]} || ${#running[@]} > 0)); do
  while ((next < ${#wanted[@]} && ${#running[@]} < jobs)); do
    read -r duration folder name <<<"${wanted[next]}"
    fuzz "$duration" "$folder" "$name" "$work/$next.log" &
    running[next]=$!
    next=$((next + 1))
  done
  sleep 0.2
  for index in "${!running[@]}"; do
    kill -0 "${running[index]}" 2>/dev/null || finish "$index"
  done
done
((${#failed[@]} == 0)) || refuse "$(list "${failed[@]}"); failing inputs are in testdata/fuzz of each folder"
say "ok: no target failed, after $(clock "$SECONDS")"
