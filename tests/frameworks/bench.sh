#!/bin/sh
# tare bench in the real runtimes and frameworks: every figure is there and within reason, a wrong
# kernel mode or file costs its row, and Ctrl-C leaves no folder and no process behind.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset TARE_ENGINE_PATH
mkdir "$scratch/tmp" "$scratch/bytes"
TMPDIR=$scratch/tmp
export TMPDIR
# must FILE EXPRESSION: true of the JSON in it, or the test ends with it.
must() {
    jq -e "$2" "$1" >/dev/null || {
        echo "not so: $2"
        cat "$1"
        exit 1
    }
}
# bench ARGUMENT...: into $scratch/json; a void row, which a busy machine can cause, is tried again.
bench() {
    for again in 1 2 3; do
        build/tare bench "$@" --no-download --json >"$scratch/json" 2>"$scratch/messages" && return
        jq -e 'any(.rows[]; .state == "void") and all(.rows[]; .state == "ok" or .state == "void")' "$scratch/json" >/dev/null || break
    done
    cat "$scratch/messages" "$scratch/json"
    return 1
}
measured='all(.rows[]; .state == "ok" and .latency.n == 700 and .latency.min_s > 0 and .latency.min_s <= .latency.p50_s
    and .latency.p50_s <= .latency.p90_s and .latency.p90_s <= .latency.p99_s and .latency.p99_s <= .latency.max_s
    and .latency.p999_s == null and .latency.needs.p999 == 6636 and all(.throughput[]; .images_per_s > 10)
    and .cold_start_s.n == 2 and .cold_start_s.lo > .latency.min_s and .peak_rss_bytes.median > 1e6 and .call != "")'

# 3 x 4 pixels in three classes, for the models of tests/vectors: random bytes.
idx() { # name, count, and whether they are images
    big=$(printf '\\000\\000\\000\\%03o' "$2")
    if [ "$3" = images ]; then
        { printf "\\000\\000\\010\\003$big\\000\\000\\000\\003\\000\\000\\000\\004"; head -c $((12 * $2)) /dev/urandom; } >"$scratch/bytes/$1-images-idx3-ubyte"
    else
        { printf "\\000\\000\\010\\001$big"; i=0; while [ $i -lt "$2" ]; do printf "\\00$((i % 3))"; i=$((i + 1)); done; } >"$scratch/bytes/$1-labels-idx1-ubyte"
    fi
}
for what in images labels; do
    idx train 9 $what
    idx t10k 30 $what
done
for model in tiny.onnx tiny_batch2.onnx; do
    bench tests/vectors/$model --data "$scratch/bytes" --queries 700 --runs 2 --batches 1,7,100
    must "$scratch/json" "$measured"
    must "$scratch/json" '[.rows[].engine] == ["onnxruntime"] and .rows[0].ships_bytes > 1e7 and .rows[0].environment_bytes == null'
done
bench tests/vectors/tiny.onnx --data "$scratch/bytes" --queries 700 --runs 2
must "$scratch/json" '.model.files == 2' # torch's exporter wrote a .data file beside it
bench tests/vectors/tiny.tflite --data "$scratch/bytes" --queries 700 --runs 2 --engine litert,litert/xnnpack,litert/builtin
must "$scratch/json" "$measured"
must "$scratch/json" '[.rows[] | .settings[] | select(.name == "kernel_mode") | .value] == ["xnnpack", "xnnpack", "builtin"]'
must "$scratch/json" 'all(.rows[]; .ships_bytes > 1e6)'
# "reference" would silently run other kernels
if build/tare bench tests/vectors/tiny.tflite --data "$scratch/bytes" --engine litert/reference --json >"$scratch/json" 2>"$scratch/messages"; then
    echo "there is no such kernel mode"
    exit 1
fi
must "$scratch/json" '.rows[0].state == "failed" and (.rows[0].reason | contains("reference"))'
head -c 300 tests/vectors/tiny.tflite >"$scratch/cut.tflite"
! build/tare bench "$scratch/cut.tflite" --data "$scratch/bytes" --json >"$scratch/json" 2>"$scratch/messages"
must "$scratch/json" '.rows[0].state == "failed" and .rows[0].reason != ""'

# One model in every engine that trains: the same answers.
build/tare train --epochs 1 --no-download -o "$scratch/digits.safetensors"
bench "$scratch/digits.safetensors" --queries 700 --runs 2 --batches 1,64 --engine native,tensorflow,libtorch,keras,pytorch,jax
must "$scratch/json" "$measured"
must "$scratch/json" '.dataset.test == 10000 and ([.rows[].accuracy] | max - min < 0.0003)'
must "$scratch/json" 'all(.rows[:3][]; .ships_bytes > 1e4) and all(.rows[3:][]; .ships_bytes == null and .environment_bytes > 1e8)'
[ -z "$(ls "$TMPDIR")" ]

# Ctrl-C in the middle. A background job of a script ignores SIGINT; a terminal's program does not.
env --default-signal=INT build/tare bench "$scratch/digits.safetensors" --engine keras --no-download >/dev/null 2>"$scratch/messages" &
tare=$!
for i in $(seq 100); do
    if pgrep -P "$tare" tare-launch >/dev/null; then
        break
    fi
    sleep 0.1
done
launcher=$(pgrep -P "$tare" tare-launch | head -n 1)
kill -INT "$tare"
code=0
wait "$tare" || code=$?
[ "$code" -eq 130 ]
if [ -n "$launcher" ] && kill -0 "$launcher" 2>/dev/null; then
    echo "the launcher is still there"
    exit 1
fi
[ -z "$(ls "$TMPDIR")" ]
