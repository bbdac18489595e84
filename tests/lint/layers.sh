#!/usr/bin/env bash
# The dependency rules of docs/architecture.md, by grep: who may include what, which calls are banned, what only one folder may know.
#   tests/lint/layers.sh [SOURCE-DIRECTORY]
cd "${1:-$(dirname "$0")/../..}" || exit 1
status=0

# rule NAME: standard input holds the offending lines; none is a pass.
rule() {
  local found
  found=$(cat)
  if [ -z "$found" ]; then echo "PASS lint/$1"; else
    echo "FAIL lint/$1"; printf '%s\n' "$found" | sed 's/^/    /'; status=1
  fi
}
sources() { find "$@" -name '*.[ch]' -not -path '*/build*' | sort; }

# folder: what it may include besides itself and the system
allowed() {
  case $1 in
    util) echo util ;;
    crypto) echo 'crypto util' ;;
    storage) echo 'storage util' ;;
    audit) echo 'audit crypto storage util' ;;
    token) echo 'token audit crypto storage util' ;;
    pkcs11) echo 'pkcs11 token util' ;;
    cli) echo 'cli token util' ;;
  esac
}
for folder in util crypto storage audit token pkcs11 cli; do
  [ -d "$folder" ] || continue
  pattern=$(allowed "$folder" | tr ' ' '|')
  sources "$folder" | xargs -r grep -nE '^[[:space:]]*#[[:space:]]*include "' /dev/null |
    grep -vE "include \"(($pattern)/|config\.h)" | rule "includes-of-$folder"
done
# A layer above includes only the public header of token/.
sources pkcs11 cli | xargs grep -nE 'include "token/' /dev/null | grep -v '"token/token.h"' | rule public-header-of-token
sources util storage audit token pkcs11 cli | xargs grep -nE 'include <openssl/|include <libtasn1' /dev/null | rule openssl-only-in-crypto
sources util crypto audit token pkcs11 cli | xargs grep -nE 'sqlite3' /dev/null | rule sqlite-only-in-storage
sources storage | grep -v '/sqlite' | xargs grep -n 'sqlite3_' /dev/null | rule sqlite-only-in-its-files
sources util crypto storage audit token cli | xargs grep -nE '\bCK[A-Z]?_[A-Z]' /dev/null | grep -vE 'CKM_[A-Z_0-9]+|CKA_|C_[A-Z][a-z]' | rule cryptoki-types-only-in-pkcs11
sources util crypto storage audit token pkcs11 cli |
  xargs grep -nwE 'strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|getenv|atexit|system|tmpnam|mktemp|signal|rand|srand' /dev/null |
  grep -vE ':[[:space:]]*(/?\*|//)' | grep -E '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|alloca|getenv|atexit|system|tmpnam|mktemp|signal|rand|srand)\(' | rule banned-calls
sources util crypto storage audit token pkcs11 | xargs grep -nE '__attribute__\(\((constructor|destructor)' /dev/null | rule no-constructors
sources util crypto storage audit token pkcs11 | xargs grep -nE '\bpthread_create\(' /dev/null | rule no-threads
sources util crypto storage audit token pkcs11 cli | xargs grep -nE '\b(TODO|FIXME|XXX|HACK)\b' /dev/null | rule nothing-left-open
# What is cleaned up when it goes out of scope has a value from the start: a path may leave before it gets its own.
sources util crypto storage audit token pkcs11 cli | xargs grep -nE '^ +CMK_[A-Z_]+_AUTO \*?[a-z_]+;' /dev/null | rule cleanup-variables-start-with-a-value
sources util crypto storage audit token pkcs11 cli | xargs wc -l | awk '$2 != "total" && $1 > 600' | rule files-under-600-lines
sources util crypto storage audit token pkcs11 cli | grep '\.c$' |
  xargs awk 'FNR==1{s=0} /^\{/{s=FNR} /^\}/{if(s&&FNR-s>80)print FILENAME":"s": "FNR-s" lines";s=0}' | rule functions-under-80-lines
exit $status
