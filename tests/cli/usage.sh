# Wrong command lines: exit 2, the nearest word, nothing done.
t tare
t tare comapre
t tare xyzzy
t tare --version
t tare compare --rnus 3
t tare compare --runs
t tare compare --runs three
t tare compare --runs 0
t tare compare --epochs -1
t tare compare --threads 100000 | sed 's/1 to [0-9]*/1 to N/'
t tare compare --engines pytroch
t tare compare --engines native,native
t tare compare --engines ""
t tare compare extra
t tare train
t tare train -o
t tare train -o x.safetensors --engine ../evil
t tare train -o x.safetensors --lr nan
t tare train -o x.safetensors --schedule liner
t tare report
t tare report a b
t tare report . --format pfd
t tare data minst
t tare predict
t tare predict x.jpg y.png
t tare predict x.onnx y.png --size 28
t tare doctor now
ls
