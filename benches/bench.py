"""`make bench`: measure everything once, print one table, write `benches/results.json`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import allocation
import cost_benefit
import footprint
import hot_path
import learned_budgets
import multi_resource
import pacing
import pool_size
import reallocation
import scaling
from report import RESULTS, Row, machine, show, write
from rivals import rows as rivals
from rivals.processes import run_all

SECTIONS: dict[str, Callable[[], list[Row]]] = {
    "Debits": hot_path.debits,
    "Reservations": hot_path.reservations,
    "Windows": hot_path.windows,
    "Threads": scaling.threads,
    "Batches": scaling.batches,
    "Memory and import": footprint.rows,
    "Allocation": allocation.rows,
    "Multi-resource": multi_resource.rows,
    "Pool sizes": pool_size.rows,
    "Reallocation": reallocation.rows,
    "Schedules and pacing": pacing.rows,
    "Cost and benefit": cost_benefit.rows,
    "Learned budgets": learned_budgets.rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"only these: {', '.join(SECTIONS)}, Rivals")
    parser.add_argument("--output", type=Path, help="JSON file (default: results.json, if all sections run)")
    arguments = parser.parse_args()
    wanted = arguments.sections or [*SECTIONS, "Rivals"]
    facts = machine()
    sections: dict[str, list[Row]] = {}
    for name, section in SECTIONS.items():
        if name in wanted:
            print(f"  {name}", file=sys.stderr)
            sections[name] = section()
    answers = run_all("speed") if "Rivals" in wanted else {}
    if answers:
        ours = {row.what: row.figure for rows in sections.values() for row in rows}
        sections["Rivals"] = [*rivals.rows(answers, ours), *rivals.controls(answers)]
    absent = rivals.missing(answers)
    show(f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}", sections)
    print("", *(f"not measured: {reason}" for reason in absent), sep="\n")
    output = arguments.output or (None if arguments.sections else RESULTS)
    if output:
        write(sections, {"machine": facts, "rivals": answers, "not_measured": absent}, output)


if __name__ == "__main__":
    main()
