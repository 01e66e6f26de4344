#!/usr/bin/env bash
# Installs what scripts/packages.txt lists and this machine lacks, makes .venv with the peers of scripts/requirements.txt,
# and builds the preset given (default release), or of it the target that is given second. Without the peers everything builds; what compares with them is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

scripts/install.sh scripts/packages.txt

if ! cmp -s scripts/requirements.txt .venv/installed.txt; then
  echo "installing the peers into .venv"
  if /usr/bin/python3 -m venv .venv && .venv/bin/pip install -q --disable-pip-version-check -r scripts/requirements.txt; then
    cp scripts/requirements.txt .venv/installed.txt
  else
    echo "the peers could not be installed: comparisons with them will be skipped" >&2
  fi
fi

[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" ${2:+--target "$2"}
