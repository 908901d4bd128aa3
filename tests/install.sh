#!/usr/bin/env bash
# Installs each of the files into a new venv, away from the checkout, and runs the README's example and the command
# there: `install.sh PYTHON FILE...`
set -euo pipefail
python=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Of the sdist it is asked whether it has all it needs, not how fast it is.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_TARGET_DIR="$root/target/sdist"

# The first block of Python in the README, and what it prints.
block() { awk -v fence="^\`\`\`$1\$" '$0 ~ fence {on = 1; next} /^```$/ && on {exit} on' "$root/README.md"; }
block python > "$work/example.py"
block text > "$work/printed"

for file in "$@"; do
    file=$(realpath "$file")
    "$python" -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet "$file[cli]"
    cd "$work"
    venv/bin/python -W error example.py | diff printed -
    venv/bin/safeguards demo --json > /dev/null
    CHECKOUT=$root venv/bin/python - << 'END'
import importlib.metadata as metadata, os, safeguards
files = {file.name: file for file in metadata.files("budget-safeguards")}
for name in ("LICENSE-APACHE", "LICENSE-MIT", "THIRD-PARTY-NOTICES", "azure_llm_2023_conv_requests.npz", "py.typed"):
    assert files[name].locate().stat().st_size > 0 or name == "py.typed", name
assert [file for file in files.values() if "tests" in file.parts or file.suffix == ".rs"] == []
checkout = os.environ["CHECKOUT"].encode()
for file in files.values():
    named = file.locate().is_file() and checkout in file.locate().read_bytes()
    assert not named or file.name == "direct_url.json", f"{file} names the folder that it was built in"
readme = metadata.metadata("budget-safeguards").get_payload() or metadata.metadata("budget-safeguards")["Description"]
assert "![" not in readme and "never overspent" in readme
assert metadata.version("budget-safeguards") == safeguards.__version__
END
    cd "$root"
    rm -rf "$work/venv"
    echo "installed and ran: $(basename "$file")"
done
