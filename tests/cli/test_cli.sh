#!/usr/bin/env bash
# The cmk11 command from outside: usage, names, PIN sources, text, JSON, exit statuses, completion. Needs $CMK11 (the command) and
# python3. Prints PASS or FAIL for each test; the failed checks follow a FAIL.
set -u
: "${CMK11:?name the cmk11 command to test}"
CMK11=$(command -v "$CMK11") || exit 1
[[ $CMK11 == /* ]] || CMK11=$PWD/$CMK11
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
completion=$here/../../cli/cmk11.bash-completion

scratch=$(mktemp -d "${TMPDIR:-/tmp}/cmk11-cli.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
unset CMK11_CONF CMK11_PIN CMK11_SO_PIN XDG_DATA_HOME
export HOME=$scratch XDG_CONFIG_HOME=$scratch/config CMK11_STORE=sqlite:$scratch/store
umask 077
so_pin='so-pin-of-the-tests' user_pin='user-pin-of-the-tests'
echo "$so_pin" > so.pin
echo "$user_pin" > user.pin
pins=(--so-pin-file so.pin --pin-file user.pin)
status=0 bad=''

# run WORD…: runs the command without a terminal; leaves $out, $err, $rc.
run() {
  setsid -w "$CMK11" "$@" > out.txt 2> err.txt < /dev/null
  rc=$?
  out=$(cat out.txt) err=$(cat err.txt)
  last="cmk11 $*"
}
wrong() { bad+="    $last: $1 (status $rc, stdout: ${out:0:300}, stderr: ${err:0:300})"$'\n'; }
# want STATUS [STDERR-PATTERN]: the last run ended so; a failure has exactly one line on stderr that begins with "cmk11: ".
want() {
  [ "$rc" = "$1" ] || { wrong "status $1 expected"; return; }
  if [ "$1" != 0 ]; then
    [[ $err == 'cmk11: '* && $(wc -l < err.txt) = 1 ]] || wrong 'one line beginning "cmk11: " expected on stderr'
  fi
  [[ -z ${2-} || $err == *$2* ]] || wrong "\"$2\" expected on stderr"
}
shows() { [[ $out == *"$1"* ]] || wrong "\"$1\" expected on stdout"; }
# json EXPRESSION: stdout is one JSON object j and nothing else, for which the Python expression is true.
json() {
  python3 -c 'import json,re,sys
j = json.loads(open("out.txt", encoding="utf-8").read())
assert isinstance(j, dict)
rfc = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
sys.exit(0 if eval(sys.argv[1]) else 1)' "$1" 2> /dev/null || wrong "json: $1"
}
verdict() {
  if [ -z "$bad" ]; then echo "PASS cli/$1"; else echo "FAIL cli/$1"; printf '%s' "$bad"; status=1; fi
  bad=''
}

run; want 2 'cmk11 --help'
run vault; want 2 'init, list, show, key-fingerprint'
run vualt list; want 2 'did you mean cmk11 vault'
run vault lsit; want 2 'did you mean cmk11 vault list'
run qqqqqqqqqqqqq; want 2 'unknown command'
run vault list --jsno; want 2 'did you mean --json'
run vault list --size 2048; want 2 'unknown option --size'
run -x; want 2 'unknown option -x'
run --retention-days 7 vault init a; want 2 'unknown option'
run vault show; want 2 'NAME is missing'
run vault show a b; want 2 'too many arguments'
run key create a; want 2 'KEY is missing'
run key create a b --size; want 2 '--size needs a value'
run key create a b --size 2048 --size 3072; want 2 'given twice'
run key list a --deleted=yes; want 2 'takes no value'
run vault init --pin=very-secret a; want 2 'did you mean --pin-file'
[[ $err != *very-secret* ]] || wrong 'the value is shown'
run vault show 'a' 'very-secret'; [[ $err != *very-secret* ]] || wrong 'the argument is shown'
run vault show --json; want 2; json 'j["error"]["code"] == "argument" and "NAME" in j["error"]["message"]'
run $'a\e[31mb'; want 2 '\x1b'
verdict usage

for days in 6 91 0 -7 7.5 7d '' 9999999999999999999999; do run vault init v "${pins[@]}" --retention-days "$days"; want 2 'from 7 to 90'; done
for size in 1024 2047 8192 3072x ''; do run key create v k --size "$size"; want 2 '2048, 3072 or 4096'; done
for ops in sign wrapKey,sign , '' wrapKey,; do run key create v k --ops "$ops"; want 2 '--ops'; done
run vault init v "${pins[@]}" --allow-ops everything; want 2 '--allow-ops'
for t in yesterday 2026-13-01 2026-02-30 +5 1969-01-01 ''; do run key create v k --expires "$t"; want 2 '--expires'; done
run key create v k --not-before 2030-01-02 --expires 2030-01-02; want 2 'later than'
for tag in novalue =x "$(printf 'n%.0s' {1..128})=x" "x=$(printf 'v%.0s' {1..256})" $'\xff=x'; do run key create v k --tag "$tag"; want 2 '--tag'; done
run key create v k --tag a=1 --tag a=2; want 2 'given twice'
tags=(); for i in {1..16}; do tags+=(--tag "t$i=x"); done
run key create v k "${tags[@]}"; want 2 'at most 15'
[ ! -e store ] || wrong 'a store was made'
verdict option-values

for words in '' vault key 'vault init' 'vault list' 'vault show' 'vault key-fingerprint' 'key create' 'key list' 'key show' 'key versions' status help; do
  run $words --help; want 0; shows "Usage: cmk11 $words"; shows '--json'
  case $words in ''|vault|key) ;; *) shows "Example:"; shows "  cmk11 $words" ;; esac
  [ -z "$err" ] || wrong 'stderr is not empty'
  text=$out
  run help $words; want 0; [ "$out" = "$text" ] || wrong 'help and --help differ'
  run $words -h; want 0
done
run help vault; shows 'cmk11 vault init NAME'
run help nonsense; want 2 'no command'
run help vault nonsense; want 2 'no command'
run key create --help; for o in --size --ops --not-before --expires --tag --user --pin-file; do shows "$o"; done
run vault init --help; for o in --retention-days --purge-protection --allow-ops --pin-file --so-pin-file; do shows "$o"; done
verdict help

run --version; want 0; [[ $out =~ ^cmk11\ [0-9]+\.[0-9]+\.[0-9]+ ]] || wrong 'no version'
run --version --json; json 'j["name"] == "cmk11" and j["version"][0].isdigit()'
verdict version

for words in 'vault list' 'vault show a' 'vault key-fingerprint a' 'key list a' 'key show a b' 'key versions a b' 'key create a b' status; do
  run $words; want 1 'cmk11 vault init NAME'; [[ $err == *"$scratch/store"* ]] || wrong 'the store is not named'
  run $words --json; want 1; json 'j["error"]["code"] == "not-found" and set(j["error"]) == {"code", "message"}'
done
[ ! -e store ] || wrong 'a store was made'
verdict no-store

long=$(printf 'x%.0s' {1..200})
for name in '' "$long" "${long:0:33}" $'a\nb' $'a\x7fb' $'a\xc2\x85b' $'a\xffb' a/b .a 'a ' ; do
  run vault init "${pins[@]}" "$name"; want 1
  run vault init "${pins[@]}" --json "$name"; want 1; json 'j["error"]["code"] == "name"'
done
run vault init "${pins[@]}" -- -a; want 1
[ ! -e store ] || wrong 'a store was made'
verdict vault-names

run vault init v --so-pin-file so.pin; want 1 CMK11_PIN
run vault init v --pin-file user.pin --json; want 1 CMK11_SO_PIN; json 'j["error"]["code"] == "not-logged-in"'
run vault init v --so-pin-file so.pin --pin-file missing.pin; want 1 missing.pin
run vault init v --so-pin-file so.pin --pin-file .; want 1 directory
: > empty.pin; echo > newline.pin; echo abc > short.pin; printf 'one line\nanother\n' > lines.pin; printf 'with\0zero\n' > zero.pin
printf 'p%.0s' {1..256} > long.pin
for f in empty newline short lines zero long; do
  run vault init v --so-pin-file so.pin --pin-file $f.pin; want 1
done
CMK11_PIN=abc run vault init v --so-pin-file so.pin; want 1 'at least 4'
CMK11_PIN='' run vault init v --so-pin-file so.pin; want 1 empty
CMK11_PIN=$(cat long.pin) run vault init v --so-pin-file so.pin; want 1 'at most 255'
[ ! -e store ] || wrong 'a store was made'
chmod 666 user.pin; run vault init v "${pins[@]}"; want 1 'chmod 600'; chmod 600 user.pin
verdict pins-refused

run vault init payroll "${pins[@]}" --retention-days 7 --purge-protection --allow-ops wrapKey,unwrapKey,decrypt; want 0; shows 'Vault payroll'
[ -z "$err" ] || wrong 'stderr is not empty'
[ "$(stat -c %a store)" = 700 ] || wrong 'the store is not 0700'
run vault init --json "${pins[@]}" 'Büro Köln 1'; want 0
json 'j["name"] == "Büro Köln 1" and re.fullmatch("[0-9a-f]{32}", j["id"]) and j["slot"] == 1 and len(j["serial"]) == 16 and j["state"] == "live" and j["retention_days"] == 90 and j["purge_protection"] is False and j["allow_ops"] == ["wrapKey", "unwrapKey"]'
CMK11_PIN=12345678 CMK11_SO_PIN=87654321 run vault init env; want 0 'shorter than 12'
[[ $err != *12345678* && $err != *87654321* ]] || wrong 'a PIN is shown'
printf 'crlf-user-pin\r\n' > crlf.pin; printf 'p%.0s' {1..255} > longest.pin
run vault init edges --so-pin-file longest.pin --pin-file crlf.pin; want 0
run vault init payroll "${pins[@]}"; want 1 exists
run vault init payroll "${pins[@]}" --json; want 1; json 'j["error"]["code"] == "exists"'
run vault init colon --so-pin-file so.pin --pin-file <(echo 'user:secret'); want 1
verdict vault-init

run vault list; want 0; shows payroll; shows 'Büro Köln 1'; shows 'PURGE PROTECTED'
run vault list --json; want 0
json '[v["name"] for v in j["vaults"]] == ["payroll", "Büro Köln 1", "env", "edges"] and j["vaults"][0]["retention_days"] == 7 and j["vaults"][0]["purge_protection"] is True and all(re.fullmatch(rfc, v["created"]) and v["state"] == "live" and v["keys"] == 0 and v["health"] == "ok" for v in j["vaults"])'
run vault show payroll; want 0; shows payroll; shows '7 days'; shows 'wrapKey,unwrapKey,decrypt'
run vault show 'Büro Köln 1' --json; want 0; json 'j["name"] == "Büro Köln 1" and j["pins"]["so"] == {"set": True, "failures": 0, "threshold": 10, "locked": False} and j["pins"]["user"]["set"] is True'
run vault key-fingerprint payroll; want 0; [[ $out =~ ^SHA256:[0-9a-f]{64}$ ]] || wrong 'no fingerprint'
fingerprint=$out
run vault key-fingerprint payroll --json; json "j == {'name': 'payroll', 'fingerprint': '$fingerprint'}"
run vault show nowhere; want 1 'no vault nowhere'
run vault show nowhere --json; want 1; json 'j["error"]["code"] == "not-found"'
for name in '' "$long" $'a\tb' a/b; do run vault show --json "$name"; want 1; json 'j["error"]["code"] == "name"'; done
verdict vault-show

run key create payroll orders --size 2048 --pin-file user.pin --tag team=blue --tag 'größe=10 m' --expires +10d --ops wrapKey,unwrapKey,decrypt; want 0; shows 'Key orders'
run key create payroll big --pin-file user.pin --json --not-before 2020-01-01 --expires 2099-01-01T00:00:00+01:00; want 0
json 'j["name"] == "big" and j["vault"] == "payroll" and j["state"] == "enabled" and len(j["versions"]) == 1 and j["versions"][0]["bits"] == 3072 and j["versions"][0]["not_before"] == "2020-01-01T00:00:00Z" and j["versions"][0]["expires"] == "2098-12-31T23:00:00Z"'
CMK11_PIN=$user_pin run key create payroll env --size 2048; want 0
run key create edges k --size 2048 --pin-file crlf.pin; want 0
run key create payroll orders --pin-file user.pin; want 1 exists
run key create payroll orders --pin-file user.pin --json; want 1; json 'j["error"]["code"] == "exists"'
run key create 'Büro Köln 1' d --pin-file user.pin --size 2048 --ops wrapKey,decrypt --json; want 1 'key d: vault Büro Köln 1 does not allow decrypt, only wrapKey,unwrapKey'; json 'j["error"]["code"] == "key-not-permitted"'
run key create nowhere k --pin-file user.pin; want 1 'no vault nowhere'
run key create payroll k; want 1 --pin-file
run key create payroll k --not-before 2030-01-02 --expires 2030-01-02 --pin-file user.pin; want 2 'later than'
run key create payroll k --pin-file so.pin --json; want 1; json 'j["error"]["code"] == "pin-incorrect"'
[[ $err != *"$so_pin"* && $out != *"$so_pin"* ]] || wrong 'a PIN is shown'
run key create payroll k --user nobody --pin-file user.pin --json; want 1; json 'j["error"]["code"] == "pin-incorrect"'
CMK11_PIN=nobody:secret run key create payroll k; want 1 'wrong name or PIN'
run key create payroll k --user a:b --pin-file user.pin --json; want 1; json 'j["error"]["code"] == "name"'
run key create payroll k --user user --pin-file user.pin --size 2048; want 0
for name in '' "$long" $'a\nb' .a a/b ' '; do run key create payroll --pin-file user.pin --json "$name"; want 1; json 'j["error"]["code"] == "name"'; done
chmod 644 user.pin; run key create payroll open --pin-file user.pin --size 2048; want 0 'open to others'; chmod 600 user.pin
verdict key-create

run key list payroll; want 0; shows orders; shows VERSIONS
run key list payroll --json; want 0
json 'sorted(k["name"] for k in j["keys"]) == ["big", "env", "k", "open", "orders"] and all(k["state"] == "enabled" and k["current"] == 1 and k["versions"] == 1 and re.fullmatch("[0-9a-f]{32}", k["id"]) for k in j["keys"])'
json '[k["tags"] for k in j["keys"] if k["name"] == "orders"] == [{"team": "blue", "größe": "10 m"}]'
run key list payroll --deleted --json; want 0; json 'j == {"keys": []}'
run key list payroll --deleted; want 0; shows 'No deleted keys'
run key list 'Büro Köln 1'; want 0; shows 'No keys'
run key list nowhere; want 1 'no vault nowhere'
run key show payroll orders; want 0; shows 'RSA 2048'; shows 'team=blue'
run key show payroll orders --json; want 0
json 'j["name"] == "orders" and j["current"] == 1 and j["ops"] == ["wrapKey", "unwrapKey", "decrypt"] and [(v["version"], v["bits"], v["enabled"], v["current"], v["origin"], v["state"]) for v in j["versions"]] == [(1, 2048, True, True, "generated", "enabled")] and re.fullmatch("[0-9a-f]{32}", j["versions"][0]["id"]) and re.fullmatch(rfc, j["versions"][0]["created"])'
id=$(python3 -c 'import json; print(json.load(open("out.txt"))["versions"][0]["id"])')
run key show payroll orders/1 --json; want 0; json "j['versions'][0]['id'] == '$id'"
run key show payroll "orders/$id" --json; want 0; json 'j["versions"][0]["version"] == 1'
run key show payroll "orders/${id^^}"; want 0; shows "$id"
run key show payroll orders/2; want 1 'no such version'
run key show payroll "orders/$(printf '0%.0s' {1..32})"; want 1 'no such version'
for v in '' 0 01 -1 +1 1234567890 abc "${id}0"; do run key show payroll "orders/$v"; want 2 VERSION; done
run key show payroll nothing --json; want 1 'no key nothing'; json 'j["error"]["code"] == "not-found"'
run key versions payroll orders; want 0; shows "$id"
run key versions payroll orders --json; want 0; json "j['name'] == 'orders' and j['versions'][0]['id'] == '$id'"
run key versions payroll nothing; want 1 'no key nothing'
for name in '' "$long" $'a\x01b'; do run key versions payroll "$name" --json; want 1; json 'j["error"]["code"] == "name"'; done
verdict key-show

run status; want 0; shows 'Health:'; shows 'orders/1'
run status --json; want 0
json 'j["health"] == "attention" and j["store"].startswith("sqlite:") and j["configuration"] is None and len(j["vaults"]) == 4 and [(a["vault"], a["key"], a["version"], a["code"]) for a in j["attention"]] == [("payroll", "orders", 1, "expires-soon")]'
for _ in {1..10}; do run key create env k --pin-file short.pin; want 1; done
CMK11_PIN=12345678 run key create env k; want 1; [[ $err == *lock* ]] || wrong 'locked expected'
run status --json; want 0; json '("env", "pin-locked") in [(a["vault"], a["code"]) for a in j["attention"]]'
run vault show env --json; json 'j["pins"]["user"]["locked"] is True and j["pins"]["so"]["locked"] is False'
verdict status

# Breaks one byte of every record of the officer's and administrator's trees in a copy.
cp -r store broken
python3 - <<'PY'
import sqlite3, glob
for path in glob.glob("broken/*"):
    try:
        db = sqlite3.connect(path)
        tables = [r[0] for r in db.execute("select name from sqlite_master where type='table'")]
    except sqlite3.DatabaseError:
        continue
    for t in tables:
        columns = [r[1] for r in db.execute(f"pragma table_info({t})")]
        if "body" in columns and "kind" in columns:
            for row, body in db.execute(f"select rowid, body from {t} where kind in (16, 32)").fetchall():
                db.execute(f"update {t} set body = ? where rowid = ?", (body[:-1] + bytes([body[-1] ^ 1]), row))
    db.commit()
PY
CMK11_STORE=sqlite:$scratch/broken run status --json; want 1; json 'j["health"] == "damaged" and any(v["health"] != "ok" for v in j["vaults"])'
CMK11_STORE=sqlite:$scratch/broken run status; want 1; shows damaged
CMK11_STORE=sqlite:$scratch/broken run key show payroll orders --json; want 1; json 'j["error"]["code"] == "tampered"'
verdict damage

cat > prompt.py <<'PY'
# prompt.py ANSWERS COMMAND…: runs COMMAND on a terminal of its own, types the answers, prints what the terminal showed.
import os, pty, select, sys
answers = sys.argv[1].split("|")
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b""
seen = 0
while True:
    ready, _, _ = select.select([fd], [], [], 30)
    try:
        data = os.read(fd, 4096) if ready else b""
    except OSError:
        data = b""
    if not data:
        break
    shown += data
    while shown.count(b": ", seen) and answers and shown[seen:].find(b"PIN") >= 0:
        seen = len(shown)
        os.write(fd, (answers.pop(0) + "\n").encode() if answers[0] != "^C" else b"\x03")
_, st = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.WEXITSTATUS(st) if os.WIFEXITED(st) else 128 + os.WTERMSIG(st))
PY
prompt() { last="prompt $*"; python3 prompt.py "$1" "$CMK11" "${@:2}" > out.txt 2> err.txt; rc=$?; out=$(cat out.txt) err=$(cat err.txt); }
status_is() { [ "$rc" = "$1" ] || wrong "status $1 expected"; }
prompt 'typed-so-pin|typed-so-pin|typed-user-pin|typed-user-pin' vault init typed; status_is 0
shows 'New SO PIN: '; shows 'New SO PIN again: '; shows 'New PIN: '; shows 'Vault typed'
[[ $out != *typed-so-pin* && $out != *typed-user-pin* ]] || wrong 'a PIN is shown'
prompt 'typed-so-pin|typed-other' vault init other; status_is 1; shows differ
prompt 'typed-user-pin' key create typed k --size 2048; status_is 0; shows 'Making an RSA 2048'; shows 'Key k is made'
for _ in {1..10}; do prompt '^C' key create typed k2; [ "$rc" = 130 ] || wrong 'killed by SIGINT expected'; done
run vault show other; want 1
verdict prompt

printf 'store = %s\nvault-key payroll = %s\n' "$scratch/store" "$fingerprint" > conf; chmod 600 conf
unset CMK11_STORE
CMK11_CONF=$scratch/conf run status --json; want 0; json 'j["configuration"].endswith("/conf")'
printf 'stoer = x\n' > badconf; chmod 600 badconf
CMK11_CONF=$scratch/badconf run vault list --json; want 1 'badconf:1'; json 'j["error"]["code"] == "config"'
CMK11_CONF=$scratch/none run vault list; want 1
export CMK11_STORE=sqlite:$scratch/store
verdict configuration

run vault list > /dev/null
"$CMK11" vault list > /dev/full 2> err.txt; rc=$? err=$(cat err.txt) last='vault list > /dev/full'; want 1 'standard output'
"$CMK11" vault list --json > /dev/full 2> err.txt; rc=$? err=$(cat err.txt); want 1 'standard output'
verdict full-output

offers() { last="__complete $*"; out=$("$CMK11" __complete "$@" 2> err.txt) rc=$? err=$(cat err.txt); [ -z "$err" ] && [ $rc = 0 ] || wrong 'noise'; out=${out//$'\n'/|}; }
is() { [ "$out" = "$1" ] || wrong "\"$1\" expected"; }
offers ''; is 'vault|key|store|status|help'
offers vault ''; is 'init|list|show|key-fingerprint'
offers key v; is versions
offers vault show p; is payroll
offers vault show B; is 'Büro Köln 1'
offers key show payroll or; is orders
offers key show payroll orders/; is orders/1
offers key versions --json payroll or; is orders
offers key create payroll ''; is ''
offers key create --size 4; is 4096
offers key create --size = 4; is 4096
offers key list payroll --; is '--help|--json|--deleted'
offers help key c; is create
offers nonsense ''; is ''
offers vault nonsense ''; is ''
CMK11_STORE=sqlite:$scratch/nowhere offers vault show ''; is ''
offers; is 'vault|key|store|status|help'
verdict complete-words

# Sharing the store, with a group that every Debian has.
modes() { stat -c '%a %G' store store/cmk11.db | tr '\n' ' '; }
own=$(id -gn)
run store group no-such-group-here; want 2 'no group no-such-group-here'
run store group; want 2 'missing'
run store group "$own"; want 0; shows "$own"
[ "$(modes)" = "2770 $own 660 $own " ] || wrong "modes of a shared store: $(modes)"
run key list payroll; want 0
run store group none --json; want 0; json 'j["group"] is None and j["store"].endswith("/store")'
[ "$(modes)" = "700 $own 600 $own " ] || wrong "modes of a store that is shared no more: $(modes)"
run key list payroll; want 0
chmod o+w store; run vault list; want 1 'store'; chmod o-w store
verdict store-group

# completes WORD…: what the shell would offer for the last word.
completes() {
  out=$(
    PATH=$(dirname "$CMK11"):$PATH
    compopt() { :; }
    . "$completion"
    COMP_WORDS=("$CMK11" "$@") COMP_CWORD=$#
    _cmk11
    printf '%s|' "${COMPREPLY[@]}"
  )
  last="completion of $*" rc=0 err=''
}
completes va; is 'vault|'
completes vault show B; is "$(printf '%q' 'Büro Köln 1')|"
completes key list 'Büro\ Köln\ 1' --d; is '--deleted|'
completes key create payroll x --pin-file us; is 'user.pin|'
completes key create payroll x --size ''; is '2048|3072|4096|'
verdict bash-completion

exit $status
