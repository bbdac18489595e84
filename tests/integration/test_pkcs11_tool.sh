#!/usr/bin/env bash
# pkcs11-tool as it comes from Debian: tokens, keys, wrapping, refusals.
. "$(dirname "$(readlink -f "$0")")/lib.sh"
tool=(pkcs11-tool --module "$CMK11_MODULE")
user=("${tool[@]}" --login --pin env:CMK11_PIN)

shows list-slots-without-store 'uninitialized|token state' "${tool[@]}" --list-slots
[ ! -e "$CMK11_STORE" ] && pass looking-makes-no-store || fail looking-makes-no-store
works init-token "${tool[@]}" --init-token --slot 0 --label box --so-pin env:CMK11_SO_PIN
works init-pin "${tool[@]}" --init-pin --token-label box --login --login-type so --so-pin env:CMK11_SO_PIN --pin env:CMK11_PIN
shows token-flags 'login required.*rng.*token initialized.*PIN initialized|login required, rng, token initialized, PIN initialized' "${tool[@]}" --list-token-slots
shows command-sees-the-vault '\bbox\b' "$CMK11" vault list
shows mechanisms 'RSA-PKCS-OAEP, keySize=\{2048,4096\}.*wrap.*unwrap' "${tool[@]}" --list-mechanisms

works keypairgen-wrap-only "${user[@]}" --keypairgen --key-type rsa:3072 --label orders --usage-wrap
shows private-key-is-unwrap-only 'Usage: +unwrap$' "${user[@]}" --list-objects --type privkey
shows public-key-is-wrap-only 'Usage: +wrap$' "${user[@]}" --list-objects --type pubkey
shows never-extractable 'sensitive, always sensitive, never extractable, local' "${user[@]}" --list-objects --type privkey
shows command-sees-the-key 'orders' "$CMK11" key list box
refused keypairgen-without-usage 'CKR_TEMPLATE_INCONSISTENT' "${user[@]}" --keypairgen --key-type rsa:2048 --label other
refused keypairgen-sign 'CKR_TEMPLATE_INCONSISTENT' "${user[@]}" --keypairgen --key-type rsa:2048 --label other --usage-sign
refused keypairgen-decrypt 'CKR_TEMPLATE_INCONSISTENT' "${user[@]}" --keypairgen --key-type rsa:2048 --label other --usage-decrypt
refused keypairgen-1024 'CKR_KEY_SIZE_RANGE' "${user[@]}" --keypairgen --key-type rsa:1024 --label other --usage-wrap
refused keypairgen-without-login 'CKR_USER_NOT_LOGGED_IN' "${tool[@]}" --keypairgen --key-type rsa:2048 --label other --usage-wrap

kek=$(kek_id box orders)
works keygen "${user[@]}" --keygen --key-type AES:32 --label dek --id 0d --extractable
works wrap "${user[@]}" --wrap --mechanism RSA-PKCS-OAEP --id "$kek" --application-id 0d --output-file wrapped
[ "$(stat -c %s wrapped)" = 384 ] && pass wrapped-length || fail wrapped-length
works read-value "${user[@]}" --read-object --type secrkey --id 0d --output-file value
works delete-dek "${user[@]}" --delete-object --type secrkey --id 0d
works unwrap "${user[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file wrapped --key-type AES: --application-id 0e --application-label again --extractable
works read-again "${user[@]}" --read-object --type secrkey --id 0e --output-file value2
cmp -s value value2 && pass same-dek || fail same-dek
works unwrap-with-length "${user[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file wrapped --key-type AES:32 --application-id 0f --application-label third
refused unwrap-with-wrong-length 'CKR_' "${user[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file wrapped --key-type AES:16 --application-id 10 --application-label no
works keygen-sensitive "${user[@]}" --keygen --key-type AES:16 --label closed --id 11 --sensitive
refused wrap-unextractable 'CKR_KEY_UNEXTRACTABLE' "${user[@]}" --wrap --mechanism RSA-PKCS-OAEP --id "$kek" --application-id 11 --output-file no
head -c 384 /dev/urandom > junk
refused unwrap-junk 'CKR_WRAPPED_KEY_INVALID' "${user[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file junk --key-type AES: --application-id 12 --application-label no
head -c 100 wrapped > short
refused unwrap-short 'CKR_WRAPPED_KEY_LEN_RANGE' "${user[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file short --key-type AES: --application-id 12 --application-label no

refused decrypt-with-kek 'CKR_KEY_FUNCTION_NOT_PERMITTED|not found' "${user[@]}" --decrypt --mechanism RSA-PKCS-OAEP --id "$kek" --input-file wrapped --output-file no
echo text > message
refused sign-with-kek 'CKR_|not found|not supported' "${user[@]}" --sign --mechanism RSA-PKCS --id "$kek" --input-file message --output-file no
[ ! -s no ] && pass nothing-written || fail nothing-written
refused delete-kek '0x1b|CKR_ACTION_PROHIBITED' "${user[@]}" --delete-object --type privkey --id "$kek"

works rotate "${user[@]}" --keypairgen --key-type rsa:2048 --label orders --usage-wrap
[ "$("${user[@]}" --list-objects --type privkey 2> /dev/null | grep -c 'Private Key Object')" = 1 ] && pass one-pair-in-view || fail one-pair-in-view
works unwrap-after-rotation "${user[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$kek" --input-file wrapped --key-type AES: --application-id 13 --application-label old

refused wrong-pin 'CKR_PIN_INCORRECT' "${tool[@]}" --login --pin wrong-pin --list-objects
works change-pin "${tool[@]}" --login --pin env:CMK11_PIN --change-pin --new-pin another-user-pin
CMK11_PIN=another-user-pin works login-with-new-pin "${user[@]}" --list-objects
export CMK11_PIN=another-user-pin
works test-fork "${tool[@]}" --test-fork
works test-threads "${tool[@]}" --test-threads IN --test-threads ILGISLT0 --test-threads INILGISLT0P0
works test "${user[@]}" --test

works reinit-token "${tool[@]}" --init-token --token-label box --label box2 --so-pin env:CMK11_SO_PIN
shows reinitialised 'token label *: box2' "${tool[@]}" --list-token-slots
refused reinit-wrong-pin 'CKR_PIN_INCORRECT' "${tool[@]}" --init-token --token-label box2 --label box3 --so-pin not-the-pin
finish
