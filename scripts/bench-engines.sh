#!/bin/sh
# bench-engines.sh BUILD [ceilings|same]: are the engines of the controlled track at their best, and
# does tare see no difference where there is none? Wants a quiet machine; a quarter of an hour each.
#
# ceilings: every engine in one interleaved run; steady time over TensorFlow's xla-epoch, with what
#           each may take at most. One that misses its ceiling is not at its best yet.
# same:     every engine beside itself (--twice), 20 runs: a difference claimed is false, and one in
#           twenty comparisons will claim one (doc/statistics.md).
#
# Without the second argument both. Exit code 1 when a ceiling is missed or a difference claimed.
set -eu
cd "$(dirname "$0")/.."
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
code=0

show() {
    awk -F'\t' '{ for (i = 1; i <= NF; i++) printf "%-22s", $i; print "" }'
}

ceilings() {
    "$build/tare" compare --track controlled --out "$scratch/ceilings" >/dev/null
    jq -r '
        def steady(e; v): .rows[] | select(.engine == e and .variant == v) | .steady_s.median;
        def two: . * 100 | round / 100;
        steady("tensorflow"; "xla-epoch") as $epoch | steady("jax"; "") as $jax
        | [["tensorflow/step", steady("tensorflow"; "step"), $epoch, "xla-epoch", 2.6],
           ["libtorch", steady("libtorch"; ""), $epoch, "xla-epoch", 2.8],
           ["jax", $jax, $epoch, "xla-epoch", 1.9],
           ["pytorch/indexed", steady("pytorch"; "indexed"), $epoch, "xla-epoch", 7],
           ["tensorflow/xla-epoch", $epoch, $jax, "jax", 1.1]]
        | (["engine", "steady s", "over", "ratio", "at most", ""],
           (.[] | (.[1] / .[2]) as $ratio
                | [.[0], (.[1] | two), .[3], ($ratio | two), .[4],
                   (if $ratio <= .[4] then "ok" else "MISSED" end)]))
        | @tsv' "$scratch/ceilings/report.json" >"$scratch/table"
    show <"$scratch/table"
    ! grep -q MISSED "$scratch/table" || code=1
}

same() {
    "$build/tare" compare --twice --runs 20 --epochs 1 --out "$scratch/same" \
        --engines keras,pytorch/indexed,tensorflow/xla-epoch,tensorflow/step,libtorch,jax,native \
        --track controlled >/dev/null
    jq -r '
        .rows as $rows | .comparisons[] | select(.kind == "again") | $rows[.slow_row] as $row
        | [$row.engine + (if $row.variant == "" then "" else "/" + $row.variant end),
           (.ratio | [.median, .lo, .hi] | map(. * 1000 | round / 1000) | "\(.[0]) (\(.[1]) … \(.[2]))"), .ratio.n,
           (if .apart then "DIFFERENCE CLAIMED" else "can'"'"'t be told apart" end)]
        | @tsv' "$scratch/same/report.json" >"$scratch/table"
    show <"$scratch/table"
    [ "$(wc -l <"$scratch/table")" -eq 7 ] || {
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
