# The README's table is the report of the results folder in the repository, line by line.
tare report "$root/doc/results/mnist-6-runs" --format text > report.txt || echo "exit $?"
sed -n '/^## What it says/,/^## How it works/s/^    //p' "$root/README.md" | grep -v '^$' > table.txt
grep -c . table.txt > lines.txt
[ "$(cat lines.txt)" -ge 30 ] && echo "there is a table"
grep -vxFf report.txt table.txt
tare report "$root/doc/results/mnist-6-runs" --format markdown | cmp - "$root/doc/results/mnist-6-runs/report.md" && echo "report.md: same bytes"
tare report "$root/doc/results/mnist-6-runs" --format json | cmp - "$root/doc/results/mnist-6-runs/report.json" && echo "report.json: same bytes"
