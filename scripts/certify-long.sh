#!/bin/sh
# certify-long.sh BUILD: the equality certificate of every engine on 20 seeds, as the table
# doc/certify-long.md. Hours on two cores: most of it is the frameworks' start-up, three times a
# certificate. The table is written whatever it says; the exit code says whether all are certified.
set -eu
cd "$(dirname "$0")/.."
build=$1
table=$(mktemp)
trap 'rm -f "$table"' EXIT
code=0
"$build/tare" certify --seeds 20 --markdown --engines \
    native,tensorflow/step,tensorflow/xla-epoch,keras,libtorch,pytorch/indexed,jax >"$table" || code=$?
[ "$code" -le 1 ] || exit "$code"
{
    printf '# The certificate on 20 seeds\n\nMade by `make certify-long`. Of each engine the '
    printf 'largest ratio of all its certificates;\nwhat it means: [certificate.md](certificate.md).\n\n'
    cat "$table"
} >doc/certify-long.md.new
mv doc/certify-long.md.new doc/certify-long.md
exit "$code"
