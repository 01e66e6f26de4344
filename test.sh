#!/usr/bin/env bash
# Sets up, builds and runs every test: release, then again under the address and undefined-behaviour sanitizers; those on
# threads under the thread sanitizer; then the comparisons with the peers.
set -euo pipefail
cd "$(dirname "$0")"

passed=0 failed=0 skipped=0
for preset in release asan; do
  scripts/setup.sh "$preset"
  report=$PWD/build/$preset/junit.xml
  rm -rf "$report" "build/$preset/node_tests"
  if [ -f .venv/installed.txt ]; then
    .venv/bin/python -W ignore tests/conformance/write_node_tests.py build/node_tests
  fi
  echo "== tests: $preset"
  ctest --test-dir "build/$preset" -j2 --output-on-failure --no-tests=error --output-junit "$report" || true
  cat "build/$preset"/node_tests/*.count || true
  [ -s "$report" ] || { echo "no test report was written for $preset" >&2; exit 1; }
  count() { grep -m1 -oE "\b$1=\"[0-9]+\"" "$report" | grep -oE '[0-9]+'; }
  failed=$((failed + $(count failures)))
  skipped=$((skipped + $(count skipped)))
  passed=$((passed + $(count tests) - $(count failures) - $(count skipped)))
done

# What runs on several threads, under the thread sanitizer.
scripts/setup.sh tsan hayate_thread_tests
echo "== tests: tsan"
log=$PWD/build/tsan_tests.log
status=0
build/tsan/hayate_thread_tests --gtest_filter='*Thread*-*onnxruntime*' >"$log" 2>&1 || status=$?
good=$(grep -cE '^\[       OK \]' "$log" || true)
passed=$((passed + good))
if [ "$status" != 0 ] || [ "$good" = 0 ]; then
  failed=$((failed + 1))
  tail -n 60 "$log"
fi
echo "$good tests on threads passed"

# The vector kernels for another architecture, emulated.
echo "== tests: aarch64"
log=$PWD/build/aarch64_tests.log
status=0
tests/arm/run.sh >"$log" 2>&1 || status=$?
good=$(grep -cE '^\[       OK \]' "$log" || true)
case $status in
  0) passed=$((passed + good)) && echo "$good tests of kernels on NEON passed" ;;
  2) skipped=$((skipped + 1)) && tail -n 1 "$log" ;;
  *) failed=$((failed + 1)) && tail -n 60 "$log" ;;
esac

# Comparisons with the peers: exit status 0 equal, 1 different, 2 nothing to compare with.
for script in models suites trees ml written quantized streams recorded; do
  echo "== tests: equality/$script"
  log=$PWD/build/equality_$script.log
  status=2
  if [ -f .venv/installed.txt ]; then
    status=0
    OMP_NUM_THREADS=1 .venv/bin/python "tests/equality/$script.py" build/release/hayate >"$log" 2>&1 || status=$?
    tail -n 1 "$log"
  fi
  case $status in
    0) passed=$((passed + 1)) ;;
    2) skipped=$((skipped + 1)) && echo "skipped: no peers in .venv, or no models to compare on" ;;
    *) failed=$((failed + 1)) && tail -n 30 "$log" ;;
  esac
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
