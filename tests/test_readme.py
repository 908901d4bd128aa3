"""README and docs: every Python block runs, and prints the block that follows it."""

import contextlib
import io
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(page):
    """Pairs of (line, code, what it is to print), in order."""
    text = page.read_text(encoding="utf-8")
    fences = [(m.group(1), m.group(2), m.start(), m.end()) for m in FENCE.finditer(text)]
    fences.append(("", "", len(text), len(text)))
    for (language, code, start, end), after in pairwise(fences):
        if language == "python":
            follows = after[0] == "text" and not text[end : after[2]].strip()
            yield text.count("\n", 0, start) + 1, code, after[1] if follows else ""


def run(code, name, namespace):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, name, "exec"), namespace)  # noqa: S102 - the docs are ours
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_print_what_the_page_says(page, monkeypatch):
    monkeypatch.chdir(ROOT)  # pages name the files of the checkout
    namespace = {"__name__": "docs"}
    for line, code, expected in blocks(page):
        assert run("\n" * line + code, str(page), namespace) == expected, f"{page}:{line}"


def test_the_readme_has_code_and_output():
    assert [bool(expected) for _, _, expected in blocks(ROOT / "README.md")] == [True]


def test_the_readme_is_read_in_three_minutes():
    """All of it is counted: prose, tables, code and what it prints."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 700


def test_the_index_links_to_every_page():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text(encoding="utf-8"))}
    assert set((ROOT / "docs").glob("*.md")) - linked == {index}


def test_a_block_that_prints_something_else_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n```\n\n```text\n2\n```\n\n```python\nx = 1\n```\nwords\n```text\n3\n```\n"
    )
    assert list(blocks(page)) == [(1, "print(1)\n", "2\n"), (9, "x = 1\n", "")]
    assert run("print(1)\n", "page", {}) == "1\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    targets = [page.parent / target for target in LINK.findall(page.read_text(encoding="utf-8"))]
    assert [t for t in targets if not t.exists()] == []


def test_nobody_is_told_to_install_a_stranger():
    pages = [*PAGES, *sorted((ROOT / "python").rglob("*.py"))]
    assert [
        p for p in pages if re.search(r"install\s+['\"]?safeguards\b", p.read_text(encoding="utf-8"))
    ] == []
