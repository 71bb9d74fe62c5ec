# tare report --salvage: what is left of a damaged samples.jsonl; and what is said without it.
cp -r "$root/tests/compat/1-chain" sound
tare report sound > table.txt
damage() { echo; echo "-- $1"; rm -rf d; cp -r sound d; }
unchanged() { cmp d/report.json sound/report.json && cmp d/report.md sound/report.md && echo "no report was replaced"; }
top() { sed -n '1,/^As taught/p' | sed '1,5d;$d'; }
troubles() { sed -n "/^What didn't work/,/^Training/p" | grep -v '^Training'; }

damage "nothing"
tare report d --salvage | cmp - table.txt && echo "the same table"
tare report d --salvage --json | cmp - d/report.json && echo "the same report.json"

damage "a number in a run of PyTorch"
line=$(grep -n '"run":1,"task":"train","engine":"pytorch"' d/samples.jsonl | head -n 1 | cut -d: -f1)
sed -i "${line}s/\"wall_ns\":/&9/" d/samples.jsonl
tare report d > out.txt
top < out.txt
unchanged
tare report d --salvage > out.txt
top < out.txt
troubles < out.txt
tare report d --salvage --format markdown | grep "^Line"
tare report d --salvage --json | jq -c '[.complete, .salvaged, .misfits, [.rows[] | [.engine, .track, .runs_done, .complete, .rank]]]'
tare report d --salvage --format csv > out.csv
cut -d, -f2-4,6,7 out.csv
unchanged
tare verify d > out.txt
grep samples.jsonl: out.txt

damage "three lines that aren't JSON"
sed -i '5s/{/(/;6s/:/;/;12s/"/ /' d/samples.jsonl
t tare report d
tare report d --salvage | top
unchanged

damage "a line too few"
sed -i '9d' d/samples.jsonl
tare report d --salvage | top
damage "a line twice"
sed -i '9p' d/samples.jsonl
t tare report d
tare report d --salvage | top
damage "every other line"
sed -i '2~2s/"/ /3' d/samples.jsonl
tare report d --salvage | top

damage "the last line is torn, and another is damaged"
truncate -s -20 d/samples.jsonl
sed -i '7s/0/1/' d/samples.jsonl
tare report d --salvage > out.txt
top < out.txt
grep "ends in the middle" out.txt

damage "the first line, though it can be read"
sed -i '1s/"batch":32/"batch":33/' d/samples.jsonl
tare report d | top
t tare report d --salvage
damage "the first line"
sed -i '1s/^./[/' d/samples.jsonl
t tare report d
t tare report d --salvage
damage "no first line"
sed -i '1d' d/samples.jsonl
t tare report d --salvage

damage "no checksums: read as it is"
cp "$root/tests/compat/1-plain/samples.jsonl" d
tare report d --format text > out.txt
tare report d --salvage | cmp - out.txt && echo "the same table"
sed -i '5s/{/(/' d/samples.jsonl
t tare report d --salvage
