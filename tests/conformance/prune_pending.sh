#!/usr/bin/env bash
# Takes out of pending.txt what the last run of the node tests saw pass. usage: prune_pending.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")"
build=${1:-../../build/release}
sort -u "$build"/node_tests/*.passes | awk 'FILENAME == "-" {passes[$1]; next} !($1 in passes)' - pending.txt > pending.new
mv pending.new pending.txt
