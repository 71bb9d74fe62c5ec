#!/usr/bin/env bash
# bench-native.sh BUILD [PART...]: what tare's native engine reaches, beside the engines that are
# installed and beside what the machine could do at best. How to read it: doc/bench-native.md. Wants
# a quiet machine; all parts take about a quarter of an hour. Parts, in the order they are run:
#
#   engines       a controlled epoch in every engine, interleaved, at batch 32 and 128
#   memory        peak memory of those runs
#   bounds        arithmetic and traffic of a step, beside the machine's bounds
#   phases        where a step's time goes
#   data          how it depends on the data, by set of kernels
#   wide          1,024 hidden units, dense data, beside LibTorch
#   instructions  instructions a sample, counted by valgrind
#   exec          a whole training from exec to exit, 30 seeds
#   infer         one image and 10,000 on one core, beside LiteRT and ONNX Runtime
#   int8          the same net in int8 beside float32, in one process
#   recipe        (only when named) what the recipe of `exec` was chosen from
#
# RUNS (6) interleaved runs, EPOCHS (5) of each, SEEDS (30) of exec. Goals are printed, reached or
# missed; the exit code is about what couldn't be measured at all. Everything printed is in
# BUILD/bench-native.json too.
set -eu -o pipefail
cd "$(dirname "$0")/.."
build=$1
shift
default_parts="engines memory bounds phases data wide instructions exec infer int8"
parts=${*:-$default_parts}
runs=${RUNS:-6} epochs=${EPOCHS:-5} seeds=${SEEDS:-30}
cpus=$(nproc)
bench=$build/bench_native
engines=native,tensorflow/xla-epoch,tensorflow/step,libtorch,jax,keras,pytorch/indexed
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/done"
unset TARE_ENGINE_PATH

# The recipe that `exec` trains with: of the candidates of `recipe` whose mean accuracy on the images
# that were held out is 97.15 % or more, the fastest.
recipe_batch=128 recipe_lr=0.024 recipe_epochs=2

command -v jq >/dev/null || {
    echo "bench-native: the tables are made with jq; try: scripts/packages.sh bench" >&2
    exit 3
}
say() { printf 'bench-native: %s\n' "$*" >&2; }
# What the last command said of its failure, without its advice.
why() { sed -n 's/^tare: //p' "$scratch/log" | tail -n 1; }

# Time of all processors so far, in all and what the host gave to others.
processor_time() { awk '$1 == "cpu" { print $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9, $9 }' /proc/stat; }

