"""The sections of the report page that go beyond the paper."""
# ruff: noqa: RUF001 - prose for people, with the signs that print uses

from collections.abc import Callable, Iterable

from paper.evaluation import (
    ALL_STRATEGIES,
    CONDITIONS,
    LIVE_STRATEGIES,
    SETTINGS,
    WARM_UP,
    Measured,
)
from paper.markup import Section, figure, grid, paragraphs, table
from paper.report import Report
from safeguards.allocation.plots import plot_deviations, plot_loads, svg

__all__ = ["beyond", "conditions", "scale"]

_KNOWLEDGE = {
    "adaptive": "own hits and misses; past capacities",
    "lam-leung": "own hits and misses; which resources were overloaded",
    "galstyan": "neighbours’ choices; which resources were overloaded",
    "win-stay": "own hits and misses; past capacities",
    "flow": "past loads; past capacities",
    "random": "past capacities",
    "previous-capacity": "past capacities; a centre deals the agents out",
}
_CONDITION_NAMES = {
    "observation_noise": "Noise (sd, relative)",
    "careless_fraction": "Careless part",
    "task_units": "Units a task",
    "task_steps": "Steps a task",
}


def beyond(report: Report) -> Section:
    """All strategies in all settings, and why those without parameters work."""
    columns = (*SETTINGS, "random walk", "step change")
    head = ("Strategy", "Its agents know", *(f"Setting {c}" if c in SETTINGS else str(c) for c in columns))

    def rows(figure_of: Callable[..., str]) -> Iterable[tuple[str, ...]]:
        for name in ALL_STRATEGIES:
            yield (name, _KNOWLEDGE[name], *(figure_of("beyond", column, name) for column in columns))

    body = paragraphs(
        "The paper asks how to choose the adjusting rate and the scaling factor. Two strategies have "
        "neither.",
        "<strong>Win-stay</strong> uses what the paper’s agents know. Its agents stay, unless the forecast "
        "capacity of their resource falls: then each leaves with the probability of the fall, for where "
        "capacity rises. Those who lost leave with a small probability that tunes itself by the signs of "
        "what follows. <strong>Flow</strong> needs the last loads to be public: an agent leaves with "
        "probability (A − C)⁺/A and goes in proportion to (C − A)⁺. Both forecast a capacity by its last "
        "value or by the line through the last two, whichever was closer lately.",
        "Why it works: the paper’s agents all decide anew at every step from nearly the same data, so that "
        "their errors are the errors of a crowd that moves together, or, if they draw lots, the N p (1 − p) "
        "of a draw. Agents that stay by default repeat a solution that was found; only the few whose place "
        "has gone move, and the chance in their moves is the variance of a draw among a few, not among all.",
    )
    body += table(
        f"Average deviation without the first {WARM_UP} steps; ten random walks and ten series of sudden "
        "changes.",
        head,
        rows(report.settled),
        name="beyond",
        labels=2,
    )
    body += table(
        "The same over all steps: agents start without knowledge, and settings 2 and 3 start far from an "
        "even split.",
        head,
        rows(report.deviation),
        name="beyond-whole",
        labels=2,
    )
    shown = [(name, column) for name in ("win-stay", "flow") for column in (2, "random walk", "step change")]
    body += grid(*(_beyond_figure(report, name, column) for name, column in shown))
    return Section("Beyond the paper: no parameters", body)


def _beyond_figure(report: Report, name: str, column: object) -> str:
    where = f"setting {column}" if column in SETTINGS else f"one {column}"
    anchor = f"beyond-{name}-{str(column).replace(' ', '-')}"
    drawn = plot_loads(report.loads("beyond", column, name), resources=(0, 1))
    return figure(svg(drawn, prefix=anchor), f"Resource load using {name}, {where}.", name=anchor)


def conditions(report: Report) -> Section:
    """Noise, careless agents, larger tasks."""
    body = paragraphs(
        "Setting 1 with worse information, worse company and larger tasks; average deviations without the "
        f"first {WARM_UP} steps. Noise changes what agents read, not what resources have, and all read the "
        "same. Careless agents choose uniformly at random at every step: the careful ones must make room "
        "for them, and nobody can undo the chance in their draws. A task of k units counts k at its "
        "resource (capacities are scaled with it, deviations grow with its square); a task of several steps "
        "binds its agent as long.",
    )
    drawings: list[str] = []
    for option in ("observation_noise", "careless_fraction"):
        lines = {
            name: [
                report.measured["condition", option, v, name].settled_deviation for v in CONDITIONS[option]
            ]
            for name in LIVE_STRATEGIES
        }
        drawn = plot_deviations(_CONDITION_NAMES[option], CONDITIONS[option], lines, logarithmic="y")
        anchor = option.replace("_", "-")
        caption = f"Setting 1: {_CONDITION_NAMES[option].lower()}. The vertical axis is logarithmic."
        drawings.append(figure(svg(drawn, prefix=anchor), caption, name=anchor))
    body += grid(*drawings)
    for option, values in CONDITIONS.items():
        rows = [
            (f"{v:g}", *(report.settled("condition", option, v, n) for n in LIVE_STRATEGIES)) for v in values
        ]
        body += table(
            f"Setting 1: {_CONDITION_NAMES[option].lower()}.",
            (_CONDITION_NAMES[option], *LIVE_STRATEGIES),
            rows,
            name=option.replace("_", "-"),
        )
    return Section("Noise, careless agents, larger tasks", body)


def scale(report: Report) -> Section:
    """Numbers of agents and of resources."""
    agents = sorted({key[1] for key in report.measured if key[0] == "agents"})
    resources = sorted({key[1] for key in report.measured if key[0] == "resources"})

    def relative(count: int, name: str) -> str:
        return f"{_relative_error(report.measured['agents', count, name], count):.2f} %"

    rows = [(f"{count:,}", *(relative(count, name) for name in LIVE_STRATEGIES)) for count in agents]
    lines = {
        name: [_relative_error(report.measured["agents", count, name], count) for count in agents]
        for name in LIVE_STRATEGIES
    }
    drawn = plot_deviations("Agents", agents, lines, logarithmic="xy", measure="Typical error (% of N/3)")
    body = paragraphs(
        "Setting 1 scaled to N agents. A deviation grows with the square of the unit, so that the typical "
        "error is shown: the root of the average deviation, as a part of the average capacity N/3. More "
        "than 1,000 agents make fewer trials, never less than two. "
        "Chance averages out as N grows; what an agent gets wrong together with all others does not.",
    )
    body += table(
        "Typical error by number of agents, setting 1.", ("N", *LIVE_STRATEGIES), rows, name="agents"
    )
    body += figure(svg(drawn, prefix="agents"), "The same; both axes are logarithmic.", name="agents")
    body += table(
        "Average deviation by number of resources, N = 1,000, ten random walks whose steps are 15/Q units "
        f"and whose floor is 150/Q, without the first {WARM_UP} steps.",
        ("Q", *LIVE_STRATEGIES),
        [(str(q), *(report.settled("resources", q, name) for name in LIVE_STRATEGIES)) for q in resources],
        name="resources",
    )
    return Section("From a hundred agents to a million, from 2 resources to 32", body)


def _relative_error(found: Measured, agents: int) -> float:
    """Root of the average deviation after the warm-up, in percent of the average of three capacities."""
    return 100.0 * float(found.settled_deviation**0.5) / (agents / 3)
