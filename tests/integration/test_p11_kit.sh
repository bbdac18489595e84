#!/usr/bin/env bash
# The module behind p11-kit: its remote procedure calls (server and client), its proxy with a configuration of our own, and pkcs11-spy in between.
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
export PYTHONPATH=$here/../lib PYTHONDONTWRITEBYTECODE=1
libraries=$(dirname "$(dpkg -L p11-kit p11-kit-modules 2> /dev/null | grep -m1 '/p11-kit-proxy.so$')")
[ -e "$libraries/p11-kit-proxy.so" ] || { fail p11-kit-is-installed; finish; }
chmod 755 "$scratch"

# p11-kit ignores a user's configuration when it runs as root: then all of it runs as nobody, on copies.
as=()
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  cp "$CMK11_MODULE" "$CMK11" "$here/p11_kit.py" "$here/../lib/cryptoki.py" "$scratch/"
  CMK11_MODULE=$scratch/libcmk11.so CMK11=$scratch/cmk11 PYTHONPATH=$scratch here=$scratch
  mkdir -m 700 home && chown 65534:65534 home && cd home || exit 1
fi
export HOME=$PWD XDG_CONFIG_HOME=$PWD/.config XDG_RUNTIME_DIR=$PWD/run CMK11_STORE=$PWD/store CMK11_MODULE
mkdir -m 700 run
[ "$(id -u)" != 0 ] || chown 65534:65534 run

works vault "${as[@]}" "$CMK11" vault init kit
works key "${as[@]}" "$CMK11" key create kit orders --size 2048
kek=$("${as[@]}" "$CMK11" key show kit orders --json | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["versions"][0]["id"])')
tool_roundtrip() { # NAME MODULE: pkcs11-tool's own OAEP (a NULL parameter) through MODULE
  local tool=("${as[@]}" pkcs11-tool --module "$2" --token-label kit --login --pin env:CMK11_PIN)
  rm -f value again wrapped
  works "$1/keygen" "${tool[@]}" --keygen --key-type AES:32 --label "$1" --id 0d --extractable
  works "$1/wrap" "${tool[@]}" --wrap --mechanism RSA-PKCS-OAEP --id "$kek" --application-id 0d --output-file wrapped
  works "$1/read" "${tool[@]}" --read-object --type secrkey --id 0d --output-file value
  works "$1/delete" "${tool[@]}" --delete-object --type secrkey --id 0d
  works "$1/unwrap" "${tool[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file wrapped --key-type AES: --application-id 0e --application-label x --extractable
  works "$1/read-again" "${tool[@]}" --read-object --type secrkey --id 0e --output-file again
  [ -s value ] && cmp -s value again && pass "$1/same-dek" || fail "$1/same-dek"
  works "$1/delete-again" "${tool[@]}" --delete-object --type secrkey --id 0e
}

# ---- remote ----
"${as[@]}" p11-kit server --foreground --provider "$CMK11_MODULE" -n "$PWD/run/kit.sock" pkcs11: > server.log 2>&1 &
server=$!
trap 'kill $server 2> /dev/null; rm -rf "$scratch"' EXIT
for _ in $(seq 100); do [ -S run/kit.sock ] && break; sleep 0.05; done
[ -S run/kit.sock ] && pass rpc/server || { fail rpc/server; cat server.log; }
client=$libraries/pkcs11/p11-kit-client.so
export P11_KIT_SERVER_ADDRESS=unix:path=$PWD/run/kit.sock
shows rpc/list-tokens 'token label *: kit' "${as[@]}" pkcs11-tool --module "$client" --list-token-slots
shows rpc/list-objects 'Usage: +unwrap' "${as[@]}" pkcs11-tool --module "$client" --token-label kit --login --pin env:CMK11_PIN --list-objects
refused rpc/wrong-pin 'CKR_PIN_INCORRECT' "${as[@]}" pkcs11-tool --module "$client" --token-label kit --login --pin nonsense --list-objects
"${as[@]}" /usr/bin/python3 "$here/p11_kit.py" rpc "$client" || bad=1
unset P11_KIT_SERVER_ADDRESS
kill $server
wait $server 2> /dev/null

# ---- proxy ----
mkdir -p .config/pkcs11/modules
echo 'user-config: only' > .config/pkcs11/pkcs11.conf
echo "module: $CMK11_MODULE" > .config/pkcs11/modules/cmk11.module
shows proxy/list-modules 'token: kit' "${as[@]}" p11-kit list-modules
proxy=$libraries/p11-kit-proxy.so
shows proxy/list-tokens 'token label *: kit' "${as[@]}" pkcs11-tool --module "$proxy" --list-token-slots
tool_roundtrip proxy "$proxy"
"${as[@]}" /usr/bin/python3 "$here/p11_kit.py" proxy "$proxy" || bad=1
# The line that is installed for p11-kit names a file that p11-kit finds.
shows installed-file '^module: *(libcmk11.so|/.*/libcmk11.so)$' cat "$CMK11_BUILD/integrations/p11-kit/cmk11.module"
# remote: p11-kit starts the module in a process of its own.
printf 'remote: |p11-kit remote %s\n' "$CMK11_MODULE" > .config/pkcs11/modules/cmk11.module
shows remote/list-tokens 'token label *: kit' "${as[@]}" pkcs11-tool --module "$proxy" --list-token-slots
"${as[@]}" /usr/bin/python3 "$here/p11_kit.py" remote "$proxy" || bad=1

# ---- spy ----
spy=$libraries/pkcs11/pkcs11-spy.so
[ -e "$spy" ] || spy=$libraries/pkcs11-spy.so
export PKCS11SPY=$CMK11_MODULE PKCS11SPY_OUTPUT=$PWD/spy.log
tool_roundtrip spy "$spy"
shows spy/saw-the-wrap 'C_WrapKey' cat spy.log
grep -qi 'CKR_GENERAL_ERROR\|CKR_FUNCTION_FAILED\|CKR_DEVICE' spy.log && fail spy/no-odd-error || pass spy/no-odd-error
finish
