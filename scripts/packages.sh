#!/bin/sh
# packages.sh: the Debian packages tare needs, in groups, and how to get them.
#
#   packages.sh [GROUP…]           installs what is missing (root or sudo), or prints the one line to run
#   packages.sh --check [GROUP…]   only says what is missing; exit 1 when something is
#
# build: make tare, the null and the native engine.  run: the Python environments, the stand-in data.
# test: everything `make test` needs.  bench: make bench-native.  a|b: a is installed, unless b already is (they exclude each other).
set -eu

build="build-essential pkg-config libjansson-dev zlib1g-dev libdeflate-dev libpng-dev nettle-dev libcurl4-gnutls-dev|libcurl4-openssl-dev"
run="python3 python3-venv dataset-fashion-mnist ca-certificates"
test="libcmocka-dev libmicrohttpd-dev libzip-dev clang libclang-rt-14-dev clang-format git jq locales procps"
bench="jq valgrind"

check=no
if [ "${1:-}" = --check ]; then
    check=yes
    shift
fi
wanted=$build
for group in "$@"; do
    case $group in
        build) ;;
        run) wanted="$wanted $run" ;;
        test) wanted="$wanted $test" ;;
        bench) wanted="$wanted $bench" ;;
        *) echo "packages.sh: no group '$group' (build, run, test, bench)" >&2; exit 2 ;;
    esac
done

if ! command -v dpkg-query >/dev/null; then
    # Not Debian: the libraries themselves are asked for, by their pkg-config names.
    if pkg-config --exists jansson zlib libdeflate libpng nettle libcurl; then exit 0; fi
    echo "packages.sh: this is not Debian; install what these Debian packages hold: $wanted" >&2
    exit 1
fi

missing=
for package in $wanted; do
    found=no
    for alternative in $(echo "$package" | tr '|' ' '); do
        if dpkg-query -W -f='${db:Status-Status}\n' "$alternative" 2>/dev/null | grep -qx installed; then
            found=yes
        fi
    done
    [ "$found" = yes ] || missing="$missing ${package%%|*}"
done
[ -n "$missing" ] || exit 0

line="apt-get update && apt-get install -y --no-install-recommends$missing"
if [ "$check" = yes ]; then
    echo "packages.sh: missing:$missing" >&2
    echo "  try: sudo sh -c '$line'" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "packages.sh: these packages are missing, and this user may not install them:$missing" >&2
    echo "  run this once, then the same command again: sudo sh -c '$line'" >&2
    exit 1
fi
echo "installing Debian packages:$missing" >&2
log=$(mktemp)
if ! $as_root sh -c "export DEBIAN_FRONTEND=noninteractive; $line" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "packages.sh: the packages could not be installed; the last lines are above, all are in $log" >&2
    exit 1
fi
rm -f "$log"
