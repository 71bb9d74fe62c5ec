#!/bin/sh
# flood.sh quick|long|one NAME: engines that write without an end (1 GB in `long`, 128 MB in `quick`)
# on stderr and on stdout: tare stays below 64 MB, and the record says what was dropped.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/torture/lib.sh
build=$PWD/build
names="flood flood_events flood_rubbish flood_line"
limit=65536 # KiB
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
TARE_ENGINE_PATH=$build/bad_engines
XDG_CACHE_HOME=$scratch/cache
TEST_FLOOD_MB=1024
case $1 in
one) names=$2 ;;
quick) TEST_FLOOD_MB=128 ;;
esac
export TARE_ENGINE_PATH XDG_CACHE_HOME TEST_FLOOD_MB
small_data "$scratch/data"
cd "$scratch" || exit 1

# survives NAME: 0 when it cost one cell, little memory, and nothing unsaid.
survives() {
    "$build/torture/rss" "$build/tare" compare --data data --engines "$1,native" --runs 1 --epochs 1 \
        --batch 10 --timeout 120 --out "$1" >"$1.out" 2>"$1.err"
    code=$?
    rss=$(sed -n 's/^rss //p' "$1.err")
    if [ $code -ne 1 ] || [ "${rss:-$limit}" -ge $limit ]; then
        echo "flood $1: exit $code, ${rss:-no} KiB of memory: $(tail -n 3 "$1.err")" >&2
        return 1
    fi
    if [ "$(jq -r 'select(.record == "job" and .engine == "native" and .task == "train") | .state' "$1/samples.jsonl")" != ok ]; then
        echo "flood $1: native was harmed" >&2
        return 1
    fi
    kept=$(wc -c <"$(echo "$1"/certificates/*"$1"/gradient.log)")
    said=$(sed -n 's/^\[tare: \([0-9]*\) further bytes were dropped\]$/\1/p' "$1"/certificates/*"$1"/gradient.log)
    if [ "$1" = flood ] && [ "$said" != $(((TEST_FLOOD_MB - 1) * 1048576)) ]; then
        echo "flood $1: $kept bytes are kept, and ${said:-nothing} is said to be dropped" >&2
        return 1
    fi
    echo "flood $1: $TEST_FLOOD_MB MB, $rss KiB of memory" >&2
}

tried=0 survived=0
for name in $names; do
    tried=$((tried + 1))
    survives "$name" && survived=$((survived + 1))
done
echo "result $tried $survived 4"
[ $tried -eq $survived ]
