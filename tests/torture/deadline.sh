#!/bin/sh
# deadline.sh quick|long|one N: engines that fork, escape, stop and kill, with random time-outs: 100
# ms after the deadline nothing of any lives.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$PWD/build
cases=1000
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
TARE_ENGINE_PATH=$build/bad_engines
export TARE_ENGINE_PATH
cd "$scratch" || exit 1
ln -s "$build/tare-launch" . # looked for beside the program
cp "$build/torture/deadline" .
case $1 in
one) step=1 first=$2 last=$2 ;;
quick) step=10 first=1 last=$cases ;;
long) step=1 first=1 last=$cases ;;
esac
./deadline "$first" "$last" "$step" >result
code=$?
sed "s/\$/ $cases/" result
exit $code
