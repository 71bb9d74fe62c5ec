# lib.sh: what the parts of the torture share. Source it from the root of the tree.

. tests/small_data.sh

# work_of FOLDER: what a campaign did, without what it measured: a line per record. What a busy machine
# made void was done all the same.
work_of() {
    jq -c 'select(.record != "resume" and .record != "end")
           | [.record, .index, .run, .task, .engine, .variant, .track, .dir, .of.index,
              (if .state == "void" then "ok" else .state end)]' "$1/samples.jsonl"
}
