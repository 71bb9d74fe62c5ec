#!/bin/sh
# laboratory.sh quick|long|one SEED: campaigns in the simulated laboratory (laboratory.c says what is
# checked): two for each seed, on as many processes as there are CPUs.
set -u
cd "$(dirname "$0")/../.." || exit 1
mode=$1
[ -d /dev/shm ] && TMPDIR=/dev/shm # thousands of small files, fsynced
scratch=$(TMPDIR=${TMPDIR:-/tmp} mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
if [ "$mode" = one ]; then
    build/torture/laboratory "$2" 1 "$scratch/one"
    exit
fi
seeds=50000 # of `quick` too
processes=$(nproc)
share=$((seeds / processes))
for i in $(seq "$processes"); do
    first=$((1 + (i - 1) * share)) count=$share
    [ "$i" -lt "$processes" ] || count=$((seeds - (i - 1) * share))
    build/torture/laboratory $first $count "$scratch/$i" >"$scratch/result.$i" &
done
wait
cat "$scratch"/result.* | awk '
    { tried += 2 * $1; survived += 2 * $2 }
    END { print "result", tried + 0, survived + 0, tried + 0; exit tried == 0 || tried != survived }'
