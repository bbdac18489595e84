#!/usr/bin/env bash
# clang-tidy with .clang-tidy's checks over the product's sources; any finding fails. Reads config.h of build/plain.
cd "$(dirname "$0")/../.." || exit 1
find util crypto storage token pkcs11 cli -name '*.c' | sort | xargs -P "$(nproc)" -n 4 \
  clang-tidy --quiet -- -std=gnu11 -I. -Ibuild/plain -DHAVE_CONFIG_H -DCMK_SYSCONFDIR='"/etc"' -DCMK_PKCS11_MODULE='"x"' \
  $(pkg-config --cflags p11-kit-1) 2>&1 | grep -vE '^[0-9]+ warnings? generated|^Suppressed|^Use -header-filter'
exit "${PIPESTATUS[1]}"
