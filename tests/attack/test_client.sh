#!/usr/bin/env bash
# Known attacks of an application on a token, by the number of the row in the list of attacks (docs/threat-model.md).
set -u
here=$(dirname "$(readlink -f "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
unset CMK11_CONF
export CMK11_STORE=$scratch/store CMK11_PIN='Client-User-Secret' CMK11_SO_PIN='Client-Officer-Secret' HOME=$scratch XDG_CONFIG_HOME=$scratch/config
export PYTHONPATH=$here/../lib PYTHONDONTWRITEBYTECODE=1
bad=0
"$CMK11" vault init v > out 2>&1 && "$CMK11" key create v kek --size 2048 > out 2>&1 || { cat out; echo 'FAIL client/vault'; exit 1; }
"$CMK11" vault init open --allow-ops wrapKey,unwrapKey,decrypt > out 2>&1 && "$CMK11" key create open with --size 2048 --ops wrapKey,unwrapKey,decrypt > out 2>&1 &&
  "$CMK11" key create open without --size 2048 > out 2>&1 || { cat out; echo 'FAIL client/open-vault'; exit 1; }
"$CMK11" vault init pins > out 2>&1 || { cat out; echo 'FAIL client/pins-vault'; exit 1; }
for row in 01 02 03 04 05 06 07 09 11 12 13 18 21 22 24; do
  /usr/bin/python3 "$here/client.py" "$row" > out 2>&1
  status=$?
  cat out
  [ $status = 0 ] || bad=1
  [ $status -le 1 ] && grep -q "client/$row" out || { echo "FAIL client/$row: ended with status $status"; bad=1; }
done
# Row 17 is run with everything logged; no line of the log may hold a PIN or a key.
printf 'log = %s\nlog-level = debug\n' "$scratch/debug.log" > conf
chmod 600 conf
CMK11_CONF=$scratch/conf /usr/bin/python3 "$here/client.py" 17 || bad=1
if [ -s debug.log ] && ! grep -qiE 'Client-User-Secret|Client-Officer-Secret|some-wrong-pin|5ec2e7ac|new-user-pin' debug.log; then
  echo 'PASS client/17/no-pin-in-the-log'
else
  echo 'FAIL client/17/no-pin-in-the-log'; grep -niE 'Secret|some-wrong-pin|5ec2e7ac|new-user-pin' debug.log | head -5; bad=1
fi
CMK11_PIN=some-wrong-pin "$CMK11" key create v other > out 2>&1 && { echo 'FAIL client/17/command-refuses'; bad=1; } || echo 'PASS client/17/command-refuses'
grep -q 'some-wrong-pin' out && { echo 'FAIL client/17/no-pin-in-the-message'; bad=1; } || echo 'PASS client/17/no-pin-in-the-message'
exit $bad
