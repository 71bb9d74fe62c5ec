#!/bin/sh
# Every real engine does the same work as the float64 reference: the default net, two seeds.
set -eu
cd "$(dirname "$0")/../.."
unset TARE_ENGINE_PATH
build/tare certify --no-download --seeds 2 --engines \
    native,tensorflow/step,tensorflow/xla-epoch,keras,libtorch,pytorch/indexed,jax
