#!/usr/bin/env bash
# ./quickstart as a user runs it, in a directory with a blank in its name; and that it left what it says.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
env -u CMK11_STORE -u CMK11_PIN -u CMK11_SO_PIN -u CMK11_CONF "$top/quickstart" --no-install "$scratch/quick start" > "$scratch/out" 2>&1
status=$?
bad=0
verdict() { # NAME STATUS
  if [ "$2" = 0 ]; then echo "PASS quickstart/$1"; else echo "FAIL quickstart/$1"; bad=1; fi
}
verdict exit-status $status
[ $status = 0 ] || tail -n 40 "$scratch/out" | sed 's/^/    /'
cmp -s "$scratch/quick start/plain.bin" "$scratch/quick start/plain.again"; verdict file-restored $?
[ "$(stat -c %s "$scratch/quick start/plain.bin" 2> /dev/null)" = 104857600 ]; verdict file-of-100-MiB $?
[ "$(grep -c '(refused, as it must be)' "$scratch/out")" = 4 ]; verdict refusals-shown $?
! grep -qF "$(cat "$scratch/quick start/user.pin" 2> /dev/null || echo none)" "$scratch/out"; verdict no-pin-in-output $?
[ ! -e "$scratch/quick start/stolen.bin" ] && [ ! -e "$scratch/quick start/signature.bin" ]; verdict nothing-stolen $?
exit $bad
