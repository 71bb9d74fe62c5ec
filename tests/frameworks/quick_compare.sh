#!/bin/sh
# The whole way on the real MNIST, with every engine, as `tare compare --quick`: rows, accuracy,
# exports and their parity, and that the report comes again from the samples alone.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset TARE_ENGINE_PATH
build/tare compare --quick --no-download --out "$scratch/r" >"$scratch/table" 2>"$scratch/messages" || {
    cat "$scratch/messages" "$scratch/table"
    exit 1
}
cat "$scratch/table"
# must EXPRESSION: true of report.json, or the test ends with it.
must() {
    jq -e "$1" "$scratch/r/report.json" >/dev/null || {
        echo "not so: $1"
        jq '[.rows[] | {engine, state, reason, accuracy, exports}]' "$scratch/r/report.json"
        exit 1
    }
}
must '.format == "tare-report/1" and .dataset.name == "mnist"'
must '[.rows[] | select(.track == "tutorial") | .engine] == ["keras", "pytorch"]'
must '[.rows[] | select(.track == "controlled") | .engine + "/" + .variant] ==
      ["keras/", "pytorch/indexed", "tensorflow/xla-epoch", "tensorflow/step", "libtorch/", "jax/", "native/"]'
must 'all(.rows[] | select(.track == "controlled"); .certificate.state == "ok" and .certificate.max_ratio < 10)'
# equal work: the same seed ends within 0.3 points (one epoch; here 0.02 were seen)
must '[.rows[] | select(.track == "controlled") | .accuracy.median] | max - min < 0.003'
must '[.rows[] | select(.best) | .engine] | index("jax") and index("native")'
must 'all(.rows[]; .state == "ok")'
must 'all(.rows[]; .accuracy.median > 0.93)' # one epoch; guessing gets 0.1
for key in train_s infer_10000_s infer_one_s startup_s peak_rss_bytes; do
    must "all(.rows[]; .$key.n == 1 and .$key.median > 0)"
done
# every trained model as two files by tare, and by the framework itself where it has an exporter
must '[.rows[] | select(.engine != "null") | [.exports[] | select(.exporter == "tare") | .format] | sort] |
      all(. == ["onnx", "tflite"])'
must '[.rows[] | .engine as $e | .exports[] | select(.exporter != "tare") | $e + "." + .format] ==
      ["keras.tflite", "pytorch.onnx"]'
must 'all(.rows[].exports[]; .bytes > 200000 and .seconds > 0 and .environment_bytes > 100000)'
# the exporter of a framework takes seconds; tare may take 20 ms, and here writes to a disk that is busy
must 'all(.rows[].exports[] | select(.exporter == "tare"); .seconds < 0.2 and .files == 1)'
# each file by the runtime of its format: the same answers as its weights, by the certificate's statistic
must 'all(.rows[].exports[]; [.runtimes[].runtime] == [if .format == "onnx" then "onnxruntime" else "litert" end])'
must 'all(.rows[].exports[].runtimes[]; .state == "ok" and .parity_ratio > 0 and .parity_ratio < 10 and
      .parity_changed_answers == 0)'
# 1,000 queries bear p50, p90 and p99, and not p99.9
must 'all(.rows[].exports[].runtimes[]; .queries == 1000 and .query_s.p50.median > 0 and
      .query_s.p99.median >= .query_s.p50.median and .query_s.p999.n == 0)'
must 'all(.rows[].exports[].runtimes[]; .cold_start_s.n == 1 and .cold_start_s.median > .query_s.p50.median and
      .cold_rss_bytes.median > 1e6 and .ships_bytes > 1e6)'
# float32 logits of about 10 through sums of 784 and 64 terms in another order: 1e-4 is a hundred
# times their rounding, and a hundredth of what a wrong weight would do
must 'all(.rows[].exports[]; .max_abs_diff < 1e-4)'
# some runtime sums in another order than its engine; LiteRT's order is the native engine's own: 0
must 'any(.rows[].exports[]; .max_abs_diff > 0)'
must 'all(.rows[] | .accuracy.median as $a | .exports[] | (.accuracy - $a); fabs < 2e-4)'
for weights in "$scratch"/r/jobs/*/weights.safetensors; do
    folder=$(dirname "$weights")
    [ -s "$folder/tare/model.onnx" ] && [ -s "$folder/tare/model.tflite" ] || {
        case $folder in *-null-*) continue ;; esac
        echo "no exports in $folder"
        exit 1
    }
done
build/tare verify "$scratch/r"
mkdir "$scratch/again"
cp "$scratch/r/samples.jsonl" "$scratch/again"
build/tare report "$scratch/again" | cmp - "$scratch/table"
for file in report.md report.json report.csv; do
    cmp "$scratch/r/$file" "$scratch/again/$file"
done
