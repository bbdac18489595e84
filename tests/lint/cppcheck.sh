#!/usr/bin/env bash
# cppcheck over the product's sources; any finding fails.
cd "$(dirname "$0")/../.." || exit 1
exec cppcheck -q --std=c11 --language=c --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
  --suppress=missingIncludeSystem --suppress=internalAstError -j "$(nproc)" -I . -DHAVE_CONFIG_H -Ibuild/plain --library=posix \
  util crypto storage token pkcs11 cli
