#!/bin/sh
# check-arrows.sh: the dependency arrows of ARCHITECTURE.md, checked on every #include:
#
#     base  <-  data, net  <-  kernel  <-  engine, export  <-  lab  <-  report  <-  cli
#
# A file may include the headers of its own module and of modules to its left. Engines see
# include/tare/ only, and their own *_abi.h. Nothing of tare links a framework.
set -eu
cd "$(dirname "$0")/.."

# The module that owns a public header.
owner() {
    case $1 in
        array|buf|children|clock|environment|err|machine|model_io|rng|safetensors|version|words) echo base ;;
        data|digit) echo data ;;
        net|optimizer) echo net ;;
        train|native) echo engine ;;
        export) echo export ;;
        bench|certify|disagree|engine|lab|latency|parity|protocol|row|stats|summary|supervise|sweep|verify) echo lab ;;
        report) echo report ;;
        *) echo "check-arrows: include/tare/$1.h has no owner; add it to scripts/check-arrows.sh" >&2
           echo unknown ;;
    esac
}
rank() {
    case $1 in
        base) echo 0 ;;
        data|net) echo 1 ;;
        kernel) echo 2 ;;
        engine|export) echo 3 ;;
        lab) echo 4 ;;
        report) echo 5 ;;
        cli|engines) echo 6 ;;
        *) echo 9 ;;
    esac
}

bad=0
complain() {
    echo "check-arrows: $1" >&2
    bad=$((bad + 1))
}

checked=0
for file in src/*/*.[ch] cli/*.[ch] engines/*.[ch]; do
    [ -f "$file" ] || continue
    case $file in
        src/*) module=${file#src/}; module=${module%%/*} ;;
        *) module=${file%%/*} ;;
    esac
    for header in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
        checked=$((checked + 1))
        case $header in
            tare/*)
                name=${header#tare/}
                from=$(owner "${name%.h}")
                if [ "$from" != "$module" ] && [ "$(rank "$from")" -ge "$(rank "$module")" ]; then
                    complain "$file includes $header: $from is not to the left of $module"
                fi ;;
            */*) # a private header; src/ is on the include path
                from=${header%%/*}
                if [ ! -f "src/$header" ] || [ "$module" = engines ] ||
                   { [ "$from" != "$module" ] && [ "$(rank "$from")" -ge "$(rank "$module")" ]; }; then
                    complain "$file includes $header: $from is not to the left of $module"
                fi ;;
            *.inc) ;;
            *) [ -f "$(dirname "$file")/$header" ] || complain "$file includes $header: not in its folder" ;;
        esac
    done
done
for program in build/tare build/tare-engine-native; do
    [ -f "$program" ] || continue
    if ldd "$program" | grep -E 'tensorflow|torch|onnxruntime|LiteRt|libpython|libstdc\+\+'; then
        complain "$program links a framework"
    fi
done
[ "$checked" -gt 100 ] || complain "only $checked includes found: is this the source tree?"
[ "$bad" -eq 0 ] || exit 1
echo "$checked includes point the right way"
