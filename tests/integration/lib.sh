# Shared by the integration tests: a scratch directory, PINs, a module, verdicts.
set -u
name=$(basename "$0" .sh)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export CMK11_STORE=$scratch/store CMK11_PIN=integration-user-pin CMK11_SO_PIN=integration-so-pin
bad=0
pass() { echo "PASS ${name#test_}/$1"; }
fail() { echo "FAIL ${name#test_}/$1"; bad=1; [ ! -s out ] || tail -n 12 out | sed 's/^/    /'; }
# works NAME COMMAND…: output in ./out
works() { local n=$1; shift; if "$@" > out 2>&1 < /dev/null; then pass "$n"; else fail "$n"; fi; }
# refused NAME PATTERN COMMAND…: must fail, and say PATTERN
refused() {
  local n=$1 pattern=$2; shift 2
  if "$@" > out 2>&1 < /dev/null; then fail "$n"; elif grep -qE "$pattern" out; then pass "$n"; else fail "$n"; fi
}
# shows NAME PATTERN COMMAND…: must succeed and print PATTERN
shows() {
  local n=$1 pattern=$2; shift 2
  if "$@" > out 2>&1 < /dev/null && grep -qE "$pattern" out; then pass "$n"; else fail "$n"; fi
}
finish() { exit $bad; }
kek_id() { "$CMK11" key show "$1" "$2" --json | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["versions"][0]["id"])'; }
