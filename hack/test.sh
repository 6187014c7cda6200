#!/usr/bin/env bash
# Runs the tests of PKG (default ./...) with the race detector, with the
# arguments as further flags of go test, and ends with a verdict.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='test'
. hack/lib.sh
work=$(mktemp -d)
read -ra packages <<<"${PKG:-./...}"

race=(-race)
detector='race detector on'
if [[ $(go env CGO_ENABLED) != 1 ]] || ! command -v "$(go env CC | cut -d' ' -f1)" >/dev/null; then
  race=()
  export CGO_ENABLED=0
  detector='WITHOUT the race detector: it needs a C compiler, such as gcc'
fi

say "compiling ($detector); with an empty Go build cache this takes about 6 minutes on two cores"
with_progress "building the test runner" 0 "$work/log" tool gotestsum --version ||
  refuse "gotestsum does not build"
for tool in kustomize helm; do
  with_progress "building $tool, which renders what people install" 0 "$work/log" tool -n "$tool" ||
    refuse "$tool does not build"
done
count=$(go list -deps -test "${packages[@]}" | wc -l) || refuse "the packages cannot be listed"
with_progress "compiling" "$count" "$work/log" go build -v "${race[@]}" "${packages[@]}" ||
  refuse "the program does not compile"

say "running the tests; the slowest packages start a control plane of their own"
status=0
tool gotestsum --format "${GOTESTSUM_FORMAT:-pkgname}" --jsonfile "$work/events" -- "${race[@]}" -timeout 20m "$@" "${packages[@]}" || status=$?
if [[ ${packages[*]} == ./... ]]; then
  say "exchanging tokens with aws-iam-authenticator, and reading aws-auth as it does (hack/bench)"
  go -C hack/bench test "${race[@]}" . || status=$?
  say "reading alerts and dashboard with Prometheus' parser (hack/promql)"
  go -C hack/promql test -count=1 "${race[@]}" . || status=$?
fi
((status == 0)) || refuse "tests failed (see above) after $(clock "$SECONDS")"
skipped=$(grep -c '"Action":"skip".*"Test":' "$work/events" || true)
((skipped == 0)) || detector+="; $skipped tests were SKIPPED, as said above, for want of something on this machine"
say "ok: all tests passed in $(clock "$SECONDS"), $detector"