# Reads {title, columns, rows, notes}; prints it and keeps it for the JSON, with what the host took
# since the part began: a virtual machine has no more than it is given.
table() {
    local before now
    read -ra before <<<"$part_began"
    read -ra now < <(processor_time)
    jq --argjson all "$((now[0] - before[0]))" --argjson stolen "$((now[1] - before[1]))" -L scripts \
        'include "bench-native"; .notes += ["the host took \(ratio_of($stolen; [$all, 1] | max) | percent) of the processors'"'"' time meanwhile"]' |
        tee "$scratch/done/$(printf %02d "$(ls "$scratch/done" | wc -l)").json" |
        jq -r '(["T", .title] | @tsv), (["R"] + .columns | @tsv), (.rows[] | ["R"] + . | @tsv),
               ((.notes // [])[] | ["N", .] | @tsv)' |
        awk -F'\t' '
            { line[NR] = $0 }
            $1 == "R" { for (i = 2; i <= NF; i++) if (length($i) > width[i]) width[i] = length($i) }
            END {
                for (l = 1; l <= NR; l++) {
                    n = split(line[l], cell, "\t")
                    if (cell[1] == "T") print "\n" cell[2]
                    else if (cell[1] == "N") print "  " cell[2]
                    else {
                        out = ""
                        for (i = 2; i <= n; i++)
                            out = out sprintf(i == 2 ? "  %-" width[i] "s" : "  %" width[i] "s", cell[i])
                        print out
                    }
                }
            }'
}

# FILTER ARGS...: jq with the functions of bench-native.jq; $bounds where they were measured.
query() {
    local filter=$1
    shift
    [ -f "$scratch/bounds.jsonl" ] || : >"$scratch/bounds.jsonl"
    jq -L scripts --slurpfile bounds "$scratch/bounds.jsonl" --argjson cpus "$cpus" \
        "include \"bench-native\"; $filter" "$@"
}

# The matrix-multiply peak, if it can be measured: a line of JSON for one thread and for all.
measure_peak() {
    local python
    python=${TARE_PYTHON_TORCH:-$(sed -n 's|^torch \(/.*\) /.*|\1|p' "$build/environments" 2>/dev/null)}
    if [ -n "$python" ]; then
        "$python" bench/native_peak.py "$cpus"
    else
        say "no torch environment: the matrix-multiply peak is left out"
    fi
}

measure_bounds() {
    [ ! -s "$scratch/bounds.jsonl" ] || return 0
    say "the machine's bounds"
    "$bench" machine "$cpus" >"$scratch/bounds.jsonl"
    measure_peak >>"$scratch/bounds.jsonl"
    query '{title: "What the machine could do (best of several)",
        columns: ["", "threads", "", "copy", "triad", "in place"],
        rows: [$bounds[] | if .bound == "clock" then ["clock, GHz", "", .ghz, "", "", ""]
               elif .bound == "mm" then ["torch.mm n = 2048, GFLOP/s", .threads, .gflops, "", "", ""]
               else ["\(.bound), \(.bytes / 1000 | round) kB, GB/s", .threads, "", .copy, .triad, .in_place] end]}' -n | table
}

# A step of the study's net, for what it computes and moves.
measure_step() {
    [ -f "$scratch/step.jsonl" ] || "$bench" cells --rounds 1 --steps 1 mnist,32,best,1 mnist,128,best,1 >"$scratch/step.jsonl"
}

# BATCH: one interleaved comparison. What runs deployed models is left out.
compare() {
    [ ! -f "$scratch/batch-$1/samples.jsonl" ] || return 0
    say "tare compare at batch $1, $runs runs of $epochs epochs"
    TARE_PYTHON_RUNTIMES=$scratch/none "$build/tare" compare --track controlled --engines "$engines" --batch "$1" \
        --runs "$runs" --epochs "$epochs" --out "$scratch/batch-$1" >/dev/null 2>"$scratch/log" ||
        say "not every job was ok: $(why)"
    [ -f "$scratch/batch-$1/samples.jsonl" ] || {
        cat "$scratch/log" >&2
        exit 1
    }
}

part_engines() {
    local batch
    measure_bounds
    measure_step
    for batch in 32 128; do
        compare "$batch"
        query '. as $samples | epoch_jobs as $jobs | not_run as $missing
            | [$step[] | select(.batch == $batch).step_flops][0] as $flops
            | def ok($e): [$jobs[] | select(.engine == $e and .epoch_s != null).epoch_s];
              def pairs($e): [$jobs[] | select(.engine == $e and .epoch_s != null) as $job
                  | $jobs[] | select(.engine == "native" and .run == $job.run and .epoch_s != null) | $job.epoch_s / .epoch_s];
            [$jobs[] | select(.epoch_s != null).engine] | unique | sort_by(ok(.) | median) as $order
            | ($order - ["native"])[0] as $fastest
            | (if $fastest == null then null else pairs($fastest) | median end) as $lead
            | {title: "Controlled track, Adam, batch \($batch), \($cpus) threads: steady seconds an epoch, \($samples[0].plan.runs) interleaved runs of \($samples[0].plan.epochs) epochs",
               columns: ["engine", "s/epoch", "range", "times native", "range", "GFLOP/s dense", "of torch.mm"],
               rows: [$order[] | . as $e | ok($e) as $t | pairs($e) as $r
                   | ($flops * ([$jobs[] | select(.engine == $e).steps_per_epoch][0]) / ($t | median) / 1e9) as $gflops
                   | [$e, ($t | median | sig), "\($t | min | sig)...\($t | max | sig)", ($r | median | sig),
                      (if $r == [] then "~" else "\($r | min | sig)...\($r | max | sig)" end), ($gflops | sig),
                      (ratio_of($gflops; mm($bounds; $cpus)) | percent)]],
               notes: ($missing + [goal("the fastest other (\($fastest)) over native"; $lead; $lead >= 5; "at least 5 times"),
                       goal("the same, moonshot"; $lead; $lead >= 10; "at least 10 times")])}' \
            -s --argjson batch "$batch" --slurpfile step "$scratch/step.jsonl" "$scratch/batch-$batch/samples.jsonl" | table
    done
}

part_memory() {
    compare 32
    query '. as $samples | not_run as $missing | [epoch_jobs[] | select(.epoch_s != null)] | group_by(.engine)
        | map({engine: .[0].engine, mb: (map(.peak_rss_bytes / 1e6) | median)}) | sort_by(.mb)
        | [.[] | select(.engine == "native").mb][0] as $native | [.[] | select(.engine != "native")][0] as $leanest
        | ratio_of($native; $leanest.mb) as $part
        | {title: "Peak memory of a training, batch 32: median of \($samples[0].plan.runs) runs",
           columns: ["engine", "MB", "times native"], rows: map([.engine, (.mb | sig), (ratio_of(.mb; $native) | sig)]),
           notes: ($missing + [goal("native over the leanest other (\($leanest.engine))"; $part; $part <= 0.2; "at most 1/5")])}' \
        -s "$scratch/batch-32/samples.jsonl" | table
}

part_bounds() {
    measure_bounds
    say "steps of the study's net"
    "$bench" cells --rounds "$runs" mnist,32,best,1 mnist,32,best,"$cpus" mnist,128,best,1 mnist,128,best,"$cpus" |
        query '{title: "A step of the native engine on MNIST and the machine'"'"'s bounds: median of '"$runs"' rounds",
            columns: ["batch", "threads", "us/step", "range", "GFLOP/s dense", "of torch.mm", "state MB/step", "GB/s", "in place GB/s", "of it"],
            rows: map(level($bounds; .threads; .state_total) as $level | in_place($bounds; .threads; $level) as $bound
                | [.batch, .threads, (.step_ns / 1000 | sig), "\(.lo / 1000 | sig)...\(.hi / 1000 | sig)",
                   (.step_flops / .step_ns | sig), (ratio_of(.step_flops / .step_ns; mm($bounds; .threads)) | percent),
                   (.state_bytes / 1e6 | sig), (.state_bytes / .step_ns | sig), "\($level) \($bound | sig)",
                   (ratio_of(.state_bytes / .step_ns; $bound) | percent)]),
            notes: ["dense: 3 forward passes less the gradient of the first layer'"'"'s inputs, zeros counted; state: Adam'"'"'s p, m, v read and written, less the rows of pixels that are never lit"]}' -s | table
}

