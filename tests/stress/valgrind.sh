#!/usr/bin/env bash
# A few load-use-unload cycles under valgrind: no error, nothing definitely lost.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT
program=$CMK11_BUILD/tests/stress/test_lifetime
[ ! -x "$CMK11_BUILD/tests/stress/.libs/test_lifetime" ] || program=$CMK11_BUILD/tests/stress/.libs/test_lifetime
CMK11_STRESS_CYCLES=5 valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --trace-children=no \
  "$program" > "$out" 2>&1
status=$?
if [ $status = 0 ]; then echo 'PASS stress/valgrind'; else cat "$out"; echo "FAIL stress/valgrind: exit $status"; fi
exit $status
