"""Copies the docstrings of the compiled module into its stub, so that editors show what `help()` does.

`python tests/sync_stub_docs.py` writes the stub; the tests only ask whether it would change.
"""

import ast
import inspect
import textwrap
from pathlib import Path

from safeguards import _native

STUB = Path(__file__).parents[1] / "python" / "safeguards" / "_native.pyi"
Definition = ast.ClassDef | ast.FunctionDef


def runtime_doc(path: list[str]) -> str:
    """The docstring of a name of the compiled module; nothing for names that start with an underscore."""
    found = _native
    for name in path:
        found = inspect.getattr_static(found, name)
        found = getattr(found, "__func__", found)  # a static method's own docstring is that of its type
    hidden = path[-1].startswith("_") and path[-1] != "_Ready"
    return "" if hidden else inspect.cleandoc(found.__doc__ or "")


def definitions(nodes: list[ast.stmt], path: list[str]) -> list[tuple[list[str], Definition]]:
    """Every class and function of the stub with its path, in the order of the text."""
    found = []
    for node in nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.append(([*path, node.name], node))
        if isinstance(node, ast.ClassDef):
            found += definitions(node.body, [*path, node.name])
    return found


def quoted(text: str, indent: str) -> list[str]:
    """The lines of a docstring."""
    text = text.replace("\\", "\\\\")
    body = f'"""{text}\n"""' if "\n" in text else f'"""{text}"""'
    return textwrap.indent(body, indent).split("\n")


def with_docs(stub: str) -> str:
    """The text of the stub with the docstrings of the compiled module in place of its own."""
    lines = stub.split("\n")
    for path, node in reversed(definitions(ast.parse(stub).body, [])):
        doc = runtime_doc(path)
        first, old = node.body[0], ast.get_docstring(node)
        if not doc and old is None:
            continue
        indent = " " * (node.col_offset + 4)
        new = quoted(doc, indent) if doc else []
        if old is not None:
            lines[first.lineno - 1 : first.end_lineno] = new
        elif isinstance(node, ast.ClassDef):
            above = first.decorator_list[0].lineno if getattr(first, "decorator_list", []) else first.lineno
            lines[above - 1 : above - 1] = new
        else:
            line = lines[first.lineno - 1]
            lines[first.lineno - 1] = line[: line.rindex("...")].rstrip()
            lines[first.lineno : first.lineno] = new
    return "\n".join(lines)


if __name__ == "__main__":
    STUB.write_text(with_docs(STUB.read_text(encoding="utf-8")), encoding="utf-8")
