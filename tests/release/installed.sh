#!/usr/bin/env bash
# What "make install" leaves behind: files, symbols, hardening, metadata; and that a real build refuses a cheap scrypt.
#   installed.sh PREFIX
set -u
prefix=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
status=0
verdict() { # NAME OUTPUT: passes when there is none
  if [ -z "$2" ]; then echo "PASS release/$1"; else echo "FAIL release/$1"; printf '%s\n' "$2" | sed 's/^/    /'; status=1; fi
}
module=$prefix/lib/pkcs11/libcmk11.so

verdict files "$(for f in bin/cmk11 lib/pkcs11/libcmk11.so include/cmk11.h lib/pkgconfig/cmk11.pc share/p11-kit/modules/cmk11.module \
  share/man/man1/cmk11.1 share/man/man5/cmk11.conf.5 share/man/man7/libcmk11.7 share/bash-completion/completions/cmk11; do
  [ -e "$prefix/$f" ] || echo "missing: $f"
done
find "$prefix" -name '*.la' -o -name '*.a')"

# Every C_ function of the 2.40 and 3.0 function lists, and nothing else.
nm -D --defined-only "$module" | awk '{print $3}' | sort > "$scratch/symbols"
sort "$top/tests/release/symbols.txt" > "$scratch/expected"
verdict symbols "$(diff "$scratch/expected" "$scratch/symbols")"

dynamic=$(readelf -W -d -l "$module")
verdict hardening "$(
  for word in BIND_NOW NODELETE GNU_RELRO; do grep -q "$word" <<< "$dynamic" || echo "libcmk11.so without $word"; done
  grep -E 'GNU_STACK' <<< "$dynamic" | grep -q RWE && echo 'executable stack'
  nm -D "$module" | grep -q __stack_chk_fail || echo 'no stack protector'
  nm -D "$module" | grep -q '_chk@' || echo 'no _FORTIFY_SOURCE'
  readelf -d "$module" | grep -qE 'RPATH|RUNPATH' && echo 'has a run path')"
verdict needed-libraries "$(readelf -d "$module" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -vE '^(libc|libcrypto|libsqlite3|libinih|libpthread|ld-linux.*)\.so')"
verdict pkg-config "$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --variable=p11_module_path cmk11 | grep -vFx "$module")"
printf '#include <cmk11.h>\nint main(void){return (int)(CKA_CMK_ROTATE_EVERY & 15) != 12;}\n' > "$scratch/h.c"
verdict public-header "$(cc -Wall -Wextra -Werror -std=c99 -pedantic -I "$prefix/include" "$scratch/h.c" -o "$scratch/h" 2>&1 && "$scratch/h" 2>&1)"
verdict p11-kit-module "$(grep -qx "module: $module" "$prefix/share/p11-kit/modules/cmk11.module" || cat "$prefix/share/p11-kit/modules/cmk11.module")"

# A vault made by a test build is refused by this one, and before any work is done for it.
if [ -x "$top/build/plain/cmk11" ]; then
  export CMK11_STORE=$scratch/store CMK11_PIN=some-user-pin CMK11_SO_PIN=some-so-pin
  "$top/build/plain/cmk11" vault init weak > /dev/null
  verdict cheap-scrypt-is-refused "$("$prefix/bin/cmk11" key create weak k > "$scratch/out" 2>&1 && echo 'a cheap credential was accepted'
    grep -qi 'scrypt\|cost' "$scratch/out" || cat "$scratch/out")"
  verdict cheap-scrypt-is-not-in-the-release "$(grep -q 'CMK_WEAK_KDF_FOR_TESTS 1' "$CMK11_BUILD/config.h" && echo weak)"
else
  verdict cheap-scrypt-is-refused "build/plain/cmk11 is missing: run the stage plain first"
fi
verdict version "$("$prefix/bin/cmk11" --version | grep -q "$(sed -n 's/^AC_INIT(\[cmk11\], \[\([^]]*\)\].*/\1/p' "$top/configure.ac")" || echo 'wrong --version')"
exit $status
