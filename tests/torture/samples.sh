#!/bin/sh
# samples.sh quick|long: a samples.jsonl damaged in every way; each damage is found, in its lines and
# in no others, and the rest can be read. samples.sh one small:flip:1234 repeats a case.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$build/torture/samples" "$@" "$build/tare" "$scratch"
