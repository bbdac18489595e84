#!/usr/bin/env bash
# ./quickstart as a user runs it; and that it left what it says.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
env -u CMK11_STORE -u CMK11_PIN -u CMK11_SO_PIN -u CMK11_CONF "$top/quickstart" --no-install "$scratch/quickstart" > "$scratch/out" 2>&1
status=$?
bad=0
verdict() { # NAME STATUS
  if [ "$2" = 0 ]; then echo "PASS quickstart/$1"; else echo "FAIL quickstart/$1"; bad=1; fi
}
verdict exit-status $status
[ $status = 0 ] || tail -n 40 "$scratch/out" | sed 's/^/    /'
cmp -s "$scratch/quickstart/plain.bin" "$scratch/quickstart/plain.again"; verdict file-restored $?
[ "$(stat -c %s "$scratch/quickstart/plain.bin" 2> /dev/null)" = 104857600 ]; verdict file-of-100-MiB $?
[ "$(grep -c '(refused, as it must be)' "$scratch/out")" = 4 ]; verdict refusals-shown $?
! grep -qF "$(cat "$scratch/quickstart/user.pin" 2> /dev/null || echo none)" "$scratch/out"; verdict no-pin-in-output $?
[ ! -s "$scratch/quickstart/stolen.bin" ] && [ ! -s "$scratch/quickstart/signature.bin" ]; verdict nothing-stolen $?
mkdir "$scratch/a b"
"$top/quickstart" --no-install "$scratch/a b" > "$scratch/blank" 2>&1
[ $? = 2 ] && grep -q 'blanks' "$scratch/blank"; verdict directory-with-a-blank $?
exit $bad
