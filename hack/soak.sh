#!/usr/bin/env bash
# Runs the fault test of the refresher with one random seed after the other for
# SOAK_TIME (default 10m): ten simulated hours of trouble each, or SOAK_HOURS,
# a third of the time each with aws-auth alone, with access entries, too, and in
# a small cluster; then half an hour of a thousand users a minute who come and go.
# With SOAK_SEED it repeats the runs of that seed and ends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='soak'
. hack/lib.sh
work=$(mktemp -d)

race=(-race)
if [[ $(go env CGO_ENABLED) != 1 ]] || ! command -v "$(go env CC | cut -d' ' -f1)" >/dev/null; then
  race=()
fi
with_progress "compiling" 0 "$work/log" go test "${race[@]}" -c -o "$work/controllers.test" ./controllers ||
  refuse "the test does not compile"

if [[ -n ${SOAK_SEED:-} ]]; then
  say "seed $SOAK_SEED"
  export SOAK_TIME=''
else
  export SOAK_TIME=${SOAK_TIME:-10m} SOAK_SEED=$((RANDOM * 32768 + RANDOM))
  say "new seeds for $SOAK_TIME; each run says its seed, which SOAK_SEED=... repeats"
fi
cd controllers
for tests in '^TestSoak' '^TestChurn$'; do
  "$work/controllers.test" -test.run "$tests" -test.v -test.timeout 0 ||
    refuse "something happened that must never happen (see above)"
done
say "ok: no violation, after $(clock "$SECONDS")"
