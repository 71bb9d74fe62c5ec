#!/bin/sh
# run.sh quick|all: runs the tests and prints what each suite printed in short; `make quick` and
# `make test` build what it needs first.
#
# quick: what needs no framework and no patience, under a minute.  all: that, the suites named in
# `slow`, and the real frameworks.
# A suite is a cmocka program (build/san/test_*), a golden test of the command line (tests/cli) or a
# check of the tree. Each has a time-out; a suite that is killed has failed. Ends with one line of
# counts; the exit code is 1 when anything failed.
set -u
cd "$(dirname "$0")/.." || exit 1
mode=${1:-quick}
san=$PWD/build/san
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0 skipped=0

# Suites that take more than 4 s each, of programs and of the command line.
slow=" bad_engines campaign caps certify dataset int8 native remember resume summary supervise sweep verify "
slow_cli=" sweep "
left_out=

# The cache of the tests is their own, so that no test sees what another run prepared; the
# environments of the frameworks are found through build/environments.
cache=$log/cache
mkdir "$cache"

started=
begin() { started=$(date +%s%N); }
took() { echo $((($(date +%s%N) - started) / 100000000)) | sed 's/.$/.& s/; s/^\./0./'; }

# suite NAME TIMEOUT COMMAND…: one cmocka program, counted test by test.
suite() {
    name=$1 limit=$2
    shift 2
    begin
    timeout -k 5 "$limit" "$@" >"$log/$name" 2>&1
    code=$?
    ok=$(grep -c '^\[       OK \]' "$log/$name")
    bad=$(grep -c '^\[  FAILED  \] [a-z]' "$log/$name")
    not=$(grep -c '^\[  SKIPPED \] [a-z]' "$log/$name")
    bad=$((bad / 2)) not=$((not / 2)) # cmocka names each of these twice
    if [ $code -ne 0 ] && [ $bad -eq 0 ]; then
        bad=1 # crashed, leaked, or ran out of time
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + not))
    printf '%-28s %3d passed %3d failed %3d skipped %8s\n' "$name" "$ok" "$bad" "$not" "$(took)"
    [ $not -eq 0 ] || grep -B1 '^\[  SKIPPED \] [a-z]' "$log/$name" | grep -v '^\[\|^--' | sort -u | sed 's/^/    /'
    if [ $bad -gt 0 ]; then
        [ $code -eq 124 ] && echo "    ran out of its $limit s"
        sed 's/^/    /' "$log/$name" | tail -n 60
    fi
}

# check NAME COMMAND…: one test that is a command.
check() {
    name=$(echo "$1" | tr / -)
    shift
    begin
    if "$@" >"$log/$name" 2>&1; then
        passed=$((passed + 1))
        printf '%-28s   1 passed %31s\n' "$name" "$(took)"
    else
        failed=$((failed + 1))
        printf '%-28s   1 FAILED\n' "$name"
        sed 's/^/    /' "$log/$name" | tail -n 60
    fi
}

check arrows scripts/check-arrows.sh
check links scripts/check-links.sh
check format make --no-print-directory -s check-format
for program in "$san"/test_*; do
    case $program in *.d) continue ;; esac
    name=${program##*/test_}
    case $name in
        runtimes) continue ;; # with the frameworks, below
        export_runtimes) continue ;; # in tests/frameworks/export.sh
    esac
    case $slow in *" $name "*) [ "$mode" = all ] || { left_out="$left_out $name" && continue; } ;; esac
    # A locale with a decimal comma, for the test that reports don't depend on one.
    [ "$name" != report ] || localedef -i de_DE -f UTF-8 "$log/de_DE.UTF-8" >/dev/null 2>&1
    XDG_CACHE_HOME=$cache TARE_ENGINE_PATH=$san/bad_engines:$san/faulty_engines suite "$name" 300 \
        env $([ "$name" != report ] || echo LOCPATH="$log") "$program"
done
for golden in tests/cli/*.sh; do
    name=$(basename "$golden" .sh)
    case $slow_cli in *" $name "*) [ "$mode" = all ] || { left_out="$left_out cli/$name" && continue; } ;; esac
    check "cli/$name" timeout -k 5 120 tests/cli/golden "$golden"
done

if [ "$mode" = all ]; then
    export TARE_ENGINE_PATH=$PWD/build
    suite runtimes 120 "$san/test_runtimes"
    scripts/python-engines.sh build/test-engines template
    for engine in litert onnxruntime; do
        suite "conformance-$engine" 120 "$san/test_conformance" "$engine"
    done
    TARE_ENGINE_PATH=build/test-engines suite conformance-template 120 "$san/test_conformance" template
    for engine in tensorflow libtorch jax keras pytorch; do
        suite "conformance-$engine" 400 "$san/test_conformance" "$engine"
    done
    check fuzz make --no-print-directory -s fuzz SECONDS=20
    for script in tests/frameworks/*.sh; do
        check "frameworks/$(basename "$script" .sh)" timeout -k 5 1200 "$script"
    done
fi

echo
[ -z "$left_out" ] || echo "left to make test, which takes minutes:$left_out"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
