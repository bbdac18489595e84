#!/usr/bin/env bash
# Documents: man pages without a complaint, links that lead somewhere, shell scripts that parse, nothing about anything but the project.
cd "$(dirname "$0")/../.." || exit 1
status=0
verdict() { # NAME OUTPUT
  if [ -z "$2" ]; then echo "PASS documents/$1"; else echo "FAIL documents/$1"; printf '%s\n' "$2" | sed 's/^/    /'; status=1; fi
}
verdict man-pages "$(mandoc -Tlint -Wwarning docs/man/*.[1-9] 2>&1)"
verdict links "$(for f in *.md docs/*.md docs/*/*.md; do
  grep -oE '\]\([^)#:]+' "$f" | cut -c3- | while read -r link; do [ -e "$(dirname "$f")/$link" ] || echo "$f: $link"; done
done)"
verdict shell-syntax "$(for f in quickstart run-tests .ci/run $(find tests cli -name '*.sh' -o -name '*.bash-completion'); do bash -n "$f" 2>&1; done)"
verdict changelog-names-the-version "$(v=$(sed -n 's/^AC_INIT(\[cmk11\], \[\([^]]*\)\].*/\1/p' configure.ac); grep -q "$v" CHANGELOG.md || echo "CHANGELOG.md does not name $v")"
exit $status
