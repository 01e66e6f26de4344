#!/usr/bin/env bash
# usage: tests/fuzz/run.sh SECONDS [TARGET...]
# Runs every fuzz target (or those named) for so many seconds over its committed corpus, two at a time; one line per target
# with its executions. What is found is printed, with the input in base 64, and lies in build/asan/fuzz/found. SEED=N takes
# the same random choices every time. Exit status 1 where anything was found, 2 where nothing is built.
set -uo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
programs=$PWD/build/asan build=$PWD/build/asan/fuzz
targets=("$@")
if ((${#targets[@]} == 0)); then
  for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" _fuzz.cc)"); done
fi

fuzz() {
  local target=$1 work=$build/work/$1 log=$build/$1.log
  rm -rf "$work" && mkdir -p "$work" "$build/found"
  ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=16 \
    "$programs/${target}_fuzz" -seed="${SEED:-0}" -max_total_time="$seconds" -timeout=20 -entropic=0 -rss_limit_mb=2048 -malloc_limit_mb=1024 \
    -max_len=8192 -print_final_stats=1 -artifact_prefix="$build/found/$target-" "$work" "tests/fuzz/corpus/$target" \
    >"$log" 2>&1
  local status=$?
  local executions found=
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  if ((status != 0)); then
    found=$(grep -a -m1 -A30 -E 'FOUND: |runtime error: |ERROR: ' "$log" | cut -c1-400; grep -a '^Base64: ' "$log" | cut -c1-12000)
  fi
  ((status == 0)) || : "${found:=FOUND: exit status $status}"
  printf '%-14s %12s executions  %s\n' "$target" "$executions" "${found:-good}"
  return $status
}

failed=0 running=0
for target in "${targets[@]}"; do
  [ -x "$programs/${target}_fuzz" ] || { echo "$programs/${target}_fuzz is not built: scripts/setup.sh asan fuzzers" >&2; exit 2; }
  if ((running == 2)); then wait -n || failed=1; running=1; fi
  fuzz "$target" &
  running=$((running + 1))
done
while ((running > 0)); do wait -n || failed=1; running=$((running - 1)); done
exit $failed
