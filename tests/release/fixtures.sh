#!/usr/bin/env bash
# Stores of released versions open, list and unwrap with the present code. Needs $CMK11 and $CMK11_MODULE of a real build.
set -u
fixtures=$(cd "$(dirname "$0")/../fixtures" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
bad=0
verdict() { # NAME STATUS
  if [ "$2" = 0 ]; then echo "PASS fixtures/$1"; else echo "FAIL fixtures/$1"; bad=1; tail -n 8 "$scratch/out" | sed 's/^/    /'; fi
}
for f in "$fixtures"/*/; do
  v=$(basename "$f")
  cp -r "$f" "$scratch/$v"
  chmod -R u+w,go-rwx "$scratch/$v"
  cd "$scratch/$v" || exit 1
  export CMK11_STORE=sqlite:$PWD/store CMK11_PIN=fixture-user-pin CMK11_SO_PIN=fixture-so-pin
  tool=(pkcs11-tool --module "$CMK11_MODULE" --token-label golden --login --pin env:CMK11_PIN)
  "$CMK11" key versions golden first --json > "$scratch/out" 2>&1 && grep -q '"version":2.*"version":1' "$scratch/out"; verdict "$v-versions" $?
  "$CMK11" vault list > "$scratch/out" 2>&1 && grep -q loose "$scratch/out"; verdict "$v-vaults" $?
  "${tool[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$(cat first-version)" --input-file wrapped --key-type AES: --application-id 0e --application-label again --extractable > "$scratch/out" 2>&1
  verdict "$v-unwrap" $?
  "${tool[@]}" --read-object --type secrkey --id 0e --output-file again > "$scratch/out" 2>&1 && cmp again value > "$scratch/out" 2>&1; verdict "$v-same-value" $?
  "${tool[@]}" --read-object --type secrkey --id 0d --output-file token > "$scratch/out" 2>&1 && cmp token value > "$scratch/out" 2>&1; verdict "$v-token-object" $?
  "$CMK11" key create golden new --size 2048 > "$scratch/out" 2>&1; verdict "$v-goes-on" $?
  cd /
done
exit $bad
