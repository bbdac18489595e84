#!/usr/bin/env bash
# What others encrypt the module unwraps, and the other way round: OAEP, RSA_AES_KEY_WRAP, AES against python3-cryptography and NIST's vectors.
here=$(dirname "$(readlink -f "$0")")
. "$here/lib.sh"
"$CMK11" vault init vectors > out 2>&1 || { fail vault; finish; }
for size in 2048 3072 4096; do "$CMK11" key create vectors "k$size" --size $size > out 2>&1 || fail "key-$size"; done
PYTHONPATH=$here/../lib /usr/bin/python3 "$here/vectors.py" || bad=1

# OpenSSL's command with the public key that an application reads from the token.
tool=(pkcs11-tool --module "$CMK11_MODULE" --login --pin env:CMK11_PIN)
works read-public-key "${tool[@]}" --read-object --type pubkey --id "$(kek_id vectors k3072)" --output-file k3072.der
head -c 32 /dev/urandom > dek
works openssl-encrypts openssl pkeyutl -encrypt -pubin -keyform DER -inkey k3072.der -in dek -out wrapped -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256
works pkcs11-tool-unwraps "${tool[@]}" --unwrap --mechanism RSA-PKCS-OAEP --id "$(kek_id vectors k3072)" --input-file wrapped --key-type AES: --application-id 77 --application-label dek --extractable
works read-value "${tool[@]}" --read-object --type secrkey --id 77 --output-file dek2
cmp -s dek dek2 && pass same-dek || fail same-dek
finish
