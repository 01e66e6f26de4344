#!/usr/bin/env bash
# usage: scripts/setup.sh [PRESET [TARGET]]
# Installs what this machine lacks and builds the preset given (default release), or of it the target that is given second.
# The target hayate_program needs the packages of scripts/packages.txt and, to be compared with, those of
# scripts/requirements.txt in .venv; everything else also those of scripts/packages_tests.txt and
# scripts/requirements_tests.txt. Without the latter (the peers) everything builds; what compares with them is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release} target=${2:-}

packages=(scripts/packages.txt) peers=(scripts/requirements.txt) tests=()
all_peers=(scripts/requirements.txt scripts/requirements_tests.txt)
if [ "$target" != hayate_program ]; then
  packages+=(scripts/packages_tests.txt) peers=("${all_peers[@]}") tests=(-DHAYATE_TESTS=ON)
elif [ ! -f "build/$preset/build.ninja" ]; then
  tests=(-DHAYATE_TESTS=OFF)  # a build tree that has the tests keeps them
fi

scripts/install.sh "${packages[@]}"

installed() { cmp -s <(cat "$@") .venv/installed.txt; }
if ! installed "${peers[@]}" && ! installed "${all_peers[@]}"; then
  echo "installing the peers into .venv"
  if /usr/bin/python3 -m venv .venv && .venv/bin/pip install -q --disable-pip-version-check "${peers[@]/#/-r}"; then
    cat "${peers[@]}" >.venv/installed.txt
  else
    echo "the peers could not be installed: comparisons with them will be skipped" >&2
  fi
fi

# Configured where it was not, or without the tests.
if [ ! -f "build/$preset/build.ninja" ] || { ((${#tests[@]})) && grep -q '^HAYATE_TESTS:BOOL=OFF' "build/$preset/CMakeCache.txt"; }; then
  cmake --preset "$preset" "${tests[@]}" >/dev/null
fi
quiet=()
[ -t 1 ] || quiet=(-- --quiet)  # nobody watches: what goes well is not printed
cmake --build --preset "$preset" ${target:+--target "$target"} "${quiet[@]}"
