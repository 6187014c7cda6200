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
script='controlplane'
. hack/lib.sh

module=hack/controlplane
version=$(sed -n 's|^\tk8s.io/kubernetes v||p' "$module/go.mod")
root=bin/controlplane
target=$root/$version

complete() { [[ -x $1/kube-apiserver && -x $1/etcd ]]; }

# online tells whether the index of releases can be reached, or a proxy may know.
online() {
  [[ -n ${HTTPS_PROXY:-${https_proxy:-}} ]] ||
    timeout 5 bash -c ': </dev/tcp/raw.githubusercontent.com/443' 2>/dev/null
}

# download asks setup-envtest for a published release of the same minor version.
download() {
  local minor=${version%.*} folder log=$work/download.log
  [[ ${CONTROLPLANE_DOWNLOAD:-yes} != no ]] && online || return 1
  say "looking for a ready-made $minor release to download"
  local setup_envtest=$work/setup-envtest
  with_progress "building setup-envtest" 0 "$log" \
    go build -modfile=hack/tools/go.mod -o "$setup_envtest" sigs.k8s.io/controller-runtime/tools/setup-envtest 2>/dev/null || return 1
  timeout 20 "$setup_envtest" list --remote-only "$minor.x" >"$log" 2>&1 || return 1
  grep -q "$minor" "$log" || return 1
  say "downloading it, about 70 MB"
  folder=$(timeout 600 "$setup_envtest" use --bin-dir "$work/envtest" --print path "$minor.x" 2>"$log") || return 1
  complete "$folder" || return 1
  say "downloaded $(basename "$folder")"
  chmod -R u+w "$work/envtest"
  mkdir "$work/ready"
  mv "$folder/kube-apiserver" "$folder/etcd" "$work/ready/"
}

# compile NAME builds hack/controlplane/NAME. Without cgo the result needs no C
# compiler and no C library.
compile() {
  local name=$1 log=$work/$1.log begun=$SECONDS packages major minor
  IFS=. read -r major minor _ <<<"$version"
  local kube=k8s.io/component-base/version
  local flags="-s -w -X $kube.gitVersion=v$version -X $kube.gitMajor=$major -X $kube.gitMinor=$minor"
  with_progress "fetching the modules of $name" 0 "$log" go -C "$module" list -deps "./$name" ||
    refuse "the modules of $name cannot be fetched"
  packages=$(grep -cv '^go: ' "$log")
  CGO_ENABLED=0 with_progress "building $name" "$packages" "$log" \
    go -C "$module" build -v -buildvcs=false -trimpath -ldflags "$flags" -o "$PWD/$work/ready/$name" "./$name" ||
    refuse "building $name failed, see above"
  say "built $name in $(clock $((SECONDS - begun)))"
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  complete "$KUBEBUILDER_ASSETS" ||
    refuse "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, but kube-apiserver and etcd are not there; unset it, or name the folder that holds them"
  say "ok: $KUBEBUILDER_ASSETS, as KUBEBUILDER_ASSETS says"
  exit
fi
if complete "$target"; then
  say "ok: $target is there"
  exit
fi

mkdir -p "$root"
if command -v flock >/dev/null; then
  exec 9>"$root/.lock"
  flock -n 9 || { say "another run is at it; waiting for it to end" && flock 9; }
  if complete "$target"; then
    say "ok: $target is there"
    exit
  fi
  rm -rf "$root"/.work.* # left behind by runs that were killed
fi
work=$(mktemp -d "$root/.work.XXXXXX")

say "tests and demo run against a real kube-apiserver $version and etcd, which are not here yet"
if ! download; then
  say "nothing can be downloaded here; building both from their Go modules"
  say "this happens once: 5 to 7 minutes on two cores with an empty Go build cache, half a minute with a full one"
  mkdir -p "$work/ready"
  compile etcd
  compile kube-apiserver
fi
complete "$work/ready" || refuse "kube-apiserver or etcd is missing from what was made"
complete "$target" || mv "$work/ready" "$target"
say "ok: $target is ready after $(clock "$SECONDS")"
