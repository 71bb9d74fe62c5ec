# What a sweep says: of a made-up one (tests/oracle/sweep_vectors.py) to the letter, of a small real
# one without its figures; wrong command lines; one that is interrupted.
t tare sweep --report "$root/tests/vectors/sweep"
t tare sweep --report "$root/tests/vectors/sweep" --markdown
tare sweep --report "$root/tests/vectors/sweep" --json | jq 'del(.points[1:], .engines[1:], .engines[].cells[1:7])'
t tare sweep --report nowhere
t tare sweep --report "$root/tests/vectors/sweep" --runs 2
t tare sweep extra
t tare sweep --widths 16,x
t tare sweep --widths 0
t tare sweep --batches 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
t tare sweep --minutes 0
t tare sweep --minutes 20000
t tare sweep --runs 0
t tare sweep --threads 0 | sed 's/1 to [0-9]*/1 to N/'
t tare sweep --engines pytroch
t tare sweep --engines keras,keras
t tare sweep --engines onnxruntime
small_data mine
t tare sweep --data mine --engines native --widths 4,4
t tare sweep --data mine --engines native --batches 1,4096
t tare sweep --data mine --engines native --widths 4 --batches 1 --out mine
tare sweep --data mine --engines native,good --widths 8,4 --batches 1,50 --runs 1 --minutes 0.2 --out small > small.txt 2> messages.txt
echo "exit $?"
grep -v 'warning: other programs\|try: close\|: void: ' messages.txt | sed 's/: [0-9.]* s.*/: … s/; s/\] run 1: [a-z]*/] run 1: …/; s/run 1: [a-z]* (/run 1: … (/' | sort -u
ls small
jq -c 'select(.state != "void") | [.record, .run, .task, .state]' small/sweep.jsonl | sort -u
jq -c '[.format, .complete, (.engines | map([.engine, (.cells | map([.width, .batch, .gap]))]))]' small/sweep.json
tare sweep --report small > again.txt && cmp small.txt again.txt && echo "the same tables"
tare sweep --report small --json | cmp - small/sweep.json && echo "the same JSON"
tare sweep --report small --markdown | cmp - small/sweep.md && echo "the same Markdown"
t tare sweep --data mine --engines native --widths 4 --batches 1 --out small
# Ctrl-C in the middle of an engine that hangs when it is asked to: what was measured stays.
tare sweep --data mine --engines hesitant --widths 4 --batches 1 --runs 9 --minutes 1 --out cut > cut.txt 2> messages.txt &
pid=$!
while [ "$(grep -c '"task":"train"' cut/sweep.jsonl 2>/dev/null || :)" != 1 ]; do sleep 0.1; done
kill -TERM $pid
wait $pid
echo "exit $?"
tail -n 2 messages.txt
tail -n 1 cut/sweep.jsonl | jq -c '[.record, .complete]'
grep -c interrupted cut.txt
pgrep -f "tare-engine-hesitant.*$PWD" || echo "nothing is left of it"
