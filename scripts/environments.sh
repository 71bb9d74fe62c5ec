#!/usr/bin/env bash
# environments.sh: one Python environment per framework, so that they don't fight and "megabytes
# installed" can be counted.
#
#   scripts/environments.sh make NAME|all   make what is missing, then write build/environments
#   scripts/environments.sh path NAME       the environment's python; exit 1 when it isn't there
#   scripts/environments.sh list            what there is
#   scripts/environments.sh clean           remove all environments
#
# They lie in ~/.cache/tare/env/NAME-HASH ($XDG_CACHE_HOME is honoured): HASH is of NAME's own pins,
# engines/requirements/NAME.txt, so that a changed pin remakes its environment and no other.
# TARE_PYTHON_TENSORFLOW, TARE_PYTHON_TORCH, TARE_PYTHON_JAX and TARE_PYTHON_RUNTIMES
# =/path/to/python use an existing one instead. build/environments has a line per environment:
# NAME PYTHON SITE_PACKAGES MEGABYTES.
set -u
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 3
self=$PWD/scripts/environments.sh
build=${BUILD:-build}
base=${XDG_CACHE_HOME:-$HOME/.cache}/tare/env
names="tensorflow torch jax runtimes"

# Measured on Debian 12, x86-64, Python 3.11: megabytes to download and megabytes installed, and a
# module that an environment must have.
facts() {
    case $1 in
    tensorflow) download_mb=335 installed_mb=1545 modules="tensorflow keras" ;;
    torch) download_mb=3045 installed_mb=5580 modules="torch torchvision onnxscript" ;;
    jax) download_mb=150 installed_mb=625 modules="jax jaxlib" ;;
    runtimes) download_mb=70 installed_mb=245 modules="onnxruntime ai_edge_litert" ;;
    *) die 2 "there is no environment \"$1\"" "one of: $names all" ;;
    esac
}

say() { printf '%s\n' "$*" >&2; }
die() { # CODE WHAT TRY
    say "environments: $2"
    say "  try: $3"
    exit "$1"
}

folder_of() { # NAME; sets dir
    local hash
    hash=$(sha256sum "engines/requirements/$1.txt") ||
        die 3 "engines/requirements/$1.txt cannot be read" "git checkout engines/requirements"
    dir=$base/$1-${hash:0:12}
}

override_name() { printf 'TARE_PYTHON_%s' "${1^^}"; }
override_of() { local variable; variable=$(override_name "$1"); printf '%s' "${!variable:-}"; }

# A finished environment has a file .complete: the real python it was made from, its site-packages,
# its megabytes. Without that file, or when that python has gone (a system upgrade), it is remade.
complete() { # NAME; sets real_python, site, megabytes
    local dir
    folder_of "$1"
    [ -f "$dir/.complete" ] &&
        { read -r real_python && read -r site && read -r megabytes; } <"$dir/.complete" &&
        [ "$(readlink -f "$dir/bin/python")" = "$real_python" ] && [ -x "$real_python" ] &&
        [ -d "$site" ]
}

python_of() { # NAME; sets python, or fails
    local dir
    python=$(override_of "$1")
    [ -n "$python" ] && return 0
    folder_of "$1"
    python=$dir/bin/python
    complete "$1"
}

check_override() { # NAME
    facts "$1"
    # shellcheck disable=SC2086 # modules is a list
    "$python" - $modules <<'PY' || die 1 "$(override_name "$1")=$python is of no use" \
        "unset $(override_name "$1"), or install engines/requirements/$1.txt there"
import importlib.util, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
sys.exit(f"environments: {sys.executable} lacks {' '.join(missing)}" if missing else 0)
PY
}

describe_override() { # sets site, megabytes
    site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') || return 1
    megabytes=$(du -sm "$site" | cut -f1)
}

pick_python() { # sets base_python
    local candidate
    for candidate in /usr/bin/python3 python3; do
        base_python=$(command -v "$candidate") || continue
        "$base_python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
        "$base_python" -c 'import ensurepip, venv' 2>/dev/null && return 0
    done
    die 1 "no Python 3.11 or newer with its venv module" "apt-get install python3 python3-venv"
}

# Runs in a process group of its own (start_one), so that an interrupt can end pip as well.
make_one() { # NAME BASE_PYTHON
    local name=$1 dir log begin=$SECONDS
    folder_of "$name"
    log=$dir.log
    exec 9>"$dir.lock"
    flock 9 # somebody else may be making the same one
    complete "$name" && return 0
    rm -rf "$dir"
    if ! "$2" -m venv "$dir" >"$log" 2>&1; then
        report_failure "$name" "$log" "$2 -m venv failed" "apt-get install python3-venv"
        return 1
    fi
    # Downloads go beside the environment: /tmp may be small, and this is the disk that was checked.
    mkdir "$dir/.tmp"
    if ! TMPDIR=$dir/.tmp "$dir/bin/python" -m pip install --no-input --no-deps --no-cache-dir \
        --disable-pip-version-check --progress-bar off \
        -r "engines/requirements/$name.txt" >>"$log" 2>&1 ||
        ! "$dir/bin/python" -m pip check >>"$log" 2>&1; then
        report_failure "$name" "$log" "pip failed" "check the network, the proxy, pip's settings,\
 then \"make engines\" again; or $(override_name "$name")=/path/to/python that has it"
        return 1
    fi
    rm -rf "$dir/.tmp"
    {
        readlink -f "$dir/bin/python"
        "$dir/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
        du -sm "$dir" | cut -f1
    } >"$dir/.complete.part" && mv "$dir/.complete.part" "$dir/.complete" || return 1
    say "environments: $name: done, $(sed -n 3p "$dir/.complete") MB in $((SECONDS - begin)) s"
}

