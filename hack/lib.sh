# shellcheck shell=bash
#
# Functions that the scripts of this folder share. To be sourced by bash, with
# $script set to the name that begins each line of output.

export GOWORK=off # a workspace above this folder would change what is built

: "${script:?names the script in its output}"

say() { printf '%s: %s\n' "$script" "$*"; }
refuse() {
  printf '%s: FAILED: %s\n' "$script" "$*" >&2
  exit 1
}

# clock SECONDS prints a duration as m:ss.
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# tool NAME ARGS... runs a tool at the version that hack/tools pins.
tool() { go tool -modfile=hack/tools/go.mod "$@"; }

# ours PATTERN... lists the files of the working copy, committed or not.
ours() { git ls-files --cached --others --exclude-standard -- "$@"; }

# list WORDS... joins them with commas.
list() {
  local first=$1
  shift
  printf '%s' "$first" "${@/#/, }"
}

# Whatever is in here when the script ends, also by a signal, is ended or removed.
job='' work=''
cleanup() {
  [[ -z $job ]] || kill "$job" 2>/dev/null || true
  [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# with_progress WHAT PACKAGES LOG COMMAND... runs a command that says little while
# it works, such as a build, with its output in the file LOG. Meanwhile it shows
# the time and, where PACKAGES is not 0, how many packages `go build -v` has
# compiled of at most that many: one line that is rewritten on a terminal, a line
# every 15 seconds elsewhere. It returns the command's status and, on a failure,
# prints the end of the log.
with_progress() {
  local what=$1 packages=$2 log=$3 begun=$SECONDS shown=$SECONDS line status=0
  shift 3
  "$@" >"$log" 2>&1 </dev/null 9>&- &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    line="$what, $(clock $((SECONDS - begun)))"
    ((packages == 0)) || line+=", $(grep -cv '^go: ' "$log" || true) packages compiled of at most $packages"
    if [[ -t 1 ]]; then
      printf '\r\033[K%s: %s' "$script" "$line"
    elif ((SECONDS - shown >= 15)); then
      say "$line"
      shown=$SECONDS
    fi
    sleep 0.2
  done
  [[ ! -t 1 ]] || printf '\r\033[K'
  wait "$job" || status=$?
  job=''
  ((status == 0)) || tail -n 40 "$log" >&2
  return "$status"
}
