#!/usr/bin/env bash
# Compiles the vector kernels and their sweeps for aarch64 with Debian's cross compiler, and runs them under qemu: NEON
# against the plain twins, once with the dot products of bytes and once without, and against the bits of other
# processors. Exit status 2 where the compiler or the emulator is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
export COMPILER=aarch64-linux-gnu-g++
for tool in "$COMPILER" qemu-aarch64; do
  command -v "$tool" >/dev/null || { echo "$tool is missing; scripts/packages_tests.txt names its package" >&2; exit 2; }
done

export OUT=build/aarch64 GTEST=/usr/src/googletest/googletest
mkdir -p "$OUT/include"
ln -sfn /usr/include/hwy "$OUT/include/hwy"  # headers of no architecture; the rest of /usr/include is of this one
export FLAGS="-std=c++20 -O2 -ffp-contract=off -DHAYATE_FEW_TILES -DHWY_SHARED_DEFINE -Wall -Wextra -Werror -MMD -Iinclude -Isrc
  -isystem $OUT/include -isystem $GTEST -isystem $GTEST/include"
compile() {
  object=$OUT/$(basename "$1" .cc).o
  # As old as the newest of what it was made from, by the list the compiler wrote.
  if [ -f "$object" ]; then
    newer=$(sed 's/^[^:]*://; s/\\$//' "${object%.o}.d" | xargs -n 1 | while read -r file; do
      [ "$object" -nt "$file" ] || echo "$file"
    done)
    [ -n "$newer" ] || return 0
  fi
  # shellcheck disable=SC2086
  "$COMPILER" $FLAGS -c "$1" -o "$object"
}
export -f compile
printf '%s\n' src/kernels/vector/{vector,narrow,attention,narrow_test,narrow_cells_test,kernels_test,same_bits_test,plain,plain_narrow}.cc \
  tests/arm/targets.cc "$GTEST"/src/{gtest-all,gtest_main}.cc |
  xargs -n 1 -P 2 bash -euc 'compile "$0"'
"$COMPILER" -static -Wl,--no-warnings "$OUT"/*.o -o "$OUT/sweep" 2>/dev/null ||
  "$COMPILER" -static "$OUT"/*.o -o "$OUT/sweep"
echo "without dot products:"
qemu-aarch64 -cpu cortex-a57 "$OUT/sweep" --gtest_filter='Narrow*'
echo "with them:"
qemu-aarch64 -cpu max "$OUT/sweep" | tee "$OUT/sweep.log"
! grep -q 'SKIPPED.*DotProducts' "$OUT/sweep.log" || { echo "this qemu emulates no dot products" >&2; exit 1; }
