# Samples of every version of the format: read as they always were, and what verify says of them.
for folder in "$root"/tests/compat/*/; do
    name=$(basename "$folder")
    echo "== $name"
    cp -r "$folder" "$name"
    t tare report "$name" --format text
    tare report "$name" --format json > now.json
    echo "-- of the report of its time, this is said otherwise now:"
    jq -rn --slurpfile old "$name/report.json" --slurpfile new now.json '$old[0] as $was | $new[0] as $is | $was | paths(scalars) as $p
        | select((try ($is | getpath($p)) catch "gone") != ($was | getpath($p)))
        | "\($p | map(tostring) | join(".")): \($was | getpath($p) | tojson), now \(try ($is | getpath($p)) catch "gone" | tojson)"'
    echo "-- its lines, by tare verify (the other files of the folder aren't kept):"
    rm "$name/report.json"
    tare verify "$name" > verified.txt 2> why.txt
    echo "exit $?"
    grep '^[a-z]* *samples\.jsonl' verified.txt && echo "they don't fit" || grep -o '[0-9]* lines of samples' verified.txt
    grep checksums why.txt
done
