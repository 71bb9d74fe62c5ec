#!/bin/sh
# kills.sh quick|long|one ENGINES N: a campaign is killed (SIGKILL) at every write-class system call
# that tare makes, one after the other, and carried on: no finished sample is lost, none is there
# twice, nothing of it lives on, and in the end the same work was done in the same order. In `long`
# the session that carries on is killed too, at a call of its own, and carried on again.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/torture/lib.sh
mode=$1
build=$PWD/build
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
TARE_PYTHON_RUNTIMES=$scratch/none # exported files are run nowhere: a skipped cell, in no time
XDG_CACHE_HOME=$scratch/cache
export TARE_PYTHON_RUNTIMES XDG_CACHE_HOME
unset TARE_ENGINE_PATH
small_data "$scratch/data"
cd "$scratch" || exit 1
tried=0 survived=0 all=0

compare() { # DIR ENGINES
    echo "$build/tare compare --data data --engines $2 --runs 2 --epochs 1 --batch 10 --out $1"
}

# check ENGINES N M: 0 when nothing was lost.
check() {
    rm -rf out cache # what is cached is made anew, and killed in the middle too
    "$build/torture/kills" "$2" $(compare out "$1") >killed.out 2>killed.err
    code=$?
    if [ $code -ne 137 ]; then
        echo "$1 $2: not killed, or something lived on: exit $code: $(tail -n 1 killed.err)" >&2
        return 1
    fi
    if [ ! -s out/samples.jsonl ]; then # killed before anything was planned: there is no campaign yet
        [ ! -e out ] && return 0
        "$build/tare" compare --resume out >resumed.out 2>resumed.err
        code=$?
        [ $code -eq 3 ] && grep -q 'try:' resumed.err && return 0
        echo "$1 $2: exit $code of resuming nothing" >&2
        return 1
    fi
    head -n "$(wc -l <out/samples.jsonl)" out/samples.jsonl >before
    if [ "$3" -gt 0 ]; then
        "$build/torture/kills" "$3" "$build/tare" compare --resume out >killed.out 2>killed.err
        code=$?
        case $code in
        0 | 137) ;; # it may have been over before that call
        1) grep -q '"state":"void"' out/samples.jsonl || return 1 ;;
        *)
            echo "$1 $2 $3: exit $code of the second session: $(tail -n 2 killed.err)" >&2
            return 1
            ;;
        esac
    fi
    "$build/tare" compare --resume out >resumed.out 2>resumed.err
    code=$?
    if [ $code -ne 0 ] && ! grep -q '"state":"void"' out/samples.jsonl; then
        echo "$1 $2 $3: cannot be carried on: $(tail -n 2 resumed.err)" >&2
        return 1
    fi
    if ! head -n "$(wc -l <before)" out/samples.jsonl | cmp -s - before; then
        echo "$1 $2 $3: a finished sample was lost or altered" >&2
        return 1
    fi
    work_of out >work
    if ! cmp -s work "work.$1"; then
        echo "$1 $2 $3: not the same work" >&2
        return 1
    fi
    "$build/tare" verify out >verified 2>&1
    code=$?
    if [ $code -ne 0 ] || grep -q '^extra' verified; then
        echo "$1 $2 $3: tare verify: $(head -n 3 verified)" >&2
        return 1
    fi
}

# every ENGINES STEP: all calls, or every STEP-th.
every() {
    rm -rf out whole cache
    "$build/torture/kills" 0 $(compare whole "$1") >whole.out 2>whole.err
    calls=$(sed -n 's/^calls \([0-9]*\) .*/\1/p' whole.err)
    work_of whole >"work.$1"
    all=$((all + calls))
    n=$((1 + (calls - 1) % $2))
    while [ $n -le "$calls" ]; do
        second=0
        [ "$mode" = long ] && second=$((1 + (n * 7919) % calls))
        tried=$((tried + 1))
        check "$1" $n $second && survived=$((survived + 1))
        n=$((n + $2))
    done
}

case $mode in
one)
    "$build/torture/kills" 0 $(compare whole "$2") >whole.out 2>whole.err
    work_of whole >"work.$2"
    mode=long
    check "$2" "$3" "${4:-0}" && echo "survived"
    exit
    ;;
quick)
    every null 2
    every native 10
    ;;
long)
    every null 1
    every native 1
    every native,null 1
    ;;
esac
echo "result $tried $survived $all"
[ $tried -eq $survived ]
