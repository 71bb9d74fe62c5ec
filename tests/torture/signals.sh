#!/bin/sh
# signals.sh quick|long|one N: Ctrl-C, SIGTERM, SIGHUP, a closed terminal, being suspended, at random
# moments of a campaign: it ends, or goes on, within a second and in order, and can be carried on.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/torture/lib.sh
build=$PWD/build
cases=1000
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
TARE=$build/tare
TARE_PYTHON_RUNTIMES=$scratch/none # exported files are run nowhere: a skipped cell, in no time
XDG_CACHE_HOME=$scratch/cache
export TARE TARE_PYTHON_RUNTIMES XDG_CACHE_HOME
unset TARE_ENGINE_PATH
small_data "$scratch/data"
cd "$scratch" || exit 1
case $1 in
one) step=1 first=$2 last=$2 ;;
quick) step=25 first=1 last=$cases ;;
long) step=1 first=1 last=$cases ;;
esac

set -- "$TARE" compare --data data --engines null,native --runs 2 --epochs 1000 --batch 1 --out
"$@" whole >whole.out 2>&1 || { # so that the caches are warm, and to see how long it takes
    cat whole.out >&2
    exit 1
}
start=$(date +%s%N)
"$@" again >whole.out 2>&1
span=$((($(date +%s%N) - start) / 1000000))
"$build/torture/signals" $first $last $step $span "$@" >result
code=$?
sed "s/\$/ $cases/" result
exit $code
