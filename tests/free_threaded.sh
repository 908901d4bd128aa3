#!/usr/bin/env bash
# The Python suite on a CPython without the interpreter's lock, and what a second thread brings there.
#
# PyO3 0.30 takes such interpreters from 3.14 on, and Debian has none. What can be had is the source of 3.13, from the
# suite trixie, and PyO3 and rust-numpy 0.28, the last that take it: the interpreter is built once, and of this tree a
# copy with those two. All of it stays in target/free-threaded for the next time.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
place=$root/target/free-threaded
python=$place/python/bin/python3.13t
venv=$place/venv
maturin=${MATURIN:-$root/.venv/bin/maturin}
# Of the copy it is asked whether it is right, and how two threads compare with one, not how fast it is.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_INCREMENTAL=1
export CARGO_TARGET_DIR=$place/rust PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$place"

fail() {
    printf '%s\n' "NOT TESTED without the interpreter's lock: $*" >&2
    exit 1
}

quietly() { "$root/tests/quietly.sh" "$@"; }

# The interpreter.

check_headers() { # what parts of its standard library are compiled against
    local missing=() pair
    for pair in bzlib.h:libbz2-dev ffi.h:libffi-dev lzma.h:liblzma-dev openssl/ssl.h:libssl-dev \
        sqlite3.h:libsqlite3-dev zlib.h:zlib1g-dev; do
        echo "#include <${pair%:*}>" | cc -E -x c - > /dev/null 2>&1 || missing+=("${pair#*:}")
    done
    ((${#missing[@]} == 0)) || fail "to build a CPython, install ${missing[*]}"
}

fetch_source() { # with a list of sources of its own: it needs no root, and apt's own lists stay as they are
    local apt=$place/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    cat > "$apt/apt.conf" << END
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
END
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" \
        > "$apt/sources.list"
    export APT_CONFIG=$apt/apt.conf
    (cd "$apt" && quietly "asking Debian for the source of Python 3.13" \
        sh -c 'apt-get -qq update && apt-get -qq --download-only source python3.13') \
        || fail "Debian's source of Python 3.13 cannot be had from here"
}

make_python() {
    command -v apt-get cc make > /dev/null || fail "apt-get, cc and make are needed to get a CPython 3.13t and build it"
    check_headers
    fetch_source
    rm -rf "$place/source" "$place/python" "$venv"
    mkdir "$place/source"
    # As CPython's own project publishes it: Debian's changes are for where Debian installs it.
    tar -xf "$place"/apt/python3.13_*.orig.tar.xz -C "$place/source" --strip-components 1
    (cd "$place/source" && quietly "building a CPython 3.13t, once (minutes)" sh -c "
        ./configure --quiet --prefix='$place/python' --disable-gil --with-ensurepip=no --disable-test-modules &&
        make --silent --jobs $(nproc) && make --silent install") || fail "CPython 3.13t does not build here"
    rm -rf "$place/source"
    "$python" -c 'import bz2, ctypes, lzma, sqlite3, ssl, zlib'
    touch "$place/python/.done"
}

[ -e "$place/python/.done" ] || make_python
"$python" -c 'import sys; sys.exit(sys._is_gil_enabled())' || fail "$python has the interpreter's lock"

# What the suite needs, as far as there are wheels for 3.13t; anew when pyproject.toml changes.

wanted() {
    "$python" - << 'END'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
extras = project["project"]["optional-dependencies"]
needed = project["project"]["dependencies"] + project["dependency-groups"]["test"]
print(*dict.fromkeys(needed + extras["cli"] + extras["plot"]), sep="\n")
END
}

install_wanted() {
    rm -rf "$venv"
    "$python" -m venv "$venv"
    local pip=("$venv/bin/pip" install --quiet --only-binary :all:) package
    quietly "installing pytest and numpy for 3.13t" "${pip[@]}" numpy pytest \
        || fail "numpy and pytest for 3.13t cannot be had from here"
    : > "$venv/left-out"
    while read -r package; do
        "${pip[@]}" "$package" 2> /dev/null || echo "${package%%[<>=]*}" >> "$venv/left-out"
    done < <(wanted)
    cp pyproject.toml "$venv"
}

cmp --silent pyproject.toml "$venv/pyproject.toml" || install_wanted

# A copy of the tree, with another PyO3 while it is built. Times of files stay: what has not changed is not built anew.

tree=$place/tree
rm -rf "$tree" "$place/wheel"
mkdir "$tree"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --preserve=timestamps --parents -t "$tree"
manifest=rust/safeguards-py/Cargo.toml
sed -i -E 's/^default = \["abi3"\]/default = []/; s/^numpy = "[^"]+"/numpy = "0.28"/
    s/^pyo3 = \{ version = "[^"]+"/pyo3 = { version = "0.28"/' "$tree/$manifest"
(("$(grep -cE '^default = \[\]|"0\.28"' "$tree/$manifest")" == 3)) || fail "$manifest names its crates in another way"
# As the Makefile does: messages of panics name no folder of this machine.
separator=$(printf '\037')
export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates$separator--remap-path-prefix=$tree=."
(cd "$tree" && quietly "building the tree with PyO3 0.28" \
    "$maturin" build --release --quiet --interpreter "$python" --out "$place/wheel") \
    || fail "the tree does not build with PyO3 0.28"
cp --preserve=timestamps "$manifest" "$tree/$manifest"
cp --preserve=timestamps Cargo.lock "$tree"
"$venv/bin/pip" install --quiet --no-deps --force-reinstall "$place"/wheel/*.whl

# By itself: nothing that it imports brings the lock back.
"$venv/bin/python" -W error -c 'import sys, numpy, safeguards; sys.exit(sys._is_gil_enabled())' \
    || fail "importing safeguards or numpy brings the interpreter's lock back"
"$venv/bin/python" -c 'import sys, numpy; print(">>>", sys.version.split(" (")[0], "numpy", numpy.__version__)'
[ ! -s "$venv/left-out" ] || echo ">>> LEFT OUT, no wheel for 3.13t: $(paste -sd ' ' "$venv/left-out")"

cd "$tree"
export PYTHON_GIL=0
"$venv/bin/pytest" -rs --numprocesses auto --maxprocesses 8 "$@"
cd benches && "$venv/bin/python" scaling.py
