# Models that are not models, and wrong command lines. Figures are left out: they are measured.
t tare bench
t tare bench a.onnx b.onnx
t tare bench picture.png
t tare bench missing.onnx
: > empty.onnx
t tare bench empty.onnx
mkdir folder.tflite
t tare bench folder.tflite
t tare bench empty.onnx --engine native
t tare bench empty.onnx --engine litert/builtin
t tare bench x.safetensors --engine litert
t tare bench x.safetensors --engine native,native
t tare bench x.safetensors --engine ""
t tare bench x.safetensors --engine native,
t tare bench x.safetensors --queries 0
t tare bench x.safetensors --queries 1000001
t tare bench x.safetensors --runs 0
t tare bench x.safetensors --batches 8,x
t tare bench x.safetensors --batches 0
t tare bench x.safetensors --batches 1,,8
t tare bench x.safetensors --batches 65537
t tare bench x.safetensors --batches 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
t tare bench x.safetensors --threads 0 | sed 's/1 to [0-9]*/1 to N/'
t tare bench x.safetensors --data nowhere
# A set of the user's own, 2 x 2 pixels in two classes, and a net trained on it.
small_data mine
tare train -o bands.safetensors --data mine --batch 10 --epochs 2 > train.txt 2>&1 || echo "exit $?"
printf 'x' > broken.safetensors
t tare bench broken.safetensors --data mine
head -c 100 bands.safetensors > cut.safetensors
t tare bench cut.safetensors --data mine
t tare bench bands.safetensors --data mine --engine ../evil
tare bench bands.safetensors --data mine --queries 70 --runs 1 --batches 1,60 > table.txt 2> progress.txt || echo "exit $?"
cat progress.txt
grep -o 'needs [0-9,]*' table.txt
tare bench bands.safetensors --data mine --queries 11 --runs 1 --batches 1 --engine crash,native --json > bench.json 2> messages.txt
echo "exit $?"
jq -c '.format, .queries, [.rows[] | [.engine, .state]], (.rows[1].latency.needs)' bench.json
tail -n 1 messages.txt
