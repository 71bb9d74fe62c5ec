# small_data.sh: the smallest data set that is one, for tests in shell. To be sourced.

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
