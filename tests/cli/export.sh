# tare export: the files, what is refused, and an engine that answers something else. The runtimes
# themselves are in tests/frameworks/export.sh; here there are none.
TARE_PYTHON_RUNTIMES=/no/such/python
TARE_DATA=$PWD/nowhere
export TARE_PYTHON_RUNTIMES TARE_DATA
small_data mine
tare train -o bands.safetensors --data mine --batch 10 --epochs 1 --engine native > train.txt 2>&1 || echo "exit $?"
# A time, and a number of bytes that holds the version's length.
quiet() { sed -e 's/[0-9]* bytes, written in [0-9.]* ms/N bytes, written in T ms/' -e 's/"bytes":[0-9]*/"bytes":N/' -e 's/"export_s":[0-9.e-]*/"export_s":T/'; }

t tare export bands.safetensors -o a.onnx --no-check | quiet
t tare export bands.safetensors -o a.tflite --no-check --json | quiet
grep -ao 'trained_by..native [0-9]' a.onnx | tr -dc 'a-z_ 0-9'; echo
grep -ac 'dataset_sha256' a.tflite
cp a.onnx before.onnx
tare export bands.safetensors -o a.onnx --no-check > again.txt && cmp a.onnx before.onnx && echo "the same bytes again"

# What is missing is said, and isn't an error.
t tare export bands.safetensors -o a.onnx --data mine | quiet
t tare export bands.safetensors -o a.tflite --data mine --json | quiet
t tare export bands.safetensors -o a.onnx --data nowhere | quiet

# An engine that answers zeros.
mkdir liar
cat > liar/tare-engine-onnxruntime <<'END'
#!/bin/sh
read -r job
logits=$(echo "$job" | sed 's/.*"logits":"\([^"]*\)".*/\1/')
echo '{"event":"hello","abi":1,"engine":"onnxruntime","version":"","variant":"","tasks":["infer"]}'
echo '{"event":"setting","name":"version","value":"9.9"}'
{ printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': (50, 2), }"; head -c 400 /dev/zero; } > "$logits"
echo '{"event":"bye"}'
END
chmod +x liar/tare-engine-onnxruntime
TARE_ENGINE_PATH=$PWD/liar t tare export bands.safetensors -o a.onnx --data mine | quiet | sed 's/[0-9.]* times as far/R times as far/;s/50 answers\|[0-9]* answers/N answers/;s/logit [0-9.]*$/logit D/'
cmp a.onnx before.onnx && echo "the file is there"

# Refused.
t tare export
t tare export bands.safetensors
t tare export bands.safetensors -o bands.pb
t tare export bands.safetensors -o bands
t tare export a.safetensors b.safetensors -o a.onnx
t tare export bands.safetensors -o a.onnx --batch -1
t tare export bands.safetensors -o /proc/nowhere/a.onnx
mkdir folder.onnx
t tare export bands.safetensors -o folder.onnx
t tare export missing.safetensors -o a.onnx
t tare export a.tflite -o b.onnx
head -c 200 bands.safetensors > cut.safetensors
t tare export cut.safetensors -o b.onnx
printf '\377\377\377\377\377\377\377\177{}' > huge.safetensors
t tare export huge.safetensors -o b.onnx
# The first weight becomes NaN: the tensors' bytes are the file's last.
size=$(wc -c < bands.safetensors)
{ head -c $((size - 4)) bands.safetensors; printf '\000\000\300\177'; } > nan.safetensors
t tare export nan.safetensors -o b.tflite
ls
