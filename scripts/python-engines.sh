#!/usr/bin/env bash
# python-engines.sh BUILD ENGINE…: writes BUILD/tare-engine-ENGINE, which runs
# engines/ENGINE_engine.py with the python of its framework's environment (environments.sh).
# Scripts are named NAME_engine.py because python puts their folder in front of its search path: a
# keras.py in there would be imported in place of Keras.
set -u
cd "$(dirname "$0")/.." || exit 3

if [ $# -lt 2 ]; then
    echo "usage: python-engines.sh BUILD ENGINE…" >&2
    exit 2
fi
build=$1
shift
mkdir -p "$build" || exit 3
for engine in "$@"; do
    script=engines/${engine}_engine.py
    case $engine in
    template) environment=tensorflow script=engines/TEMPLATE.py ;; # numpy is all it needs
    keras) environment=tensorflow ;;
    pytorch) environment=torch ;;
    jax) environment=jax ;;
    *)
        echo "python-engines: no environment is known for \"$engine\"; add it in $0" >&2
        exit 2
        ;;
    esac
    python=$(scripts/environments.sh path "$environment") || exit 1
    program=$build/tare-engine-$engine
    # %q: paths may hold spaces. The wrapper answers in the protocol when the environment has gone.
    {
        printf '#!/usr/bin/env bash\n'
        printf 'python=%q\n' "$python"
        printf 'script=%q\n' "$PWD/$script"
        cat <<'WRAPPER'
[ -x "$python" ] && exec "$python" -u "$script" "$@"
WRAPPER
        printf 'echo %q\n' \
            "{\"event\":\"hello\",\"abi\":1,\"engine\":\"$engine\",\"version\":\"\",\"tasks\":[]}" \
            '{"event":"skip","reason":"its Python environment has gone","fix":"make engines"}'
        printf 'exit 1\n'
    } >"$program.$$" && chmod +x "$program.$$" && mv "$program.$$" "$program" || exit 3
done
