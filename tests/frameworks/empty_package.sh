#!/bin/sh
# An empty package in TensorFlow's place must be seen: the Keras cell fails, with its reason and the
# line that reproduces it, the others go on, and the exit code is 1.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset TARE_ENGINE_PATH
mkdir -p "$scratch/python/tensorflow"
: >"$scratch/python/tensorflow/__init__.py"
code=0
PYTHONPATH=$scratch/python build/tare compare --engines keras,native --quick --no-download --out "$scratch/r" \
    >"$scratch/table" 2>"$scratch/messages" || code=$?
cat "$scratch/messages"
[ "$code" -eq 1 ]
jq -e '[.rows[] | [.engine, .state]] == [["keras","failed"],["keras","failed"],["native","ok"]]' "$scratch/r/report.json"
jq -e '.rows[0].reason != ""' "$scratch/r/report.json"
grep -q 'tare-engine-keras < ' "$scratch/table"
