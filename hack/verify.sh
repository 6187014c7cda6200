#!/usr/bin/env bash
# Checks what machines can check besides the tests. Every check is run, whatever
# became of the others; the verdict comes last. Nothing in the tree is changed,
# and changes that are not committed yet do not matter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script='verify'
. hack/lib.sh
work=$(mktemp -d)

failed=() skipped=()

# check NAME FUNCTION runs one check, with its output in a file that is shown on
# failure. The function returns 77 for a check that cannot be done here and says
# why in its output.
check() {
  local name=$1 begun=$SECONDS status=0
  shift
  with_progress "$name" 0 "$work/log" "$@" 2>"$work/end" || status=$?
  case $status in
    0) say "ok: $name ($(clock $((SECONDS - begun))))" ;;
    77)
      skipped+=("$name")
      say "SKIPPED: $name: $(tail -n 1 "$work/log")"
      ;;
    *)
      failed+=("$name")
      cat "$work/log"
      say "FAILED: $name ($(clock $((SECONDS - begun))))"
      ;;
  esac
}

# In these functions every failure is passed on by hand: what is called as part of
# a condition, as they are, does not stop at the first failure by itself.

tools() {
  local packages='helm.sh/helm/v3/cmd/helm github.com/golangci/golangci-lint/v2/cmd/golangci-lint sigs.k8s.io/kustomize/kustomize/v5 golang.org/x/vuln/cmd/govulncheck'
  # shellcheck disable=SC2086 # a list
  go build -modfile=hack/tools/go.mod -v $packages
}

formatting() {
  local difference
  difference=$(tool golangci-lint fmt --diff) && [[ -z $difference ]] && return 0
  echo "$difference"
  echo "make format repairs this"
  return 1
}

lint() {
  local file folder linter fast status=0
  linter=$(tool -n golangci-lint) || return 1
  "$linter" config verify || return 1
  for file in $(ours 'go.mod' '*/go.mod'); do
    folder=$(dirname "$file")
    [[ -n $(ours "$folder/*.go") ]] || continue
    # Linters that want types would have to compile all of Kubernetes here.
    fast=()
    [[ $folder != hack/controlplane ]] || fast=(--fast-only)
    (cd "$folder" && "$linter" run --allow-serial-runners ${fast[@]+"${fast[@]}"}) || status=1
  done
  return "$status"
}

layers() { go test -count=1 ./internal/layers; }

manifests() {
  local file status=0
  [[ -d config ]] || { echo "there is no config/" && return 77; }
  hack/manifests.sh "$work/deploy" || return 1
  while IFS= read -r file; do
    diff -u "deploy/$file" "$work/deploy/$file" || status=1
  done < <(cd "$work/deploy" && find . -type f)
  ((status == 0)) || echo "make manifests repairs this"
  return "$status"
}

tidy() {
  local file folder status=0
  for file in $(ours 'go.mod' '*/go.mod'); do
    folder=$(dirname "$file")
    go -C "$folder" mod tidy -diff || { echo "go -C $folder mod tidy repairs this" && status=1; }
  done
  go mod verify || status=1
  return "$status"
}

scripts() {
  local file list status=0
  list=$(ours '*.sh' .ci/run)
  for file in $list; do bash -n "$file" || status=1; done
  ((status == 0)) || return 1
  command -v shellcheck >/dev/null || { echo "shellcheck is not installed; only the syntax was checked" && return 77; }
  # shellcheck disable=SC2086 # a list
  shellcheck -x $list
}

vulnerabilities() {
  timeout 60 go tool -modfile=hack/tools/go.mod govulncheck -version >"$work/version" 2>&1
  grep -q 'DB updated' "$work/version" ||
    { echo "nothing was checked, because the vulnerability database https://vuln.go.dev cannot be reached from here" && return 77; }
  tool govulncheck ./...
}

say "checking; where the tools are not built yet, that comes first and takes 2 to 4 minutes on two cores"
check "tools" tools
check "formatting" formatting
check "lint" lint
check "layers" layers
check "rendered manifests" manifests
check "tidy modules" tidy
check "shell scripts" scripts
check "known vulnerabilities" vulnerabilities

((${#skipped[@]} == 0)) || say "NOT CHECKED HERE, see above for why: $(list "${skipped[@]}")"
((${#failed[@]} == 0)) || refuse "$(list "${failed[@]}"), see above (after $(clock "$SECONDS"))"
say "ok: nothing to complain about, after $(clock "$SECONDS")"
