#!/bin/sh
# faults.sh quick|long|one COMMAND KIND N: every command of tare that writes, or reads what matters,
# again and again with one fault more ahead: its n-th allocation fails, its n-th write, fsync, rename,
# open, … (kinds in inject.h; `full` and `alloc-on` go on failing from the n-th on). It must end by
# itself, with an exit code and one clear line, without a leak, and leave every file as it was or as
# it should become. An interrupted call or a short count must not be noticed at all. What may fail
# without an error stands in faults.harmless, with the reason.
#
# faults.c runs them: the sanitised tare, all of whose allocations and calls count (LD_PRELOAD for the
# one, seccomp's notifications for the other; leaks are looked for after both), but for mmap, which the
# sanitisers need for themselves: there it is the plain tare. The engines are plain, and left alone.
set -u
cd "$(dirname "$0")/../.." || exit 1
mode=$1
build=$PWD/build
harmless=$PWD/tests/torture/faults.harmless
base=/dev/shm # thousands of small files, each fsynced: in memory where there is such a place
[ -d $base ] && [ -w $base ] || base=${TMPDIR:-/tmp}
scratch=$(mktemp -d "$base/tare-faults-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

work=$scratch/work
export TMPDIR="$work/tmp" XDG_CACHE_HOME="$work/cache" HOME="$work" TARE_ENGINE_PATH="$build"
export ASAN_OPTIONS=verify_asan_link_order=0:exitcode=99 LSAN_OPTIONS=exitcode=99
export UBSAN_OPTIONS=exitcode=99:print_stacktrace=1
unset TARE_DATA
model="16 dense:4:relu dense:3"

# ---- what the commands find ----------------------------------------------------------------------

# with STATE THING…: a folder like the work folder, with these of its things.
with() {
    state=$scratch/$1
    shift
    mkdir -p "$state/tmp" "$state/cache" "$state/out"
    for thing in "$@"; do
        mkdir -p "$(dirname "$state/$thing")"
        cp -r "$work/$thing" "$state/$thing"
    done
}

# old STATE FILE…: files from before, to be replaced.
old() {
    state=$scratch/$1
    shift
    for file in "$@"; do
        echo old >"$state/$file"
    done
}

prepare() {
    mkdir -p "$work/tmp" "$work/cache" "$work/out"
    for kind in npy idx png; do
        "$build/torture/tiny_set" $kind "$work/data/$kind" || exit 1
    done
    (
        cd "$work" || exit 1
        "$build/tare" train --data data/npy -o out/net.safetensors --epochs 2 --batch 4 \
            --model "$model" --threads 1 &&
            "$build/tare" compare --engines null --runs 1 --epochs 1 --batch 4 --model "$model" \
                --threads 1 --data data/npy --out results/x
        [ $? -le 1 ] && [ -s results/x/report.md ] # 1: void, on a machine that is too busy
    ) >"$scratch/prepared" 2>&1 || {
        cat "$scratch/prepared" >&2
        exit 1
    }
    with data data
    with train data/npy out/net.safetensors
    with compare data/npy
    with report results
    old report results/x/report.md results/x/report.json results/x/report.csv
    with verify results
    with export data/npy cache out/net.safetensors
    old export out/m.onnx out/m.tflite
    with bench data/npy cache out/net.safetensors
}

# ---- the commands --------------------------------------------------------------------------------

# words NAME: the command's own words in `command`, what it finds in `state`, options in `how`.
set_command() {
    how=
    case $1 in
        train*)
            state=train
            command="train --data data/npy -o out/net.safetensors --epochs 1 --batch 4 --threads 1 --timeout 5"
            [ "$1" != train-cached ] || how=--twice
            ;;
        compare*)
            state=compare how="--loose --results results/x"
            command="compare --engines null --runs 1 --epochs 1 --batch 4 --threads 1 --data data/npy --out results/x --timeout 5"
            ;;
        report*) state=report command="report results/x" ;;
        verify) state=verify command="verify results/x" ;;
        data-json) state=data command="data --data data/npy" ;;
        data-*) state=data command="data --data data/${1#data-}" ;;
        export-*)
            state=export format=${1#export-}
            command="export out/net.safetensors -o out/m.${format%-json} --data data/npy"
            ;;
        bench*)
            state=bench how=--loose
            command="bench out/net.safetensors --engine null --queries 5 --runs 1 --batches 1 --data data/npy --threads 1 --timeout 5"
            ;;
        *)
            echo "faults.sh: no command $1" >&2
            exit 2
            ;;
    esac
    case $1 in
        *-json) command="$command --json" ;;
    esac
}

