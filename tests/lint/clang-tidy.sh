#!/usr/bin/env bash
# clang-tidy with .clang-tidy's checks over the product's sources; any finding fails.
#   clang-tidy.sh [BUILD-DIRECTORY]      its config.h is used; default build/plain
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build/plain}
flags=(-std=gnu11 -I. "-I$build" -DHAVE_CONFIG_H '-DCMK_SYSCONFDIR="/etc"' '-DCMK_PKCS11_MODULE="x"' $(pkg-config --cflags p11-kit-1))
found=$(find util crypto storage token pkcs11 cli -name '*.c' | sort |
  xargs -P "$(nproc)" -n 1 bash -c 'file=${!#}; set -- "${@:1:$#-1}"; clang-tidy --quiet "$file" -- "$@"' tidy "${flags[@]}" 2>&1 |
  grep -vE '^[0-9]+ warnings?( and [0-9]+ errors?)? generated|^Suppressed|^Use -header-filter')
[ -z "$found" ] && exit 0
printf '%s\n' "$found"
exit 1
