# bench-native.jq: what the tables of scripts/bench-native.sh are made with. Bounds are an array of
# the lines of `bench_native machine` and bench/native_peak.py; ~ where nothing was measured.

def median: sort | if length == 0 then null else (.[(length - 1) / 2 | floor] + .[length / 2 | floor]) / 2 end;
def quantile(p): sort | .[p * (length - 1) | floor];
# Three significant digits.
def sig: if . == null then "~" elif . == 0 then 0 else . as $x
    | pow(10; 2 - ($x | fabs | log10 | floor)) as $by | ($x * $by | round) / $by end;
def percent: if . == null then "~" else "\(. * 1000 | round / 10) %" end;
def ratio_of($a; $b): if $a == null or $b == null then null else $a / $b end;

# A goal is printed, and whether it is reached; a missed one is no error.
def goal($what; $value; $holds; $wanted):
    "goal: \($what) \($wanted): " + if $value == null then "not measured"
        else "\($value | if type == "number" then sig else . end), \(if $holds then "reached" else "missed" end)" end;

# t quantile at 97.5 % by Cornish and Fisher's expansion (Abramowitz & Stegun 26.7.5): within 0.1 %
# from 5 degrees of freedom on. The 95 % interval of a mean of normal values.
def t975($nu): 1.959964 as $z | $z + ($z * $z * $z + $z) / (4 * $nu)
    + (5 * pow($z; 5) + 16 * pow($z; 3) + 3 * $z) / (96 * $nu * $nu)
    + (3 * pow($z; 7) + 19 * pow($z; 5) + 17 * pow($z; 3) - 15 * $z) / (384 * $nu * $nu * $nu);
def mean: add / length;
def mean_interval: . as $x | mean as $m | ($x | length) as $n
    | if $n < 2 then {mean: $m, half: null} else
      {mean: $m, half: (t975($n - 1) * (([$x[] | pow(. - $m; 2)] | add) / ($n - 1) / $n | sqrt))} end;

def mm($bounds; $threads): [$bounds[] | select(.bound == "mm" and .threads == $threads).gflops][0];
# Where a state of so many bytes lies that is shared among threads, and how fast that can be read and
# written in place.
def level($bounds; $threads; $bytes):
    [$bounds[] | select(.threads == $threads and .bound == "L2").bytes][0] as $l2
    | [$bounds[] | select(.threads == $threads and .bound == "L3").bytes][0] as $l3
    | if $bytes <= 2 * $l2 then "L2" elif $bytes <= 4 * $l3 then "L3" else "DRAM" end;
def in_place($bounds; $threads; $level):
    [$bounds[] | select(.threads == $threads and .bound == $level).in_place][0];

# Training jobs of the controlled track in a samples.jsonl, steady time an epoch: the steps after the
# first, over their number. Null where a job is not ok.
def epoch_jobs: (.[0]) as $experiment
    | [.[] | select(.record == "job" and .task == "train" and .track == "controlled")
           | ($experiment.dataset.train / .batch | floor) as $steps
           | {engine: (.engine + if .variant == "" then "" else "/" + .variant end), run, state, reason,
              peak_rss_bytes, steps_per_epoch: $steps,
              epoch_s: (if .state == "ok" then ([.phases[] | select(.name == "train").wall_ns] | add) / 1e9
                            * $steps / ($steps * $experiment.plan.epochs - 1) else null end)}];
# What of the cells never came to a training job.
def not_run: . as $all | epoch_jobs as $jobs
    | [$all[0].plan.cells[] | select(.track == "controlled") | .engine + if .variant == "" then "" else "/" + .variant end]
    | unique - [$jobs[] | select(.epoch_s != null).engine]
    | map(. as $e | "\($e) did not run: "
          + ([($all[] | select((.record == "job" or .record == "certificate") and .state != null and .state != "ok"
               and (.engine + if .variant == "" then "" else "/" + .variant end) == $e).reason), "not installed"][0]));
