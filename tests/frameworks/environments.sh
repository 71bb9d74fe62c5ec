#!/bin/sh
# The environments: made once, found again at once, a missing one said with the way to get it.
set -eu
cd "$(dirname "$0")/../.."
scripts/environments.sh make all
[ "$(wc -l <build/environments)" -ge 3 ]
for name in tensorflow torch runtimes; do
    python=$(scripts/environments.sh path $name)
    [ -x "$python" ]
done
unset TARE_ENGINE_PATH
build/tare doctor | grep -q 'TensorFlow  *2\.'
