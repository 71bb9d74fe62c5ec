#!/bin/sh
# bench-engines.sh BUILD [ceilings|same]: are the engines of the controlled track at their best, and
# does tare see no difference where there is none? Wants a quiet machine; a quarter of an hour each.
#
# ceilings: every engine in one interleaved run; steady time over TensorFlow's xla-epoch, the median
#           of paired runs, with what each may take at most. One over it is not at its best yet.
# same:     every engine beside itself (--twice), 20 runs: a difference claimed is false, and one in
#           twenty comparisons will claim one (doc/statistics.md).
#
# Without the second argument both. TARE_BENCH_ENGINES says which engines `same` runs (all). The exit
# code is 1 when a ceiling is missed or a difference claimed.
set -eu
cd "$(dirname "$0")/.."
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
code=0
engines=${TARE_BENCH_ENGINES:-tensorflow/xla-epoch,tensorflow/step,libtorch,jax,keras,pytorch/indexed,native}

show() {
    awk -F'\t' '{ for (i = 1; i <= NF; i++) printf "%-28s", $i; print "" }'
}

ceilings() {
    "$build/tare" compare --track controlled --out "$scratch/ceilings" >/dev/null
    jq -rs '
        def two: . * 100 | round / 100;
        def median: sort | .[(length - 1) / 2 | floor] / 2 + .[length / 2 | floor] / 2;
        [.[] | select(.record == "job" and .task == "train" and .track == "controlled")
             | {key: (.engine + "/" + .variant), run,
                steady: ([.phases[] | select(.name == "train").wall_ns] | add / 1e9)}] as $jobs
        | def steady(of): [$jobs[] | select(.key == of)] | sort_by(.run) | map(.steady);
        [["tensorflow/step", "tensorflow/xla-epoch", 2.6], ["libtorch/", "tensorflow/xla-epoch", 2.8],
         ["jax/", "tensorflow/xla-epoch", 1.9], ["pytorch/indexed", "tensorflow/xla-epoch", 7],
         ["tensorflow/xla-epoch", "jax/", 1.1]]
        | (["engine", "steady s", "over", "ratio", "at most", ""],
           (.[] | . as [$of, $over, $most]
                | ([steady($of), steady($over)] | transpose | map(.[0] / .[1]) | median) as $ratio
                | [$of, (steady($of) | median | two), $over, ($ratio | two), $most,
                   (if $ratio <= $most then "ok" else "MISSED" end)]))
        | @tsv' "$scratch/ceilings/samples.jsonl" >"$scratch/table"
    show <"$scratch/table"
    ! grep -q MISSED "$scratch/table" || code=1
}

same() {
    # What follows training is not compared here: a runtime that isn't there is left out.
    TARE_PYTHON_RUNTIMES=$scratch/none "$build/tare" compare --twice --runs 20 --epochs 1 --out "$scratch/same" \
        --engines "$engines" \
        --track controlled >/dev/null
    jq -r '
        .rows as $rows | .comparisons[] | select(.kind == "again") | $rows[.slow_row] as $row
        | [$row.engine + (if $row.variant == "" then "" else "/" + $row.variant end),
           (.ratio | [.median, .lo, .hi] | map(. * 1000 | round / 1000) | "\(.[0]) (\(.[1]) … \(.[2]))"), .ratio.n,
           (if .apart then "DIFFERENCE CLAIMED" else "can'"'"'t be told apart" end)]
        | @tsv' "$scratch/same/report.json" >"$scratch/table"
    show <"$scratch/table"
    [ "$(wc -l <"$scratch/table")" -eq "$(echo "$engines" | tr , '\n' | wc -l)" ] || {
        echo "not every engine was compared with itself:" >&2
        jq -r '.rows[] | "\(.engine): \(.state) \(.reason) \(.unranked)"' \
            "$scratch/same/report.json" >&2
        code=1
    }
    ! grep -q CLAIMED "$scratch/table" || code=1
}

case ${2:-both} in
    ceilings | both) ceilings ;;
esac
case ${2:-both} in
    same | both) same ;;
esac
exit $code
