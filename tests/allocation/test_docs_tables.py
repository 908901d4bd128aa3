"""The tables of docs/allocation.md are what is measured; `make tables` writes them."""

import re
from pathlib import Path

import pytest

from paper import evaluation, tables
from safeguards.allocation import PUBLISHED_DEVIATIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "allocation.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plan():
    return evaluation.plan(trials=100)


def rows(name):
    """Rows of a table of the page, their words first."""
    table = re.search(rf"<!-- measured: {name} -->(.*?)<!-- end -->", PAGE, re.DOTALL)[1]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.split("\n") if "|" in line
    ]
    return lines[2:]


def test_table_1(plan):
    found = {(int(row[0]), row[1]): row[2:] for row in rows("table 1")}
    assert len(found) == 9
    for (setting, name), cells in found.items():
        assert cells[0] == f"{PUBLISHED_DEVIATIONS[setting][name]:,.2f}"
    keys = [("table 1", *key) for key in found]
    for key, cell in evaluation.run({key: plan[key] for key in keys}).items():
        expected = (cell.average_deviation, cell.standard_deviation, cell.settled_deviation)
        assert found[key[1:]][1:] == [tables.digits(value) for value in expected]


@pytest.mark.parametrize("name", ["win-stay", "flow", "previous-capacity"])
def test_strategies_without_parameters(plan, name):
    (found,) = [row[1:] for row in rows("beyond") if row[0] == name]
    keys = [("beyond", setting, name) for setting in (1, 2, 3)]
    measured = evaluation.run({key: plan[key] for key in keys})
    assert found[:3] == [tables.digits(cell.settled_deviation) for cell in measured.values()]


def test_every_table_is_filled():
    names = re.findall(r"<!-- measured: ([\w ]+) -->", PAGE)
    assert len(names) == len(set(names)) == 10
    assert all(len(rows(name)) >= 4 for name in names)
    assert {row[0] for row in rows("beyond")} == set(evaluation.ALL_STRATEGIES)


def test_a_table_is_replaced_as_a_whole():
    page = "a\n<!-- measured: x y -->\nold\n<!-- end -->\nb\n"
    assert tables.replaced(page, {"x y": "| new |"}) == (
        "a\n<!-- measured: x y -->\n\n| new |\n\n<!-- end -->\nb\n"
    )
    with pytest.raises(KeyError):
        tables.replaced(page, {})
