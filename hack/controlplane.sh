#!/usr/bin/env bash
# Puts the control plane of tests and demo, kube-apiserver and etcd, into
# bin/controlplane/<version>/. It takes the first of these ways that works:
#
#   1. KUBEBUILDER_ASSETS names a folder that holds them: nothing to do.
#   2. They are in bin/controlplane/<version>/ already: nothing to do.
#   3. setup-envtest downloads them (seconds, where the internet is reached).
#   4. They are built from their Go modules (minutes, then cached by Go).
#
# CONTROLPLANE_DOWNLOAD=no skips the third way.
# Two runs at once are safe: the second waits for the first where flock exists;
# in any case the folder appears whole, by a rename.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

module=hack/controlplane
version=$(sed -n 's|^\tk8s.io/kubernetes v||p' "$module/go.mod")
root=bin/controlplane
target=$root/$version
export GOWORK=off

say() { printf 'controlplane: %s\n' "$*"; }
refuse() { printf 'controlplane: FAILED: %s\n' "$*" >&2; exit 1; }
complete() { [[ -x $1/kube-apiserver && -x $1/etcd ]]; }

# clock SECONDS prints a duration as m:ss.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

work= builder=
cleanup() {
  [[ -z $builder ]] || kill "$builder" 2>/dev/null || true
  [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# publish FOLDER gives a complete folder its final name. Where another run was
# quicker its result stays.
publish() {
  complete "$1" || refuse "$1 lacks kube-apiserver or etcd"
  complete "$target" || mv "$1" "$target"
}

# download asks setup-envtest for a published release of the same minor version.
download() {
  local minor=${version%.*} tool=$work/setup-envtest folder log=$work/download.log
  [[ ${CONTROLPLANE_DOWNLOAD:-yes} != no ]] || return 1
  say "looking for a ready-made $minor release to download (at most 20 s to find out)"
  go build -modfile=hack/tools/go.mod -o "$tool" sigs.k8s.io/controller-runtime/tools/setup-envtest >"$log" 2>&1 || return 1
  timeout 20 "$tool" list --remote-only "$minor.x" >"$log" 2>&1 || return 1
  grep -q "$minor" "$log" || return 1
  say "downloading it (about 70 MB)"
  folder=$(timeout 600 "$tool" use --bin-dir "$work/envtest" --print path "$minor.x" 2>"$log") || return 1
  complete "$folder" || return 1
  say "downloaded $(basename "$folder")"
  chmod -R u+w "$work/envtest"
  mkdir "$work/ready"
  mv "$folder/kube-apiserver" "$folder/etcd" "$work/ready/"
}

# progress shows, while the builder runs, how far it is: one line that is
# rewritten on a terminal, a line every 15 seconds elsewhere.
# $1: what is built; $2: how many packages it has at most; $3: the build's log.
progress() {
  local begun=$SECONDS shown=-15 line compiled
  while kill -0 "$builder" 2>/dev/null; do
    compiled=$(grep -cv '^go: ' "$3" || true)
    line="building $1: $(clock $((SECONDS - begun))) elapsed, $compiled packages compiled of at most $2"
    if [[ -t 1 ]]; then
      printf '\r\033[Kcontrolplane: %s' "$line"
    elif ((SECONDS - shown >= 15 && SECONDS > begun)); then
      say "$line"
      shown=$SECONDS
    fi
    sleep 1
  done
  [[ ! -t 1 ]] || printf '\r\033[K'
}

# compile NAME builds hack/controlplane/NAME into the work folder. Without cgo
# the result needs no C compiler and no C library.
compile() {
  local name=$1 log=$work/$1.log begun=$SECONDS packages status=0
  local kube="k8s.io/component-base/version"
  local flags="-s -w -X $kube.gitVersion=v$version -X $kube.gitMajor=${version%%.*} -X $kube.gitMinor=$(cut -d. -f2 <<<"$version")"
  packages=$(go -C "$module" list -deps "./$name" 2>"$log" | wc -l) || { cat "$log" >&2; refuse "the modules of $name cannot be fetched"; }
  : >"$log"
  CGO_ENABLED=0 go -C "$module" build -v -buildvcs=false -trimpath -ldflags "$flags" \
    -o "$PWD/$work/ready/$name" "./$name" >"$log" 2>&1 9>&- &
  builder=$!
  progress "$name" "$packages" "$log"
  wait "$builder" || status=$?
  builder=
  ((status == 0)) || { tail -n 30 "$log" >&2; refuse "building $name failed, see above"; }
  say "built $name in $(clock $((SECONDS - begun)))"
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  complete "$KUBEBUILDER_ASSETS" || refuse "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, but kube-apiserver and etcd are not there; unset it, or name the folder that holds them"
  say "ok: $KUBEBUILDER_ASSETS, as KUBEBUILDER_ASSETS says"
  exit
fi
if complete "$target"; then
  say "ok: $target"
  exit
fi

mkdir -p "$root"
if command -v flock >/dev/null; then
  exec 9>"$root/.lock"
  flock -n 9 || { say "another run is at it; waiting for it to end"; flock 9; }
  if complete "$target"; then
    say "ok: $target"
    exit
  fi
fi
work=$(mktemp -d "$root/.work.XXXXXX")

say "tests and demo run against a real kube-apiserver $version and etcd, which are not here yet"
if ! download; then
  say "nothing to download; building both from their Go modules"
  say "this happens once: about 7 minutes on two cores with an empty Go build cache, 15 seconds with a full one"
  mkdir -p "$work/ready"
  compile etcd
  compile kube-apiserver
fi
publish "$work/ready"
say "ok: $target is ready after $(clock "$SECONDS")"
