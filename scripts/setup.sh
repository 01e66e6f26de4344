#!/usr/bin/env bash
# Installs what scripts/packages.txt lists and this machine lacks, and builds the preset given (default release).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < scripts/packages.txt
if ((${#missing[@]})); then
  echo "installing: ${missing[*]}"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset"
