# Data that is missing, wrong or short: which file, which byte, what to do.
mkdir mine other
t tare data --no-download --data nowhere
t tare data --no-download --data mine
printf 'not an IDX file' > mine/train-images-idx3-ubyte
t tare data --no-download --data mine
printf '\000\000\010\003\000\000\000\002\000\000\000\002\000\000\000\002abcdefgh' > other/train-images-idx3-ubyte
printf '\000\000\010\001\000\000\000\002\000\001' > other/train-labels-idx1-ubyte
cp other/train-images-idx3-ubyte other/t10k-images-idx3-ubyte
cp other/train-labels-idx1-ubyte other/t10k-labels-idx1-ubyte
t tare data --no-download --data other --json
printf '\000\000\010\003\000\000\000\002\000\000\000\002\000\000\000\002abc' > other/train-images-idx3-ubyte
t tare data --no-download --data other
printf '\000\000\010\001\000\000\000\003\000\001\001' > other/train-labels-idx1-ubyte
cp other/t10k-images-idx3-ubyte other/train-images-idx3-ubyte
t tare data --no-download --data other
