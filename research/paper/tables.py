"""Writes the measured tables of docs/allocation.md: `python -m paper.tables [--trials 100]`.

A table stands between `<!-- measured: NAME -->` and `<!-- end -->` and is replaced as a whole. The same seed
gives the same digits on any machine; a test compares some of them.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper import evaluation
from paper.evaluation import (
    ALL_STRATEGIES,
    CONDITIONS,
    LIVE_STRATEGIES,
    PAPER_STRATEGIES,
    RESOURCES,
    SETTINGS,
    VARIANTS,
)
from safeguards.allocation import PUBLISHED_DEVIATIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from paper.evaluation import Measured

    Measurements = Mapping[tuple[Any, ...], Measured]

PAGE = Path(__file__).parents[2] / "docs" / "allocation.md"
SECTIONS = {"table 1", "as printed", "variant", "beyond", "condition", "agents", "resources"}
SHARED = (*SETTINGS, "random walk", "step change")


def digits(value: float) -> str:
    """A deviation as the page shows it."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table; the first columns are words, the others numbers."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def tables(measured: Measurements) -> dict[str, str]:
    """Every table by its name in the page."""
    settings = [f"setting {n}" for n in SETTINGS]
    shared = [*settings, "random walk", "step change"]
    return {
        "table 1": markdown(
            ("setting", "strategy", "published", "measured", "spread (sd)", "without first 20"),
            [
                (
                    str(n),
                    name,
                    f"{PUBLISHED_DEVIATIONS[n][name]:,.2f}",
                    digits((cell := measured["table 1", n, name]).average_deviation),
                    digits(cell.standard_deviation),
                    digits(cell.settled_deviation),
                )
                for n in SETTINGS
                for name in PAPER_STRATEGIES
            ],
            words=2,
        ),
        "misprints": markdown(
            ("setting", "strategy", "published", "corrected", "as printed"),
            [
                (
                    str(n),
                    name,
                    f"{PUBLISHED_DEVIATIONS[n][name]:,.2f}",
                    digits(measured["table 1", n, name].average_deviation),
                    digits(measured["as printed", n, name].average_deviation),
                )
                for n in (2, 3)
                for name in PAPER_STRATEGIES
            ],
            words=2,
        ),
        "variants": markdown(
            ("choice", "attitude", *settings),
            [
                (c, a, *(digits(measured["variant", n, c, a].average_deviation) for n in SETTINGS))
                for c, a in VARIANTS
            ]
            + [("published", "", *(digits(PUBLISHED_DEVIATIONS[n]["adaptive"]) for n in SETTINGS))],
            words=2,
        ),
        "beyond": markdown(
            ("strategy", *shared),
            [
                (name, *(digits(measured["beyond", s, name].settled_deviation) for s in SHARED))
                for name in ALL_STRATEGIES
            ],
        ),
        **{
            option: markdown(
                (option, *LIVE_STRATEGIES),
                [
                    (
                        f"{value:g}",
                        *(
                            digits(measured["condition", option, value, name].settled_deviation)
                            for name in LIVE_STRATEGIES
                        ),
                    )
                    for value in values
                ],
            )
            for option, values in CONDITIONS.items()
        },
        "agents": markdown(
            ("agents", *LIVE_STRATEGIES),
            [
                (f"{n:,}", *(typical(measured["agents", n, name], n) for name in LIVE_STRATEGIES))
                for n in sorted({key[1] for key in measured if key[0] == "agents"})
            ],
        ),
        "resources": markdown(
            ("resources", *LIVE_STRATEGIES),
            [
                (
                    str(q),
                    *(digits(measured["resources", q, name].settled_deviation) for name in LIVE_STRATEGIES),
                )
                for q in RESOURCES
            ],
        ),
    }


def typical(cell: Measured, agents: int) -> str:
    """Root of the average deviation in percent of the average of three capacities."""
    return f"{100 * cell.settled_deviation**0.5 / (agents / 3):.2f} %"


def replaced(text: str, tables: Mapping[str, str]) -> str:
    """The page with its tables replaced.

    Raises:
        KeyError: the page asks for a table that there is not.
    """
    return re.sub(
        r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{tables[match[2]]}\n\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    trials = parser.parse_args().trials
    plan = {key: s for key, s in evaluation.plan(trials=trials).items() if key[0] in SECTIONS}
    found = tables(evaluation.run(plan))
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