part_phases() {
    local cells=() batch threads
    for batch in 32 128; do
        for threads in $(printf '1\n%s\n' "$cpus" | sort -un); do
            cells+=("mnist,$batch,best,$threads" "mnist,$batch,best,$threads,phases")
        done
    done
    say "phases"
    "$bench" cells --rounds "$runs" "${cells[@]}" |
        query '. as $all | def us: . / 1000 | sig;
            {title: "Where a step'"'"'s time goes, MNIST, us a step: means of '"$runs"' rounds",
             columns: ["batch", "threads", "thread", "first layer", "behind, loss", "prepare", "wait", "sum", "wall", "sum of wall", "measured / not"],
             rows: [$all[] | select(.phases) as $c | $c
                 | ([$all[] | select(.phases == null and .batch == $c.batch and .threads == $c.threads).step_ns][0]) as $without
                 | .phases | to_entries[] | .key as $t | .value
                 | (.first + .behind + .prepare + .wait) as $sum
                 | [$c.batch, $c.threads, $t, (.first | us), (.behind | us), (.prepare | us), (.wait | us), ($sum | us),
                    ($c.wall_ns | us), ($sum / $c.wall_ns | percent), ($c.step_ns / $without * 1000 | round / 1000)]],
             notes: [([$all[] | select(.phases) as $c | .phases[] | (.first + .behind + .prepare + .wait) / $c.wall_ns - 1 | fabs] | max) as $off
                     | goal("the phases add up to the wall time within"; $off | percent; $off <= 0.02; "2 %")]}' -s | table
}

part_data() {
    local cells=() data batch kernels threads
    measure_bounds
    for data in mnist dense full; do
        for batch in 32 128; do
            for kernels in $("$bench" kernels | grep -v reference); do
                for threads in $(printf '1\n%s\n' "$cpus" | sort -un); do
                    cells+=("$data,$batch,$kernels,$threads")
                done
            done
            cells+=("$data,$batch,plain,1")
        done
    done
    say "data and kernels"
    "$bench" cells --rounds "$runs" --ms 100 "${cells[@]}" |
        query 'def name: {mnist: "MNIST", dense: "random bytes", full: "all 255"}[.];
            {title: "How the time depends on the data: median of '"$runs"' rounds; a group is four neighbouring pixels",
             columns: ["data", "lit pixels", "lit groups", "batch", "kernels", "threads", "first layer", "us/step", "range", "s/epoch", "GFLOP/s dense", "of torch.mm"],
             rows: map([(.data | name), (.pixels | percent), (.groups | percent), .batch,
                 (if .kernels == "plain" then "native/reference" else .kernels end), .threads, .first_layer,
                 (.step_ns / 1000 | sig), "\(.lo / 1000 | sig)...\(.hi / 1000 | sig)",
                 (.step_ns * (.examples / .batch | floor) / 1e9 | sig), (.step_flops / .step_ns | sig),
                 (ratio_of(.step_flops / .step_ns; mm($bounds; .threads)) | percent)])}' -s | table
}

