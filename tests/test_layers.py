"""Imports go down only, and importing the package is cheap."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "safeguards"

# Layer of a module: the longest prefix counts.
LAYERS = {
    "": 4,
    "exceptions": 0,
    "_extras": 0,
    "_figures": 4,
    "_later": 0,
    "types": 0,
    "_native": 1,
    "_values": 0,
    "_values.amounts": 1,
    "_values.time_zones": 1,
    "core": 2,
    "budget.rate_limiter": 2,
    "budget.multi_resource": 2,
    "alerts": 4,
    "allocation": 2,
    "allocation.plots": 4,
    "core.controller": 3,
    "core.dynamic_budget": 3,
    "budget": 3,
    "budget._plots": 4,
    "backtest": 4,
    "budget.cost_benefit.plots": 4,
    "budget.time_scheduler.plots": 4,
    "stores": 4,
    "integrations": 4,
    "records": 4,
    "service": 4,
    "cli": 4,
    "testing": 4,
}


def layer(module):
    parts = module.split(".")
    return next(LAYERS[p] for n in range(len(parts), -1, -1) if (p := ".".join(parts[:n])) in LAYERS)


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_for_annotations(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(tree):
    """Modules that are imported at run time, at any depth."""
    nodes = list(tree.body)
    while nodes:
        node = nodes.pop()
        if is_for_annotations(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        nodes += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=module_name)
def test_imports_go_down_only(path):
    own = layer(module_name(path))
    for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if name.startswith("safeguards."):
            imported = name.removeprefix("safeguards.")
            assert layer(imported) <= own, f"{module_name(path)} (L{own}) imports {name}"
            assert layer(imported) < 4 or own == 4, f"nothing imports an edge: {name}"


def test_the_compiled_module_needs_only_the_errors():
    code = (
        "import sys, safeguards._native; print(*sorted(m for m in sys.modules if m.startswith('safeguards')))"
    )
    # The package itself is imported first by Python; below it nothing asks for the edges.
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    edges = {"cli", "service", "stores", "integrations"}
    assert not [m for m in loaded if m.count(".") and m.split(".")[1] in edges]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, safeguards; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert not loaded & {"numpy", "asyncio", "typer", "rich", "matplotlib", "zoneinfo", "cronsim", "requests"}


def test_the_only_dependency_at_run_time_is_numpy():
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [requirement.split(">")[0] for requirement in project["dependencies"]] == ["numpy"]
    standard = sys.stdlib_module_names
    for path in PACKAGE.rglob("*.py"):
        if layer(module_name(path)) < 4:
            roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text(encoding="utf-8")))}
            assert roots <= standard | {"safeguards", "numpy"}, path
