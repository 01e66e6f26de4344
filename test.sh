#!/usr/bin/env bash
# Sets up, builds and runs every test: release, then again under the address and undefined-behaviour sanitizers; those on
# threads under the thread sanitizer; then the comparisons with the peers, and each fuzz target for a minute. Says at the
# end how long each part took, and what failed. Where nobody watches, what passes is not printed.
set -euo pipefail
cd "$(dirname "$0")"

passed=0 skipped=0 times=
failures=()
have_peers() { cmp -s <(cat scripts/requirements.txt scripts/requirements_tests.txt) .venv/installed.txt; }
part() {  # NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  "$@"
  times+="  $name $((SECONDS - start)) s"
}

tests() {  # PRESET
  local preset=$1 report=$PWD/build/$1/junit.xml
  rm -rf "$report" "build/$preset/node_tests"
  if have_peers; then
    .venv/bin/python -W ignore tests/conformance/write_node_tests.py build/node_tests
  fi
  echo "== tests: $preset"
  ctest --test-dir "build/$preset" -j2 --output-on-failure --no-tests=error --output-junit "$report" |
    if [ -t 1 ]; then cat; else grep -vE '^ *Start +[0-9]+: | \.+ +Passed +[0-9]' || true; fi || true
  cat "build/$preset"/node_tests/*.count || true
  [ -s "$report" ] || { echo "no test report was written for $preset" >&2; exit 1; }
  count() { grep -m1 -oE "\b$1=\"[0-9]+\"" "$report" | grep -oE '[0-9]+'; }
  skipped=$((skipped + $(count skipped)))
  passed=$((passed + $(count tests) - $(count failures) - $(count skipped)))
  local name
  while read -r name; do failures+=("$preset: $name"); done < <(sed -n 's/.*<testcase name="\([^"]*\)".*status="fail".*/\1/p' "$report")
}

# What runs on several threads, under the thread sanitizer.
thread_tests() {
  echo "== tests: tsan"
  local log=$PWD/build/tsan_tests.log status=0 good
  build/tsan/hayate_thread_tests --gtest_filter='*Thread*-*onnxruntime*' >"$log" 2>&1 || status=$?
  good=$(grep -cE '^\[       OK \]' "$log" || true)
  passed=$((passed + good))
  if [ "$status" != 0 ] || [ "$good" = 0 ]; then
    failures+=("tsan")
    tail -n 60 "$log"
  fi
  echo "$good tests on threads passed"
}

# The vector kernels for another architecture, emulated.
aarch64() {
  echo "== tests: aarch64"
  local log=$PWD/build/aarch64_tests.log status=0 good
  tests/arm/run.sh >"$log" 2>&1 || status=$?
  good=$(grep -cE '^\[       OK \]' "$log" || true)
  case $status in
    0) passed=$((passed + good)) && echo "$good tests of kernels on NEON passed" ;;
    2) skipped=$((skipped + 1)) && tail -n 1 "$log" ;;
    *) failures+=("aarch64") && tail -n 60 "$log" ;;
  esac
}

# Comparisons with the peers, two at a time: none of them times anything. Exit status 0 equal, 1 different, 2 nothing to
# compare with.
comparison() {  # SCRIPT; its exit status lies in build/equality_SCRIPT.status
  local status=0
  OMP_NUM_THREADS=1 .venv/bin/python "tests/equality/$1.py" build/release/hayate >"build/equality_$1.log" 2>&1 || status=$?
  echo $status >"build/equality_$1.status"
}

comparisons() {
  local script scripts="suites quantized trees models ml written streams recorded" running=0
  for script in $scripts; do
    echo 2 >"build/equality_$script.status" && : >"build/equality_$script.log"
    have_peers || continue
    if ((running == 2)); then wait -n && running=1; fi
    comparison "$script" &
    running=$((running + 1))
  done
  wait
  for script in $scripts; do
    echo "== tests: equality/$script"
    tail -n 1 "build/equality_$script.log"
    case $(<"build/equality_$script.status") in
      0) passed=$((passed + 1)) ;;
      2) skipped=$((skipped + 1)) && echo "skipped: no peers in .venv, or no models to compare on" ;;
      *) failures+=("equality/$script") && tail -n 30 "build/equality_$script.log" ;;
    esac
  done
}

# From one seed: what fails here fails again where somebody looks for it.
fuzz() {
  echo "== fuzz targets, a minute each"
  local log=$PWD/build/fuzz.log source target
  SEED=1 tests/fuzz/run.sh 60 >"$log" 2>&1 || true
  cat "$log"
  for source in tests/fuzz/*_fuzz.cc; do
    target=$(basename "$source" _fuzz.cc)
    if grep -qE "^$target .*  good$" "$log"; then passed=$((passed + 1)); else failures+=("fuzz: $target"); fi
  done
}

part "build release" scripts/setup.sh release
part "tests" tests release
part "comparisons" comparisons
part "build asan" scripts/setup.sh asan
part "tests asan" tests asan
part "fuzz" fuzz
part "build tsan" scripts/setup.sh tsan hayate_thread_tests
part "tests tsan" thread_tests
part "aarch64" aarch64
echo "times:$times"
for failure in "${failures[@]}"; do echo "failed: $failure"; done
echo "$passed passed, ${#failures[@]} failed, $skipped skipped"
((${#failures[@]} == 0 && passed > 0))
