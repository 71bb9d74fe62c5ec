# A user's own net and data, all the way: compare, report, train, predict. Figures are left out: they
# are measured.
small_data mine
tare compare --data mine --engines native --runs 2 --epochs 2 --batch 10 --out first > table.txt 2> messages.txt || echo "exit $?"
ls first
wc -l < first/samples.jsonl
mkdir again && cp first/samples.jsonl again
tare report again > again.txt || echo "exit $?"
for file in report.md report.json report.csv; do cmp first/$file again/$file && echo "$file: same bytes"; done
cmp table.txt again.txt && echo "table: same bytes"
t tare compare --data mine --engines native --out first
t tare compare --data mine --engines native --out /proc/nowhere
t tare compare --data mine --engines native --model "5 dense:2"
t tare compare --data mine --engines native --model "4 dnse:2"
t tare compare --data mine --engines native --batch 1000 --out unmade
tare compare --data mine --engines crash,native --runs 1 --epochs 1 --batch 10 --out second > table2.txt 2> messages2.txt
echo "exit $?"
grep -o 'crash (controlled): .*' messages2.txt | sed 's/[0-9.]* s$/… s/'
tare compare --data mine --dry-run --no-download --engines native --runs 2 --batch 10 --threads 1 --twice --out third | sed 's/^estimate.*/estimate …/'
ls
tare train -o bands.safetensors --data mine --batch 10 --epochs 2 --json > train.json 2> train.txt || echo "exit $?"
grep -c "^epoch" train.txt
sed 's/"train_s":[^,]*/"train_s":…/' train.json
tare train -o falling.safetensors --data mine --batch 10 --epochs 2 --schedule linear --json 2> /dev/null | sed 's/"train_s":[^,]*/"train_s":…/'
t tare train -o deaf.safetensors --data mine --batch 10 --epochs 1 --engine good --schedule linear
t tare report again --format csv > rows.csv
head -c 40 rows.csv
