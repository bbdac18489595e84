# Debian packages: to build, to run, and to test. Sourced by quickstart and run-tests.
build_packages=(build-essential autoconf automake libtool pkg-config libssl-dev libsqlite3-dev libp11-kit-dev libinih-dev libjansson-dev)
demo_packages=(opensc openssl)
test_packages=(libcunit1-dev clang clang-tidy cppcheck valgrind libc6-dbg opensc openssl p11-kit p11-kit-modules sqlite3 python3 mandoc
  bash-completion python3-cryptography python3-cryptography-vectors python3-pykcs11 xz-utils)

# Installs those of the named packages that are missing; quiet unless it fails. Needs root, or sudo.
install_packages() {
  local missing=() p as_root=()
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${Status}' "$p" 2> /dev/null)" = 'install ok installed' ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  echo "installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q > build/apt.log 2>&1 || echo 'apt-get update complained (see build/apt.log); going on'
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >> build/apt.log 2>&1 && return 0
  tail -n 20 build/apt.log >&2
  echo "FAIL packages: could not install ${missing[*]}; see build/apt.log" >&2
  return 1
}
mkdir -p build
# automake refuses a build beside the sources while there is one among them.
if [ -f config.status ]; then
  echo "this source tree is configured itself; run 'make distclean' in it first" >&2
  exit 2
fi
