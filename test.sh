#!/usr/bin/env bash
# Sets up, builds and runs every test: release, then again under the address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "$0")"

passed=0 failed=0 skipped=0
for preset in release asan; do
  scripts/setup.sh "$preset"
  report=$PWD/build/$preset/junit.xml
  rm -f "$report"
  echo "== tests: $preset"
  ctest --test-dir "build/$preset" -j2 --output-on-failure --no-tests=error --output-junit "$report" || true
  [ -s "$report" ] || { echo "no test report was written for $preset" >&2; exit 1; }
  count() { grep -m1 -oE "\b$1=\"[0-9]+\"" "$report" | grep -oE '[0-9]+'; }
  failed=$((failed + $(count failures)))
  skipped=$((skipped + $(count skipped)))
  passed=$((passed + $(count tests) - $(count failures) - $(count skipped)))
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
