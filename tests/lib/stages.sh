# What run-tests does, one function a stage. Sourced by run-tests; "run" and "check" are in runner.sh.
. tests/lib/packages.sh
all_stages=(lint plain asan release integration attack faults tsan memory bench static clang distcheck)
quick_stages=(lint plain)
top=$PWD
jobs=$(nproc)

configure_script() {
  [ configure -nt configure.ac ] && [ Makefile.in -nt Makefile.am ] && [ configure -nt Makefile.am ] && return 0
  check autoreconf 300 autoreconf -fi
}

# build DIRECTORY CONFIGURE-ARGUMENT…: configures (once) and builds everything, tests too.
build() {
  local dir=build/$1
  shift
  configure_script || return 1
  mkdir -p "$dir"
  if [ ! -f "$dir/config.status" ] || [ configure -nt "$dir/config.status" ]; then
    (cd "$dir" && "$top/configure" -q --enable-werror "$@") > "$dir.configure.log" 2>&1 || {
      check "configure $dir" 10 sh -c "tail -n 30 $dir.configure.log; exit 1"
      return 1
    }
  fi
  # One after the other: side by side they would make the same libraries twice.
  check "make $dir" 1200 make -C "$dir" -s -j"$jobs" all && check "make tests of $dir" 1200 make -C "$dir" -s -j"$jobs" check TESTS=
}

# The programs of tests/FOLDER in a build tree, each printing its own PASS and FAIL lines.
programs() {
  local dir=$1 folder=$2 limit=$3 p
  for p in build/"$dir"/tests/"$folder"/test_*; do
    [ -x "$p" ] && [ -f "$p" ] && case $p in *.o | *.sh) ;; *) run "$folder/${p##*/}" "$limit" "$p" ;; esac
  done
}

# Environment of the tests for a build tree.
use() {
  export CMK11_MODULE=$top/build/$1/.libs/libcmk11.so CMK11=$top/build/$1/cmk11 CMK11_BUILD=$top/build/$1
  export ASAN_OPTIONS=abort_on_error=0:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=0:exitcode=66:second_deadlock_stack=1
}

scripts() {
  local folder=$1 limit=$2 s
  for s in tests/"$folder"/test_*.sh; do [ -f "$s" ] && run "$folder/$(basename "$s" .sh)" "$limit" bash "$s"; done
}

stage_lint() {
  run layers 60 tests/lint/layers.sh
  run documents 60 tests/lint/documents.sh
}

stage_plain() {
  build plain --enable-weak-kdf-for-tests CFLAGS='-O2 -g' || return
  use plain
  programs plain unit 120
  programs plain api 120
  scripts cli 120
}

stage_asan() {
  build asan --enable-weak-kdf-for-tests --enable-sanitizers CFLAGS='-O1 -g' || return
  use asan
  programs asan unit 300
  programs asan api 300
  scripts cli 300
}

# As it is shipped: real scrypt, installed under a prefix of its own.
stage_release() {
  build release --prefix="$top/build/prefix" --libdir="$top/build/prefix/lib" CFLAGS='-O2 -g' || return
  rm -rf build/prefix
  check install 300 make -C build/release -s install
  use release
  run release/installed 120 bash tests/release/installed.sh "$top/build/prefix"
  use_installed
  run release/fixtures 120 bash tests/release/fixtures.sh
}

use_installed() {
  export CMK11_MODULE=$top/build/prefix/lib/pkcs11/libcmk11.so CMK11=$top/build/prefix/bin/cmk11 CMK11_BUILD=$top/build/release
}

installed() {
  [ -e build/prefix/lib/pkcs11/libcmk11.so ] || stage_release
  use_installed
}

stage_integration() {
  installed
  scripts integration 300
  run integration/quickstart 300 bash tests/release/quickstart.sh
}

stage_attack() {
  [ -x build/plain/cmk11 ] || build plain --enable-weak-kdf-for-tests CFLAGS='-O2 -g' || return
  use plain
  scripts attack 600
  programs plain attack 600
}

stage_faults() {
  [ -x build/plain/cmk11 ] || build plain --enable-weak-kdf-for-tests CFLAGS='-O2 -g' || return
  use plain
  scripts fault 900
  programs plain fault 900
}

stage_tsan() {
  build tsan --enable-weak-kdf-for-tests --enable-sanitizers=thread CFLAGS='-O1 -g' || return
  use tsan
  run stress/threads 300 build/tsan/tests/stress/test_threads
  run unit/test_util_memory 300 build/tsan/tests/unit/test_util_memory
}

stage_memory() {
  [ -x build/plain/cmk11 ] || build plain --enable-weak-kdf-for-tests CFLAGS='-O2 -g' || return
  use plain
  programs plain stress 600
  run valgrind 600 bash tests/stress/valgrind.sh
}

stage_bench() {
  installed
  run bench/check 400 bash tests/bench/check.sh
}

stage_static() {
  configure_script || return
  [ -f build/plain/config.h ] || build plain --enable-weak-kdf-for-tests CFLAGS='-O2 -g' || return
  check cppcheck 600 bash tests/lint/cppcheck.sh
  check clang-tidy 1200 bash tests/lint/clang-tidy.sh
}

stage_clang() {
  build clang --enable-weak-kdf-for-tests CC=clang CFLAGS='-O2 -g' || return
  use clang
  programs clang unit 120
}

stage_distcheck() {
  build plain --enable-weak-kdf-for-tests CFLAGS='-O2 -g' || return
  check distcheck 1200 make -C build/plain -s distcheck
}
