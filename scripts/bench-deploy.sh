#!/usr/bin/env bash
# bench-deploy.sh BUILD: what it costs to take a model out and to run it. One epoch of the study's
# net, exported to both formats; then what our bindings add to the runtimes' own time, how long an
# export takes, and `tare bench` of the three files. Fails when a binding adds more than
# 100 ns.
set -eu
build=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset TARE_ENGINE_PATH
failed=0

"$build/tare" train --epochs 1 -o "$scratch/digits.safetensors"
"$build/tare" export "$scratch/digits.safetensors" -o "$scratch/digits.onnx"
"$build/tare" export "$scratch/digits.safetensors" -o "$scratch/digits.tflite"
echo
# Sixteen images of 28 x 28 as .npy version 1: a header of 128 bytes, then pixels.
{
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' \
        "{'descr': '|u1', 'fortran_order': False, 'shape': (16, 784), }"
    head -c $((16 * 784)) /dev/urandom
} >"$scratch/images.npy"
"$build/bench_binding-onnxruntime" "$scratch/digits.onnx" "$scratch/images.npy" 2>"$scratch/log" || failed=1
"$build/bench_binding-litert" "$scratch/digits.tflite" "$scratch/images.npy" 2>"$scratch/log" || failed=1
echo
"$build/bench_export"
for model in digits.safetensors digits.onnx digits.tflite; do
    echo
    "$build/tare" bench "$scratch/$model" || failed=1
done
exit $failed
