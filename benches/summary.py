"""Tables of a run: `python benches/summary.py RESULTS [--page]`.

`pytest benches --benchmark-json=RESULTS` writes what this reads. `--page` keeps the run as
`benches/results.json`, a result to a line, and writes its tables into docs/performance.md and README.md: a
table stands between `<!-- measured: SECTION -->` and `<!-- end -->` and is replaced as a whole.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results.json"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
README = Path(__file__).parents[1] / "README.md"
SCALES = (("ns", 1e9, 1e-6), ("us", 1e6, 1e-3), ("ms", 1e3, 1.0))


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure of ours, or its ratio to another contender."""

    section: str
    name: str
    ours: str
    other: str
    ratio: str
    bar: str
    verdict: str

    @property
    def cells(self) -> tuple[str, ...]:
        return self.name, self.ours, self.other, self.ratio, self.bar, self.verdict


HEAD = ("what", "ours", "compared with, or how", "ratio", "bar", "")


def lines(document: Mapping[str, Any]) -> list[Line]:
    """Every comparison and every figure of a run, in its order."""
    found: list[Line] = []
    for group in groups(document):
        section, _, name = group[0]["group"].partition(": ")
        ours, *others = group
        figures = ours["extra_info"].get("figures", [])
        found += [figured(section, figure["name"], figure) for figure in figures]
        if "value" in ours["extra_info"]:
            found += compared(section, name, ours, others)
    return found


def groups(document: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Results of one comparison: those that one call of one test made, ours first."""
    kept: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in document["benchmarks"]:
        test = result["fullname"].partition("::")[2].partition("::")[0]
        kept.setdefault((test, result["group"]), []).append(result)
    yield from kept.values()


def compared(section: str, name: str, ours: Any, others: list[Any]) -> Iterator[Line]:
    info = ours["extra_info"]
    own = figured(section, name, info)
    if info["bar"] or not others:
        yield own
    for other in others:
        about = other["extra_info"]
        times = "x" if about["ratio_of"] == "other / ours" else "x of it"
        low, high = about["ratio_quartiles"]
        ratio = f"{number(about['ratio'])}{times} ({number(low)} to {number(high)})"
        against = f"{other['name']}: {duration(other['stats']['median'])}"
        yield Line(section, name, own.ours, against, ratio, *judged(about, about["ratio"], times))


def figured(section: str, name: str, info: Mapping[str, Any]) -> Line:
    unit = "x" if info["unit"] == "x" else f" {info['unit']}"
    low, high = info["quartiles"]
    spread = f" ({number(low)} to {number(high)})" if number(low) != number(high) else ""
    ours = f"{number(info['value'])}{unit}{spread}"
    return Line(section, name, ours, info.get("note", ""), "", *judged(info, info["value"], unit))


def judged(info: Mapping[str, Any], value: float, unit: str) -> tuple[str, str]:
    if info["bar"] is None:
        return "", ""
    ((bound, limit),) = info["bar"].items()
    bar = f"at {bound} {number(limit)}{unit}"
    return bar, "met" if info["met"] else f"missed by {abs(value / limit - 1):.0%}".replace("%", " %")


def number(value: float) -> str:
    if value == int(value) and abs(value) < 100:
        return f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    for unit, scale, end in SCALES:
        if seconds < end:
            return f"{number(seconds * scale)} {unit}"
    return f"{number(seconds)} s"


def tables(document: Mapping[str, Any]) -> dict[str, str]:
    """A table of the page for each section, in Markdown, and the machine."""
    kept: dict[str, list[Line]] = {}
    for line in lines(document):
        kept.setdefault(line.section, []).append(line)
    return {"machine": machine(document)} | {section: markdown(own) for section, own in kept.items()}


def markdown(own: list[Line]) -> str:
    """Columns that are empty throughout are left out; what is said of the line above is not said again."""
    columns = [i for i in range(len(HEAD)) if any(line.cells[i] for line in own)]
    rows = [[HEAD[i] for i in columns], ["---"] * len(columns)]
    above: Line | None = None
    for line in own:
        cells = list(line.cells)
        if above and (above.name, above.ours) == (line.name, line.ours):
            cells[:2] = "", ""
        if line.verdict.startswith("missed"):
            cells[-1] = f"**{line.verdict}**"
        rows.append([cells[i] for i in columns])
        above = line
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def replaced(text: str, found: Mapping[str, str]) -> str:
    """The page with its tables replaced.

    Raises:
        KeyError: the page asks for a section that was not measured.
    """
    return re.sub(
        r"(<!-- measured: ([^>]+) -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}\n{found[match[2]]}\n\n{match[3]}",
        text,
        flags=re.DOTALL,
    )


FIRST = {
    "try_debit": "a debit by id, two levels, with history",
    "reserve + settle": "reserve and settle, likewise",
    "try_acquire, 1,000 charges in the window": "a window of 1,000 charges",
    "debit_many, 1,000 agents": "batches over 1,000 agents",
}


def speed(document: Mapping[str, Any]) -> str:
    """The table of the README: some calls, each with what one would write by hand."""
    rows = ["| what | ours | hand-written | that with pool and history |", "|---|---|---|---|"]
    for name, words in FIRST.items():
        own = [line for line in lines(document) if line.name == name and line.section != "Instructions"]
        cells = [beside(own, "hand-written"), beside(own, "hand-written, same work")]
        rows.append(" | ".join([f"| {words}", own[0].ours.partition(" (")[0], *cells]) + " |")
    return "\n".join(rows)


def beside(own: list[Line], contender: str) -> str:
    """What another contender takes, and its ratio; nothing if it was not measured."""
    for line in own:
        who, _, took = line.other.rpartition(": ")
        if who == contender:
            return f"{took}: {line.ratio.partition(' (')[0]}"
    return ""


def machine(document: Mapping[str, Any]) -> str:
    info = document["machine_info"]
    cpu = info["cpu"]
    return (
        f"{cpu.get('brand_raw', info['processor'])}, {cpu['count']} cores, "
        f"{info['python_implementation']} {info['python_version']}, load average {info['load']:.1f}"
    )


def show(document: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=machine(document), title_justify="left")
    for head in HEAD:
        table.add_column(head)
    found = lines(document)
    for line, following in zip(found, [*found[1:], None], strict=True):
        style = "" if not line.verdict else "green" if line.verdict == "met" else "red"
        ends = following is None or following.section != line.section
        table.add_row(*line.cells[:-1], f"[{style}]{line.verdict}" if style else "", end_section=ends)
    console = Console()
    console.print(table)
    for reason in document["not_measured"]:
        console.print(f"not measured: {reason}", markup=False)


def kept(document: Mapping[str, Any]) -> str:
    """The run as JSON, a result to a line: so that two runs can be told apart in a diff."""
    rest = {key: value for key, value in document.items() if key != "benchmarks"}
    head = json.dumps(rest, indent=1)[:-2]
    results = ",\n".join(json.dumps(result) for result in document["benchmarks"])
    return f'{head},\n "benchmarks": [\n{results}\n]}}\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--page", action="store_true", help="keep the run and write docs/performance.md")
    arguments = parser.parse_args()
    document = json.loads(arguments.results.read_text())
    show(document)
    if arguments.page:
        RESULTS.write_text(kept(document))
        for page, found in ((PAGE, tables(document)), (README, {"speed": speed(document)})):
            page.write_text(replaced(page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()
