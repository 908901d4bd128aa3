"""Writes THIRD-PARTY-NOTICES: the licences of all crates that are linked into the compiled module.

`python tests/sync_notices.py` writes the file; the tests only ask whether it would change.
"""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTICES = ROOT / "THIRD-PARTY-NOTICES"
TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
# Of licences to choose from, the first of these that a crate has.
CHOICE = ("LICENSE-MIT", "LICENSE-APACHE", "LICENSE", "COPYING")
RULE = "=" * 100
HEAD = """\
The compiled module of this package contains the following libraries (Rust crates). Each is used under the
licence that stands below it. The recorded trace in safeguards/data has its own licence, in the README beside
it. The rules of time zones are those of the IANA Time Zone Database, which is in the public domain.
"""


def cargo(*arguments):
    return subprocess.check_output(["cargo", *arguments], text=True, cwd=ROOT)  # noqa: S607


def linked():
    """Name and version of each crate that ends up in the module, on any platform."""
    targets = [part for target in TARGETS for part in ("--target", target)]
    edges = ("--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}")
    lines = cargo("tree", "--locked", "--package", "safeguards-py", *edges, *targets).splitlines()
    found = {tuple(line.split()[:2]) for line in lines if line}
    return sorted((name, version[1:]) for name, version in found if not name.startswith("safeguards-"))


def licence(package):
    """The text that a crate comes with; where there is none, what its manifest says."""
    folder = Path(package["manifest_path"]).parent
    texts = {path.stem.upper(): path for path in sorted(folder.iterdir()) if path.is_file()}
    for name in CHOICE:
        if name in texts:
            lines = texts[name].read_text(encoding="utf-8").strip().splitlines()
            return "\n".join(line.rstrip() for line in lines)
    return f"{package['license']}, by {', '.join(package['authors'])} ({package['repository']})"


def notices():
    """The whole text; crates with the same licence text stand together."""
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1"))
    packages = {(package["name"], package["version"]): package for package in metadata["packages"]}
    texts = {}
    for crate in linked():
        texts.setdefault(licence(packages[crate]), []).append(packages[crate])
    parts = [HEAD]
    for text, crates in texts.items():
        names = [f"{crate['name']} {crate['version']} ({crate['license']})" for crate in crates]
        parts.append("\n".join([RULE, *names, RULE, "", text, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    NOTICES.write_text(notices(), encoding="utf-8")
