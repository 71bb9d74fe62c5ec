# A comparison that is cut short, carried on, and asked for again. Figures are left out: they are
# measured.
small_data mine
tare compare --data mine --engines native,null --runs 2 --epochs 1 --batch 10 --out whole > whole.txt 2> messages.txt || echo "exit $?"
work() { jq -c '[.record, .index, .run, .task, .engine, .state]' "$1/samples.jsonl"; }
cp -r whole cut
head -n 9 whole/samples.jsonl > cut/samples.jsonl
printf '{"record":"job","index":7' >> cut/samples.jsonl # as a crash leaves it
t tare verify cut | grep -v '^extra'
tare compare --resume cut > cut.txt 2> messages.txt
echo "exit $?"
grep -v 'warning: other programs\|try: close' messages.txt | sed 's/: [0-9.]* s.*/: … s/'
work cut > cut.work; work whole | diff - cut.work
t tare verify cut
tare compare --resume cut > again.txt
echo "exit $?"
cmp cut.txt again.txt && echo "the same table"
wc -l < cut/samples.jsonl
tare compare --resume cut --json > report.json && cmp report.json cut/report.json && echo "the same JSON"
t tare compare --resume cut --runs 3
t tare compare --resume nowhere
mkdir empty
t tare compare --resume empty
cp -r whole changed
head -n 9 whole/samples.jsonl > changed/samples.jsonl
echo >> changed/runs/0/order.npy
t tare compare --resume changed
cp -r whole moved
head -n 9 whole/samples.jsonl > moved/samples.jsonl
mv mine yours
tare compare --resume moved --no-download --data yours > moved.txt 2>&1 || echo "exit $?"
work moved > moved.work; work whole | diff - moved.work
printf '\001' | dd of=yours/train-labels-idx1-ubyte bs=1 seek=20 conv=notrunc 2>/dev/null
head -n 9 whole/samples.jsonl > changed/samples.jsonl
cp whole/runs/0/order.npy changed/runs/0/order.npy
t tare compare --resume changed --data yours