# ENGINE EPOCHS: seconds that training takes, of a job through the engine.
train_wide() {
    "$build/tare" train --engine "$1" --epochs "$2" --batch 128 --model "$wide" --data "$scratch/wide" \
        -o "$scratch/wide.safetensors" --json 2>"$scratch/log" | jq .train_s
}

part_wide() {
    local wide="784 dense:1024:relu dense:10" steps=50 run engine few many
    "$bench" random "$scratch/wide" 784 $((steps * 128 + 1000))
    say "1,024 hidden units"
    for run in $(seq "$runs"); do
        measure_peak | jq -c "select(.threads == $cpus) | {run: $run, name: \"mm\", gflops}"
        "$bench" cells --rounds 1 --ms 1000 --model "$wide" dense,128,best,"$cpus",phases |
            jq -c "{run: $run, name: \"cell\", step_s: (.step_ns / 1e9), step_flops, first_s: ([.phases[].first] | add / length / 1e9), first_gemm_flops}"
        for engine in native libtorch; do
            if few=$(train_wide "$engine" 2) && many=$(train_wide "$engine" 8); then
                jq -nc --arg name "$engine" "{run: $run, \$name, step_s: (($many - $few) / (6 * $steps))}"
            else
                say "$engine: $(why)"
            fi
        done
    done >"$scratch/wide.jsonl"
    query '. as $all | [$all[] | select(.name == "cell")] as $cells | $cells[0].step_flops as $flops
        | [$cells[] | {run, name: "first", step_s: .first_s}] as $firsts
        | def rows($n): if $n == "first" then $firsts else [$all[] | select(.name == $n)] end;
          def paired($n; $other; f): [rows($n)[] as $x | $all[] | select(.name == $other and .run == $x.run) | [$x, .] | f];
          def row($n; $what; $work): rows($n) | map(.step_s * 1e6) | select(length > 0)
              | paired($n; "mm"; $work / .[0].step_s / 1e9 / .[1].gflops) as $part
              | [$what, (median | sig), "\(min | sig)...\(max | sig)", ($work / median / 1000 | sig),
                 (if $part == [] then null else $part | median end | percent),
                 (if $part == [] then "~" else "\($part | min | percent)...\($part | max | percent)" end)];
        paired("libtorch"; "native"; .[0].step_s / .[1].step_s) as $pairs
        | paired("first"; "mm"; $cells[0].first_gemm_flops / .[0].step_s / 1e9 / .[1].gflops) as $gemms
        | (if $gemms == [] then null else $gemms | median end) as $part
        | (if $pairs == [] then null else $pairs | median end) as $ratio
        | {title: "784-1024-10, batch 128, random dense bytes, \($cpus) threads: a steady step, '"$runs"' interleaved runs; torch.mm of the same run",
           columns: ["", "us/step", "range", "GFLOP/s", "of torch.mm", "range"],
           rows: [row("native"; "native"; $flops), row("libtorch"; "libtorch"; $flops), row("cell"; "native, its library alone"; $flops),
                  row("first"; "of that the first layer: 2 GEMMs with the update"; $cells[0].first_gemm_flops)],
           notes: ["torch.mm n = 2048: \(rows("mm") | map(.gflops) | if . == [] then "not measured" else "\(median | sig) GFLOP/s, \(min | sig)...\(max | sig)" end)",
                   (if $pairs == [] then "libtorch did not run" else "LibTorch over native: \($pairs | min | sig)...\($pairs | max | sig)" end),
                   goal("LibTorch over native, median of pairs"; $ratio; $ratio >= 1; "at least 1 time"),
                   goal("the first layer'"'"'s GEMMs, update included, of torch.mm"; $part; $part >= 0.8; "at least 0.8")]}' \
        -s "$scratch/wide.jsonl" | table
}

# KERNELS STEPS: instructions of a process that trains so many steps of 32.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" cells --rounds 1 --steps "$2" "mnist,32,$1,1" \
        2>&1 >/dev/null | sed -n 's/^==.*Collected : //p'
}

part_instructions() {
    local kernels few=50 many=150
    if ! command -v valgrind >/dev/null; then
        say "no valgrind (scripts/packages.sh bench): instructions are left out"
        return
    fi
    say "instructions, under valgrind"
    # Valgrind 3.19 knows no AVX-512.
    for kernels in plain $("$bench" kernels | grep avx2 || :); do
        echo "{\"kernels\":\"$kernels\",\"few\":$(instructions "$kernels" $few),\"many\":$(instructions "$kernels" $many)}"
    done |
        query 'map(. + {each: ((.many - .few) / $images)})
            | ([.[] | select(.kernels == "plain").each][0]) as $plain
            | {title: "Instructions a sample of training, MNIST, batch 32, 1 thread, by callgrind: the difference of two run lengths over \($images) samples",
               columns: ["kernels", "instructions", "of the reference"],
               rows: map([(if .kernels == "plain" then "native/reference" else .kernels end), (.each | round), (.each / $plain | percent)])}' -s --argjson images $(((many - few) * 32)) | table
}

# SEED DATA_OPTIONS...: one whole process, as a line of JSON with its seconds from exec to exit.
train_once() {
    local seed=$1 start
    shift
    start=$EPOCHREALTIME
    "$build/tare" train --json --seed "$seed" --no-download -o "$scratch/exec.safetensors" "$@" \
        2>"$scratch/log" >"$scratch/exec.json" || {
        cat "$scratch/log" >&2
        return 1
    }
    jq -c --argjson s "$(jq -n "$EPOCHREALTIME - $start")" '{s: $s, accuracy: (.correct / .total)}' "$scratch/exec.json"
}

# MNIST's training images, the last 10,000 of them held out.
split() {
    [ -d "$scratch/split" ] || "$bench" split "$scratch/split"
}

part_recipe() {
    local batch lr n seed
    split
    say "candidates, on 50,000 training images and 10,000 held out of them"
    for batch in 32 64 96 128; do
        for lr in 0.006 0.012 0.018 0.024; do
            for n in 1 2 3; do
                for seed in 101 102 103 104 105 106; do
                    train_once $seed --data "$scratch/split" --batch $batch --lr $lr --schedule linear --epochs $n |
                        jq -c --arg name "$batch $lr $n" '. + {name: $name}'
                done
            done
        done
    done |
        query 'group_by(.name) | map({name: .[0].name, s: (map(.s) | median), accuracy: (map(.accuracy) | mean), worst: (map(.accuracy) | min)})
            | sort_by(.s) | {title: "Candidates for a recipe: trained on 50,000 training images, 10,000 held out, 6 seeds; schedule linear; test images unread",
               columns: ["batch", "lr", "epochs", "s, exec to exit", "held-out accuracy", "worst seed"],
               rows: map((.name | split(" ")) + [(.s | sig), (.accuracy * 10000 | round / 100), (.worst * 10000 | round / 100)]),
               notes: ["the recipe that exec takes: batch '"$recipe_batch, lr $recipe_lr, epochs $recipe_epochs"'; wanted: the fastest with a margin over 97 %"]}' -s | table
}

part_exec() {
    local seed recipe=(--batch "$recipe_batch" --lr "$recipe_lr" --schedule linear --epochs "$recipe_epochs")
    say "from exec to answer, $seeds seeds"
    train_once 0 "${recipe[@]}" >/dev/null # what is kept of the data between processes is made here
    for seed in $(seq "$seeds"); do
        train_once "$seed" "${recipe[@]}"
    done |
        query '(map(.s) | mean_interval) as $s | (map(.accuracy * 100) | mean_interval) as $a
            | {title: "tare train from exec to exit: 60,000 images, batch '"$recipe_batch, lr $recipe_lr, linear schedule, $recipe_epochs epochs"'; \(length) seeds, means and 95 % t intervals",
               columns: ["", "mean", "95 % +-", "least", "most"],
               rows: [["accuracy, %", ($a.mean * 100 | round / 100), ($a.half * 1000 | round / 1000), (map(.accuracy) | min * 10000 | round / 100), (map(.accuracy) | max * 10000 | round / 100)],
                      ["seconds", ($s.mean | sig), ($s.half | sig), (map(.s) | min | sig), (map(.s) | max | sig)]],
               notes: [goal("mean accuracy"; $a.mean; $a.mean >= 97; "at least 97 %"),
                       goal("mean seconds, exec to exit"; $s.mean; $s.mean <= 0.25; "at most 0.25")]}' -s | table
}

# A row per runtime of the same weights. Another runtime, or a model in another precision, is a line
# here: name, precision, file.
infer_rows="native float32 digits.safetensors
LiteRT float32 digits.tflite
ONNX-Runtime float32 digits.onnx"

part_infer() {
    local run name precision file
    say "inference"
    "$build/tare" train --epochs 1 -o "$scratch/digits.safetensors" >/dev/null 2>"$scratch/log"
    for file in digits.onnx digits.tflite; do
        "$build/tare" export "$scratch/digits.safetensors" -o "$scratch/$file" >/dev/null 2>"$scratch/log" ||
            say "$file: $(why)"
    done
    for run in $(seq "$runs"); do # a runtime that isn't there has no row
        while read -r name precision file; do
            "$build/tare" bench "$scratch/$file" --threads 1 --batches 10000 --json 2>"$scratch/log" |
                jq -c --arg name "$name" --arg precision "$precision" --argjson run "$run" '.rows[0]
                    | select(.state == "ok") | {name: $name, precision: $precision, run: $run, p50: (.latency.p50_s * 1e6),
                       p99: (.latency.p99_s * 1e6), images: .throughput[0].images_per_s}' ||
                say "$name: $(why)"
        done <<<"$infer_rows"
    done |
        query 'group_by([.name, .precision]) | map({name: .[0].name, precision: .[0].precision, p50: (map(.p50) | median),
                p99: (map(.p99) | median), images: (map(.images) | median)}) | . as $all
            | def of($n): [$all[] | select(.name == $n and .precision == "float32")][0];
            of("native") as $n | of("LiteRT") as $l | of("ONNX-Runtime") as $o
            | {title: "Inference of the study'"'"'s net, one core: median of '"$runs"' interleaved runs of 7,000 single images, and 10,000 at once",
               columns: ["", "precision", "p50 us", "p99 us", "images/s", "p50 over native", "images/s of native"],
               rows: map([.name, .precision, (.p50 | sig), (.p99 | sig), (.images | round), (ratio_of(.p50; $n.p50) | sig), (ratio_of(.images; $n.images) | percent)]),
               notes: [goal("p50 of native over LiteRT'"'"'s"; ratio_of($n.p50; $l.p50); ratio_of($n.p50; $l.p50) <= 0.2; "at most 1/5"),
                       goal("p99 of native over its p50"; ratio_of($n.p99; $n.p50); ratio_of($n.p99; $n.p50) <= 2; "at most 2"),
                       goal("images/s of native over ONNX Runtime'"'"'s"; ratio_of($n.images; $o.images); ratio_of($n.images; $o.images) >= 3; "at least 3")]}' -s | table
}

part_int8() {
    say "int8"
    split
    "$build/tare" train --data "$scratch/split" --epochs 2 -o "$scratch/int8.safetensors" >/dev/null 2>"$scratch/log"
    "$build/bench_int8" "$scratch/split" "$scratch/int8.safetensors" --json |
        query '[.[] | select(.name == "int8").p50][0] as $p50
            | {title: "Inference in int8 by the library, one thread, bytes in, logits out, best of 100 rounds of 1,000 single images: ns",
               columns: ["", "p50, with the clock", "p99", "each, in a loop", "each of 10,000", "all 255", "accuracy on images held out, %"],
               rows: map([.name, .p50, .p99, .loop, .many, .all_lit, (if .accuracy > 0 then .accuracy else "" end)]),
               notes: ["float32 here takes floats that are ready; what LiteRT takes for one is in the table above",
                       goal("p50 of int8, ns"; $p50; $p50 <= 150; "at most 150")]}' -s | table
}

for part in $parts; do
    case " $default_parts recipe " in
        *" $part "*) ;;
        *)
            say "there is no part $part; try: $default_parts recipe"
            exit 2
            ;;
    esac
done
for part in $parts; do
    part_began=$(processor_time)
    "part_$part"
done
jq -s --slurpfile bounds <(cat "$scratch/bounds.jsonl" 2>/dev/null) '{format: "tare-bench-native/1", bounds: $bounds, tables: .}' \
    "$scratch"/done/*.json >"$build/bench-native.json"
