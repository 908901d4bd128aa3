#!/usr/bin/env bash
# The quick part of the Python suite with one wheel on each of several CPythons: `pythons.sh WHEEL PYTHON...`
# One that is not here is said loudly and is no failure. One that takes the oldest numpy runs what uses numpy with it.
set -euo pipefail
cd "$(dirname "$0")/.."
wheel=$(realpath "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A copy without anything that was built: the package under test is the one of the wheel.
mkdir "$work/tree"
if [ -d .git ]; then
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/tree"
else
    cp -r . "$work/tree"
fi

find_python() { # the first that runs: by its name, or among those of pyenv
    local name=$1 version=${1#python} found
    for found in "$(command -v "$name" || true)" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python; do
        if [ -x "$found" ] && "$found" -c "import sys; assert sys.version_info[:2] == (${version/./, })" 2> /dev/null; then
            echo "$found"
            return
        fi
    done
}

suite() { # name python warnings requirement...
    local venv=$work/$1
    "$2" -m venv "$venv"
    "$venv/bin/pip" install --quiet --upgrade pip
    (cd "$work/tree" && "$venv/bin/pip" install --quiet --group test "$wheel[cli,plot,rl]" "${@:4}")
    "$venv/bin/python" -c 'import sys, numpy; print(">>>", sys.version.split()[0], "numpy", numpy.__version__)'
    (cd "$work/tree" && "$venv/bin/pytest" -n auto -m "not slow" -W "$3" $only)
    rm -rf "$venv"
}

for name in "$@"; do
    python=$(find_python "$name")
    if [ -z "$python" ]; then
        echo ">>> NOT HERE, not tested: $name"
        continue
    fi
    only=
    suite "$name" "$python" error
    if [ "$name" = python3.12 ]; then
        only="tests/test_debit_many.py tests/test_reserve_many.py tests/allocation tests/cost_benefit tests/forecast tests/resources tests/rl"
        suite "$name-oldest-numpy" "$python" ignore::DeprecationWarning "numpy==1.26.*"
    fi
done
