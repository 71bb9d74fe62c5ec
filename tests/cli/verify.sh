# tare verify: a results folder as it was written, and with one byte of each kind changed.
small_data mine
tare compare --data mine --engines null --runs 1 --epochs 1 --batch 10 --out sound > table.txt 2> messages.txt
verify() { echo "-- $1"; t tare verify "$2"; rm -rf changed; cp -r sound changed; }
verify "as it was written" sound
for file in jobs/0001-null-controlled-r0/job.json jobs/0001-null-controlled-r0/logits.npy jobs/0001-null-controlled-r0/weights.safetensors \
    runs/0/init.safetensors runs/0/order.npy report.md report.json report.csv; do
    printf '!' | dd of=changed/$file bs=1 seek=30 conv=notrunc 2> dd.txt
    verify "a byte of $file" changed
done
echo x > changed/jobs/0001-null-controlled-r0/stderr.log
verify "a log that was empty" changed
sed -i '1s/"batch":10/"batch":11/' changed/samples.jsonl
verify "a number in the samples" changed
sed -i '2d' changed/samples.jsonl
verify "a line less" changed
sed -i '$d' changed/samples.jsonl
verify "no last line" changed
printf '{"record":"jo' >> changed/samples.jsonl
verify "a torn line" changed
rm changed/runs/0/order.npy changed/report.csv
touch changed/jobs/mine
verify "two files missing, one more" changed
sed -i 's/,"chain":"[0-9a-f]*"//' changed/samples.jsonl
verify "samples without checksums" changed
rm changed/samples.jsonl
verify "no samples" changed
t tare verify nowhere
t tare verify
