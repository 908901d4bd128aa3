"""What a controller is made of: public hooks, and nothing of the base's insides."""

import ast
from pathlib import Path

import pytest

import safeguards

PACKAGE = Path(safeguards.__file__).parent
BASE = PACKAGE / "core" / "controller.py"
FILES = [
    *sorted((PACKAGE / "core" / "dynamic_budget").glob("*.py")),
    *sorted((PACKAGE / "budget").rglob("*.py")),
    *sorted((PACKAGE / "backtest").rglob("*.py")),
]


def private_names(tree):
    """Names with one underscore that a class defines, sets or asks of itself."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names |= {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


INSIDES = private_names(ast.parse(BASE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_controllers_are_made_of_public_hooks(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        bases = {ast.unparse(base).split("[")[0] for base in cls.bases}
        if "Controller" in bases:
            assert not private_names(cls) & INSIDES, f"{cls.name} uses the insides of the base"


def test_figures_steer_nothing():
    """No file reads a decision's `inputs` but the one that shows them."""
    for path in PACKAGE.rglob("*.py"):
        if path.name in {"decisions.py", "controller.py"} or "cli" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        reads = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "inputs"]
        assert not reads, f"{path.name} reads inputs at lines {reads}"


def test_only_execute_lets_a_decision_move_money():
    moves = {
        "adjust_budget",
        "adjust_pool_budget",
        "update_period_budget",
        "update_pool_budget",
        "update_budget",
    }
    for path in [BASE, *FILES]:
        if "backtest" in path.parts:
            continue  # they set up what is replayed
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {
            n.func.attr
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
        }
        assert not calls & moves - ({"update_budget"} if path.name == "multi_resource.py" else set()), (
            path.name
        )
