#!/bin/sh
# Ctrl-C in the middle of a real training: children gone, what was measured kept, exit 130.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset TARE_ENGINE_PATH
# A background job of a script ignores SIGINT; a terminal's program does not.
env --default-signal=INT build/tare compare --engines native,keras --runs 2 --epochs 2 --no-download --out "$scratch/r" \
    >"$scratch/table" 2>"$scratch/messages" &
tare=$!
# until one training is recorded and the next engine is at work
for i in $(seq 600); do
    if grep -q '"task":"train"' "$scratch/r/samples.jsonl" 2>/dev/null && pgrep -P "$tare" >/dev/null; then
        break
    fi
    sleep 0.1
done
launcher=$(pgrep -P "$tare" tare-launch | head -n 1)
kill -INT "$tare"
code=0
wait "$tare" || code=$?
cat "$scratch/messages"
[ "$code" -eq 130 ]
if [ -n "$launcher" ] && kill -0 "$launcher" 2>/dev/null; then
    echo "the launcher is still there"
    exit 1
fi
if pgrep -f "$scratch/r" >/dev/null; then
    echo "an engine is still there"
    exit 1
fi
grep -q '"task":"train"' "$scratch/r/samples.jsonl"
[ -s "$scratch/r/report.md" ]
grep -q 'not complete' "$scratch/table"
