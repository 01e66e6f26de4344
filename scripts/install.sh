#!/usr/bin/env bash
# Installs what the lists of Debian packages given (one name a line) hold and this machine lacks.
set -euo pipefail
missing=()
while read -r package; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < <(cat "$@")
((${#missing[@]})) || exit 0
echo "installing: ${missing[*]}"
sudo=$([ "$(id -u)" = 0 ] || echo sudo)
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
