# lib.sh: what the parts of the torture share. Source it from the root of the tree.

# small_data DIR: 100 training and 50 test images of 2 x 2 pixels, two classes, as IDX files.
small_data() {
    mkdir -p "$1"
    for part in train:100:144 t10k:50:062; do
        name=${part%%:*} rest=${part#*:}
        count=${rest%%:*} octal=${rest#*:}
        {
            printf '\000\000\010\003\000\000\000\'"$octal"'\000\000\000\002\000\000\000\002'
            i=0
            while [ $i -lt "$count" ]; do
                printf '\000\000\377\377\377\377\000\000'
                i=$((i + 2))
            done
        } >"$1/$name-images-idx3-ubyte"
        {
            printf '\000\000\010\001\000\000\000\'"$octal"
            i=0
            while [ $i -lt "$count" ]; do
                printf '\000\001'
                i=$((i + 2))
            done
        } >"$1/$name-labels-idx1-ubyte"
    done
}

# work_of FOLDER: what a campaign did, without what it measured: a line per record. What a busy machine
# made void was done all the same.
work_of() {
    jq -c 'select(.record != "resume" and .record != "end")
           | [.record, .index, .run, .task, .engine, .variant, .track, .dir, .of.index,
              (if .state == "void" then "ok" else .state end)]' "$1/samples.jsonl"
}