report_failure() { # NAME LOG WHAT TRY
    say "environments: $1: $3; the last lines of $2:"
    tail -n 5 "$2" | cut -c1-300 | sed 's/^/    /' >&2
    say "  try: $4"
}

# Each line: what pip is at in an environment still being made.
show_progress() { # NAMES
    local name at dir
    while sleep 10; do
        for name in $1; do
            folder_of "$name"
            at=$(tail -n 1 "$dir.log" 2>/dev/null | sed 's/^ *//' | cut -c1-60)
            [ -z "$at" ] || [ -f "$dir/.complete" ] ||
                say "environments: $SECONDS s: $name: $at"
        done
    done
}

check_space() { # NAMES
    local name needed_mb=0 free_mb
    for name in $1; do
        facts "$name"
        needed_mb=$((needed_mb + download_mb + installed_mb))
        say "environments: $name: about $download_mb MB to download, $installed_mb MB installed"
    done
    mkdir -p "$base" || die 3 "$base cannot be made" "XDG_CACHE_HOME=/a/folder/you/can/write"
    [ -w "$base" ] || die 3 "$base cannot be written" "XDG_CACHE_HOME=/a/folder/you/can/write"
    free_mb=$(df -Pm "$base" | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -gt "$needed_mb" ] ||
        die 3 "$base has $free_mb MB free; $needed_mb MB are needed" \
            "free some, or XDG_CACHE_HOME=/a/larger/disk"
    say "environments: into $base ($free_mb MB free)"
}

end_all() { # PIDS, each the leader of a group
    local pid
    for pid in "$@"; do kill "$pid" && kill -- "-$pid"; done 2>/dev/null
}

start_all() { # NAMES; makes them side by side: one waits for the network while another unpacks
    local name pid failed=0 pids=""
    pick_python
    for name in $1; do
        setsid "$self" _make_one "$name" "$base_python" &
        pids="$pids $!"
    done
    setsid "$self" _show_progress "$1" &
    progress=$!
    # shellcheck disable=SC2064 # the process groups of now
    trap "end_all $pids $progress; exit 130" INT TERM
    for pid in $pids; do wait "$pid" || failed=1; done
    end_all "$progress"
    wait "$progress" 2>/dev/null
    trap - INT TERM
    return $failed
}

write_list() {
    local name
    mkdir -p "$build" || die 3 "$build cannot be made" "BUILD=/a/folder/you/can/write"
    for name in $names; do
        python_of "$name" || continue
        [ -z "$(override_of "$name")" ] || describe_override || continue
        printf '%s %s %s %s\n' "$name" "$python" "$site" "$megabytes"
    done >"$build/environments.$$"
    mv "$build/environments.$$" "$build/environments" ||
        die 3 "$build/environments cannot be written" "BUILD=/a/folder/you/can/write"
}

say_older() { # environments of other pins than today's take space too
    local name dir current=0
    for name in $names; do
        folder_of "$name"
        [ ! -d "$dir" ] || current=$((current + 1))
    done
    [ "$(find "$base" -mindepth 1 -maxdepth 1 -type d | wc -l)" -le "$current" ] ||
        say "environments: older ones lie in $base too; \"make clean-env\" removes them all"
}

make_environments() { # NAMES
    local name missing="" failed=0
    for name in $1; do
        facts "$name"
        if [ -n "$(override_of "$name")" ]; then
            python_of "$name"
            check_override "$name"
        else
            complete "$name" || missing="$missing $name"
        fi
    done
    if [ -n "$missing" ]; then
        check_space "$missing"
        start_all "$missing" || failed=1
        say_older
    fi
    write_list
    return $failed
}

list_environments() {
    local name
    for name in $names; do
        if python_of "$name"; then
            [ -z "$(override_of "$name")" ] || describe_override || continue
            printf '%-10s %5s MB  %s\n' "$name" "$megabytes" "$python"
        else
            facts "$name"
            printf '%-10s missing: "make engines" downloads about %s MB\n' "$name" "$download_mb"
        fi
    done
}

usage() { die 2 "usage: environments.sh make NAME|all, path NAME, list, clean" "names: $names"; }

case ${1:-} in
make)
    [ $# -eq 2 ] || usage
    [ "$2" = all ] && set -- make "$names"
    make_environments "$2"
    ;;
path)
    [ $# -eq 2 ] || usage
    facts "$2"
    python_of "$2" || die 1 "$2 is not installed" "make engines"
    printf '%s\n' "$python"
    ;;
list) list_environments ;;
clean) rm -rf "$base" "$build/environments" ;;
_make_one) make_one "$2" "$3" ;;
_show_progress) show_progress "$2" ;;
*) usage ;;
esac
