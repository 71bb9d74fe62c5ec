#!/bin/sh
# tare's own .onnx and .tflite in the real runtimes: 200 random nets against tare's engine; the same
# files in ONNX's checker and TensorFlow's interpreter; and `tare export` of a net trained on MNIST.
set -eu
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
TARE_ENGINE_PATH=$PWD/build TARE_EXPORT_KEEP=$scratch build/san/test_export_runtimes
"$(scripts/environments.sh path torch)" tests/oracle/check_export.py onnx "$scratch"
"$(scripts/environments.sh path tensorflow)" tests/oracle/check_export.py tflite "$scratch" 2>"$scratch/log" || {
    cat "$scratch/log"
    exit 1
}
unset TARE_ENGINE_PATH
build/tare train -o "$scratch/digits.safetensors" --epochs 1 --no-download
for format in onnx tflite; do
    for options in "" "--batch 32" "--normalise" "--softmax" "--normalise --softmax --batch 1"; do
        build/tare export "$scratch/digits.safetensors" -o "$scratch/digits.$format" --json $options >"$scratch/said"
        cat "$scratch/said"
        jq -e '.parity.state == "ok" and .parity.images == 10000 and .parity.dataset == "mnist"' "$scratch/said"
        jq -e '.bytes > 203560 and .bytes < 220000 and .export_s > 0' "$scratch/said" # 50,890 floats
    done
done

# A picture gets the same answer from weights, logits and probabilities.
"$(scripts/environments.sh path torch)" - "$scratch/seven.png" <<'END'
import sys
from PIL import Image, ImageDraw
image = Image.new("L", (28, 28), 0)
ImageDraw.Draw(image).line([(8, 7), (20, 7), (12, 21)], fill=255, width=3)
image.save(sys.argv[1])
END
build/tare predict "$scratch/digits.safetensors" "$scratch/seven.png" >"$scratch/answer"
cat "$scratch/answer"
for format in onnx tflite; do
    for options in "" "--softmax" "--softmax --normalise"; do
        build/tare export "$scratch/digits.safetensors" -o "$scratch/digits.$format" --no-check $options
        build/tare predict "$scratch/digits.$format" "$scratch/seven.png" | cmp - "$scratch/answer"
    done
done
