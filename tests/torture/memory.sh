#!/bin/sh
# memory.sh quick|long: what reading costs: at most 3 times the decoded size and 16 MB for what is
# accepted, at most 16 MB for what is refused. memory.sh one NAME repeats a case.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$build/torture/memory" "$1" "$scratch" "${2:-}"
