"""The project is complete by itself: nothing in it reads or names what lies outside the checkout."""

import ast
import re
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("tests", "benches", "examples", "python", "docs", "rust", ".ci")
SUFFIXES = {".py", ".pyi", ".md", ".rs", ".toml", ".sh", ".txt", ".cfg", ".json", ".svg", ""}
FILES = sorted(
    path
    for part in PARTS
    for path in (ROOT / part).rglob("*")
    if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts
) + [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml"} or path.name == "Makefile"]
# Folders of one machine, and ways to ask for them. `/tmp` is for whoever has `tempfile` or `tmp_path`.
OUTSIDE = re.compile(
    r"(?<![\w./}])(?:/(?:home|root|work|Users|mnt|srv|data|tmp|var)/|~/)|\bexpanduser\b|\bPath\.home\(|environ\W+HOME\b"
)
# They make the home an empty folder, and look for its name in what ships.
KNOWING = {ROOT / "tests" / "conftest.py", ROOT / "tests" / "test_shipped.py"}
UP = re.compile(r"(?<![\w./])(?:\.\./)+[\w./-]*")


class Paths(ast.NodeVisitor):
    """What the expressions of a script that start from `__file__` lead to, without running it."""

    def __init__(self, file):
        self.file, self.names, self.found = PurePosixPath(file), {}, []

    def visit_Assign(self, node):
        path = self.path(node.value)
        if path is not None:
            self.names |= {target.id: path for target in node.targets if isinstance(target, ast.Name)}
        self.generic_visit(node)

    def generic_visit(self, node):
        path = self.path(node) if isinstance(node, ast.expr) else None
        if path is not None:
            self.found.append((node.lineno, path))
        super().generic_visit(node)

    def path(self, node):  # noqa: PLR0911
        match node:
            case ast.Name(id="__file__"):
                return self.file
            case ast.Name(id=name):
                return self.names.get(name)
            case ast.Call(func=ast.Name(id="Path" | "str"), args=[inner]):
                return self.path(inner)
            case ast.Call(func=ast.Attribute(value=inner, attr="resolve" | "absolute"), args=[]):
                return self.path(inner)
            case ast.Attribute(value=inner, attr="parent"):
                return self.above(inner, 0)
            case ast.Subscript(
                value=ast.Attribute(value=inner, attr="parents"), slice=ast.Constant(value=int(n))
            ):
                return self.above(inner, n)
            case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=str(part))):
                path = self.path(left)
                return None if path is None else path / part
        return None

    def above(self, node, levels):
        """`..` when it would leave the tree."""
        path = self.path(node)
        if path is None:
            return None
        return path.parents[levels] if levels < len(path.parents) else PurePosixPath("..")


def outside(code, file):
    paths = Paths(file)
    paths.visit(ast.parse(code))
    return [line for line, path in paths.found if ".." in path.parts]


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_names_a_path_outside(path):
    text = path.read_text(encoding="utf-8")
    if path not in {Path(__file__), *KNOWING}:
        assert [text[max(0, m.start() - 30) : m.end() + 30] for m in OUTSIDE.finditer(text)] == []
    if path.suffix == ".py":
        assert outside(text, name(path)) == [], "lines whose paths leave the tree"
    if path.suffix == ".md" and path.parent.name != "data":
        up = [path.parent / target for target in UP.findall(text)]
        assert [target for target in up if not target.resolve().is_relative_to(ROOT.resolve())] == []


@pytest.mark.parametrize(
    "code",
    [
        'DATA = Path(__file__).parents[3] / "elsewhere"',
        'ROOT = Path(__file__).resolve().parents[2]\nDATA = ROOT.parent / "elsewhere"',
        "here = Path(__file__).parent.parent.parent.parent",
        'ROOT = Path(__file__).parents[2]\nopen(ROOT / "../elsewhere/data.csv")',
    ],
)
def test_a_path_that_leaves_the_tree_is_found(code):
    assert outside(code, "tests/forecast/test_quality.py") != []
    assert outside('ROOT = Path(__file__).parents[2]\nDATA = ROOT / "examples"', "tests/a/b.py") == []


@pytest.mark.parametrize(
    "text", ['"/home/me/data.csv"', "~/.cache", "Path.home()", "(/tmp/out)", 'environ["HOME"]']
)
def test_a_folder_of_one_machine_is_found(text):
    assert OUTSIDE.search(text)


def test_recorded_data_stand_in_the_tree_once_with_source_and_licence():
    data = [p for part in PARTS for p in (ROOT / part).rglob("*") if p.suffix in {".npz", ".gz", ".csv"}]
    assert {name(path.parent) for path in data} == {"examples/data", "python/safeguards/data"}
    contents = [path.read_bytes() for path in data]
    assert len(set(contents)) == len(contents)
    for path in data:
        row = next(
            line
            for line in (path.parent / "README.md").read_text(encoding="utf-8").splitlines()
            if path.name in line
        )
        assert re.search(r"(@ `?[0-9a-f]{8}|as above).*\b(Apache-2\.0|MIT|CC-BY)", row), path.name
