#!/usr/bin/env bash
# PKCS#11 calls one by one: interfaces, sessions, what KEK objects look like, errors, sizes, handles, versions, several processes.
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
export PYTHONPATH=$here/../lib PYTHONDONTWRITEBYTECODE=1
"$CMK11" vault init raw > out 2>&1 || { fail vault; finish; }
"$CMK11" vault init second > out 2>&1 || { fail vault; finish; }
"$CMK11" key create raw orders --size 2048 > out 2>&1 || { fail key; finish; }
"$CMK11" key create raw dated --size 2048 --not-before 2026-01-01 --expires 2099-12-31 > out 2>&1 || { fail key; finish; }
for part in module sessions attributes versions unwrapping handles processes; do
  /usr/bin/python3 "$here/raw.py" $part || bad=1
done
shows command-agrees 'orders' "$CMK11" key list raw
finish
