#!/usr/bin/env bash
# kill -9 in the middle of key creation, 200 times: afterwards the store is usable, and each key is there whole (shown, and wraps and unwraps) or not at all.
set -u
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CMK11_STORE=$scratch/store CMK11_PIN=kill-user-pin CMK11_SO_PIN=kill-so-pin
rounds=${CMK11_KILL_ROUNDS:-200}
"$CMK11" vault init v > /dev/null || { echo 'FAIL fault/kill: no vault'; exit 1; }

# How long one creation takes, so that the kills spread over all of it.
begin=$(date +%s%N)
for i in 1 2 3 4 5; do "$CMK11" key create v "warm$i" --size 2048 > /dev/null || exit 1; done
each=$((($(date +%s%N) - begin) / 5000000))
made=0 killed=0 bad=0
for ((i = 0; i < rounds; i++)); do
  "$CMK11" key create v "k$i" --size 2048 > "$scratch/out" 2>&1 &
  pid=$!
  sleep "$(printf '0.%03d' $((RANDOM % (each + each / 4 + 1) % 1000)))"
  if kill -9 $pid 2> /dev/null; then killed=$((killed + 1)); fi
  wait $pid 2> /dev/null && made=$((made + 1))
  # A key whose maker said it is done must be there.
  if [ -s "$scratch/out" ] && ! grep -q '^cmk11:' "$scratch/out" && ! "$CMK11" key show v "k$i" > /dev/null 2>&1; then
    echo "  k$i was reported made and is gone"; bad=$((bad + 1))
  fi
done
"$CMK11" key list v --json > "$scratch/list" 2> "$scratch/err" || { cat "$scratch/err"; echo 'FAIL fault/kill: key list'; exit 1; }
names=$(python3 -c 'import json,sys; print("\n".join(k["name"] for k in json.load(open(sys.argv[1]))["keys"]))' "$scratch/list")
count=$(wc -l <<< "$names")
for name in $names; do
  "$CMK11" key show v "$name" --json 2> "$scratch/err" | python3 -c 'import json,sys; v=json.load(sys.stdin)["versions"]; assert len(v) == 1 and v[0]["enabled"]' ||
    { echo "  $name is listed but not whole: $(cat "$scratch/err")"; bad=$((bad + 1)); }
done
python3=/usr/bin/python3
$python3 "$(dirname "$0")/use_all.py" "$CMK11_MODULE" "$CMK11_PIN" $names > "$scratch/use" 2>&1 || { cat "$scratch/use"; bad=$((bad + 1)); }
"$CMK11" key create v after --size 2048 > /dev/null || { echo '  no key can be made any more'; bad=$((bad + 1)); }
[ "$killed" -ge $((rounds / 4)) ] || { echo "  only $killed of $rounds were killed in time"; bad=$((bad + 1)); }
[ "$count" -ge $((made + 5)) ] || { echo "  $count keys, though $made were made"; bad=$((bad + 1)); }
[ $bad = 0 ] && echo "PASS fault/kill: $killed of $rounds creations killed, $count keys, all whole" || echo "FAIL fault/kill: $bad of $rounds"
exit $((bad > 0))
