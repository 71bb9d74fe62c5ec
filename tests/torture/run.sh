#!/bin/sh
# run.sh quick|long [KIND…]: the torture, or these parts of it, and a table of what survived.
# `make torture` and `make torture-long` build what it needs first. A part is KIND.sh beside this
# file; its last line is "result TRIED SURVIVED ALL", and ALL is what `long` tries.
set -u
cd "$(dirname "$0")/../.." || exit 1
mode=$1

# what KIND: in the words of a reader.
what() {
    case $1 in
    laboratory) echo "simulated campaigns, broken off and carried on" ;;
    kills) echo "killed at a write-class system call, carried on" ;;
    signals) echo "Ctrl-C, SIGTERM, SIGHUP, closed terminal, suspend" ;;
    deadline) echo "nothing of an engine lives 100 ms after its time" ;;
    faults) echo "the n-th allocation or system call fails" ;;
    flood) echo "an engine floods its pipes: tare's memory" ;;
    memory) echo "what reading a file costs in memory" ;;
    samples) echo "bits flipped, lines dropped, doubled, swapped" ;;
    *) echo "$1" ;;
    esac
}

# part KIND: runs one, and leaves its last line, its exit code and its seconds behind.
if [ "$mode" = part ]; then
    kind=$2 log=$3 mode=$4
    start=$(date +%s)
    "tests/torture/$kind.sh" "$mode" >"$log/$kind"
    echo "$? $(($(date +%s) - start)) $(tail -n 1 "$log/$kind")" >"$log/$kind.result"
    echo "$(what "$kind"): $(tail -n 1 "$log/$kind")" >&2
    exit 0
fi

# Those that look at the clock one by one; then as many at a time as there are CPUs, the longest first.
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
trap 'exit 130' INT TERM
shift
kinds=$*
[ -n "$kinds" ] || kinds=$(for part in tests/torture/*.sh; do basename "$part" .sh; done | grep -vx 'run\|lib' | sort)
for alone in deadline signals; do
    case " $(echo $kinds) " in *" $alone "*) "$0" part $alone "$log" "$mode" ;; esac
done
printf '%s\n' $kinds | grep -vx 'deadline\|signals' | awk '{ print ($1 == "laboratory" ? 0 : 1), $1 }' | sort |
    cut -d ' ' -f 2 | xargs -r -P "$(nproc)" -I KIND "$0" part KIND "$log" "$mode"

failed=0 left_out=0
printf '%-52s %10s %10s %10s %8s\n' what tried survived 'left out' seconds
for kind in $kinds; do
    code=1 seconds=0 word=''
    read -r code seconds word tried survived all <"$log/$kind.result"
    if [ "$word" != result ]; then
        tried=0 survived=0 all=0 code=1
        echo "$kind broke off: $(tail -n 3 "$log/$kind")" >&2
    fi
    printf '%-52s %10s %10s %10s %8s\n' "$(what "$kind")" "$tried" "$survived" $((all - tried)) "$seconds"
    left_out=$((left_out + all - tried))
    [ "$code" -eq 0 ] && [ "$tried" -gt 0 ] && [ "$tried" -eq "$survived" ] || failed=$((failed + 1))
done
echo
if [ $left_out -gt 0 ]; then
    echo "$left_out cases were left out; make torture-long tries them too"
fi
if [ $failed -gt 0 ]; then
    echo "$failed kinds did not survive"
    exit 1
fi
echo "all survived"
