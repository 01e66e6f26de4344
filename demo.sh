#!/usr/bin/env bash
# Sets up and builds, then looks into a sample, checks every sample against the reference and ONNX Runtime, and times them.
set -euo pipefail
cd "$(dirname "$0")"
scripts/setup.sh release hayate_program
hayate=build/release/hayate
models=(models/*.onnx models/*.txt models/*.ubj)

echo
echo "== What is in a model: hayate info models/deeplob.onnx"
"$hayate" info models/deeplob.onnx

echo
echo "== Are the answers right? hayate verify MODEL, for each sample"
failed=0
for model in "${models[@]}"; do
  if report=$("$hayate" verify "$model" 2>&1); then
  worst=$(sed -n 's/^ok  *native.*max absolute error \([^,]*\),.*/\1/p' <<<"$report" | sort -g | tail -n 1)
    printf '  equal    %-24s native within %s of the reference\n' "$(basename "$model")" "$worst"
  else
    printf '  DIFFERS  %s\n%s\n' "$(basename "$model")" "$report"
    failed=1
  fi
done

echo
echo "== How fast? hayate bench models/* --summary (batch 1, one thread)"
"$hayate" bench "${models[@]}" --seconds 0.5 --summary
exit "$failed"
