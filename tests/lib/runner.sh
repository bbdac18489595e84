# Running tests and counting what they say. Sourced by run-tests.
passed=0 failed=0 stage_name=- failures=()
started=$SECONDS
mkdir -p build/log
export LC_ALL=C.UTF-8

begin_stage() {
  stage_name=$1
  printf '\n== %s (%d s)\n' "$1" $((SECONDS - started))
}

# run NAME SECONDS COMMAND…: runs a command that prints PASS and FAIL lines, with a time limit.
run() {
  local name=$1 limit=$2 log ok bad status
  shift 2
  log=build/log/$stage_name-${name//\//_}.log
  timeout --kill-after=10 "$limit" "$@" > "$log" 2>&1 < /dev/null
  status=$?
  ok=$(grep -c '^PASS ' "$log")
  bad=$(grep -c '^FAIL ' "$log")
  grep '^FAIL ' "$log" | while IFS= read -r line; do printf '%s: %s (%s)\n' "$stage_name" "$line" "$log"; done
  if [ "$bad" = 0 ] && { [ "$status" != 0 ] || [ "$ok" = 0 ]; }; then
    bad=1
    printf '%s: FAIL %s: exit status %s after %s passed (%s)\n' "$stage_name" "$name" "$status" "$ok" "$log"
    tail -n 15 "$log" | sed 's/^/    /'
  fi
  [ "$bad" = 0 ] || failures+=("$stage_name/$name")
  passed=$((passed + ok)) failed=$((failed + bad))
  printf '%-44s %4d passed %3d failed\n' "$name" "$ok" "$bad"
}

# check NAME SECONDS COMMAND…: a command whose exit status is the whole result.
check() {
  local name=$1 limit=$2 log
  shift 2
  log=build/log/$stage_name-${name//\//_}.log
  if timeout --kill-after=10 "$limit" "$@" > "$log" 2>&1 < /dev/null; then
    passed=$((passed + 1))
    printf '%-44s ok\n' "$name"
    return 0
  fi
  failed=$((failed + 1)) failures+=("$stage_name/$name")
  printf '%s: FAIL %s (%s)\n' "$stage_name" "$name" "$log"
  tail -n 25 "$log" | sed 's/^/    /'
  return 1
}

finish() {
  [ ${#failures[@]} = 0 ] || printf '\nfailed: %s\n' "${failures[*]}"
  printf '\nafter %d s:\n%d passed, %d failed\n' $((SECONDS - started)) "$passed" "$failed"
  [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
  exit
}