# drive NAME KIND TARE [OPTION]…: one call of the driver.
drive() {
    name=$1 kind=$2 tare=$3
    shift 3
    set_command "$name"
    set -- --name "$name" --kind "$kind" --state "$scratch/$state" --work "$work" \
        --shim "$build/torture/fail_nth.so" --harmless "$harmless" $how "$@" -- "$tare" $command
    case $name in
        train* | compare*) set -- "$@" --model "$model" ;;
    esac
    "$build/torture/faults" "$@"
}

# faults NAME KIND [OPTION]…: all of one kind; adds to the counts.
faults() {
    tare=$build/san/tare
    [ "$2" != mmap-enomem ] || tare=$build/tare
    name=$1 kind=$2
    shift 2
    counts=$(drive "$name" "$kind" "$tare" "$@")
    [ -n "$counts" ] || counts="1 0 1"
    echo "$name $kind: $counts" >&2
    tried=$((tried + ${counts%% *}))
    rest=${counts#* }
    survived=$((survived + ${rest%% *}))
    all=$((all + ${rest#* }))
}

# What `long` tries of one command, counted in two runs of it.
count_all() {
    all=$((all + $(drive "$1" alloc "$build/san/tare" --count) + $(drive "$1" calls "$build/tare" --count)))
    all=$((all + 2 + persisting)) # stdout; and allocations that fail from one on
}

tried=0 survived=0 all=0
persisting=100 # of a command's allocations: so many, evenly spread, fail from there on
at_end=250     # of what a command prints with --json: the last so many allocations
# FAULTS_COMMANDS and FAULTS_JSON name some of them instead.
names=${FAULTS_COMMANDS-train train-cached compare report verify data-npy data-idx data-png export-onnx export-tflite bench}
# They differ from those above in what they print, at their end.
json=${FAULTS_JSON-train-json compare-json report-json data-json export-onnx-json bench-json}
calls="write-enospc write-eio write-eintr write-short full fsync-eio rename-enospc rename-eio open-emfile
    open-eio open-eintr mkdir-enospc mmap-enomem read-eio read-eintr read-short close-eio truncate-eio
    unlink-eio pipe-emfile spawn-eagain stdout-full stdout-closed"

prepare
case $mode in
    one)
        faults "$2" "$3" --one "$4"
        ;;
    long)
        for name in $names; do
            for kind in alloc $calls; do
                faults "$name" "$kind"
            done
            faults "$name" alloc-on --most $persisting
        done
        for name in $json; do
            faults "$name" alloc --last $at_end
            for kind in stdout-full stdout-closed; do
                faults "$name" "$kind"
            done
        done
        ;;
    quick)
        for name in $names; do
            faults "$name" alloc --most 25
        done
        for name in train compare report export-onnx; do
            for kind in write-enospc write-eintr write-short full fsync-eio rename-enospc open-emfile \
                mmap-enomem read-eintr; do
                faults "$name" "$kind" --most 5
            done
            faults "$name" alloc-on --most 3
        done
        for name in $json; do
            faults "$name" alloc --last 100 --most 4
        done
        for name in $names; do
            faults "$name" stdout-full
            faults "$name" stdout-closed
        done
        all=0
        for name in $names; do
            count_all "$name"
        done
        for name in $json; do
            all=$((all + at_end + 2))
        done
        ;;
    *)
        echo "faults.sh quick|long|one COMMAND KIND N" >&2
        exit 2
        ;;
esac
echo "result $tried $survived $all"
[ "$tried" -eq "$survived" ]
