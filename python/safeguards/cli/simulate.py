"""`safeguards simulate`: agents that share resources of changing capacity."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safeguards.allocation import (
    PUBLISHED_DEVIATIONS,
    STRATEGIES,
    AdaptiveStrategy,
    SimulationResult,
    Strategy,
    experiment_setting,
    simulate,
)
from safeguards.allocation.capacity_files import read_capacities
from safeguards.cli._allocation import (
    WARM_UP,
    naming_options,
    number,
    progress_bar,
    spread,
)
from safeguards.cli._output import directory_for, writing
from safeguards.cli._screen import Column, Screen
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PAPER_AGENTS = 1000
_NAMED = 8
"""Resources that are named in a headline."""
_NAMES = ", ".join(STRATEGIES)


def command(
    *,
    setting: Annotated[
        int | None, typer.Option(metavar="1|2|3", show_default="1", help="Experiment setting of the paper.")
    ] = None,
    as_printed: Annotated[
        bool, typer.Option("--as-printed", help="The setting to the letter, with its misprints.")
    ] = False,
    capacities: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Capacities of your own: a line per step, a column per resource, names in the first line; "
            "a column `time` or `step` is the time.",
        ),
    ] = None,
    strategy: Annotated[str, typer.Option(metavar="NAME|all", help=f"One of {_NAMES}.")] = "all",
    trials: Annotated[int, typer.Option(help="Independent repetitions.")] = 100,
    seed: Annotated[int, typer.Option(help="Where all random numbers come from.")] = 0,
    agents: Annotated[
        int | None,
        typer.Option(
            show_default="1000; with --capacities as many as always fit",
            help="Number of agents; capacities of a setting are scaled to it.",
        ),
    ] = None,
    noise: Annotated[
        float, typer.Option(help="Standard deviation of observed capacities, relative to the true ones.")
    ] = 0.0,
    careless: Annotated[float, typer.Option(help="Part of the agents that choose at random.")] = 0.0,
    task_units: Annotated[int, typer.Option(help="Units that a task holds.")] = 1,
    task_steps: Annotated[int, typer.Option(help="Steps for which a task holds them.")] = 1,
    allow_scarcity: Annotated[
        bool, typer.Option("--allow-scarcity", help="Accept less capacity than all tasks need.")
    ] = False,
    adjusting_rate: Annotated[
        float | None, typer.Option(show_default="as the paper tuned it", help="Of the adaptive strategy.")
    ] = None,
    scaling_factor: Annotated[
        float | None, typer.Option(show_default="as the paper tuned it", help="Of the adaptive strategy.")
    ] = None,
    choice: Annotated[
        Literal["max", "roulette"], typer.Option(help="How an adaptive agent chooses by attractiveness.")
    ] = "max",
    attitude: Annotated[
        Literal["resource", "agent"], typer.Option(help="What an adaptive agent has an attitude for.")
    ] = "resource",
    threads: Annotated[
        int | None, typer.Option(show_default="one per core", help="Most threads to use.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Draw load against capacity over time, a PNG per strategy."),
    ] = None,
) -> None:
    """Simulate agents that share resources of changing capacity.

    Says how far their loads are from it.

    The system of She & Leung, "An adaptive strategy for resource allocation with changing capacities" (2009).
    Its published deviations stand beside the measured ones where they are of the same experiment.

    Exit codes: 0 done, 2 wrong usage or wrong input, 3 pictures or results cannot be written.
    """
    adaptive = {
        "adjusting_rate": adjusting_rate,
        "scaling_factor": scaling_factor,
        "choice": choice,
        "attitude": attitude,
    }
    options: dict[str, Any] = {
        "trials": trials,
        "seed": seed,
        "observation_noise": noise,
        "careless_fraction": careless,
        "task_units": task_units,
        "task_steps": task_steps,
        "allow_scarcity": allow_scarcity,
    }
    with naming_options(capacities="--setting" if capacities is None else "--capacities"):
        experiment = _experiment(setting, capacities, agents, task_units, is_printed=as_printed)
        chosen = [_strategy(name, experiment.setting, adaptive) for name in _names(strategy)]
        options["n_agents"] = experiment.agents
        if plot is not None:
            directory_for("--plot", plot)
        results = _run(experiment, chosen, options, threads)
    if plot is not None:
        _plot(results, plot)
    if as_json:
        typer.echo(json.dumps(_to_dict(experiment, results, options), indent=2))
    else:
        _print(experiment, results, options)


@dataclass(frozen=True)
class _Experiment:
    """What is simulated, and what to call it."""

    title: str
    setting: int | None
    as_printed: bool
    capacities: "dict[str, NDArray[np.float64]]"
    agents: int

    @property
    def steps(self) -> int:
        return len(next(iter(self.capacities.values())))

    def published(self, result: SimulationResult, options: dict[str, Any]) -> float | None:
        """The paper's figure, if this is the paper's experiment."""
        changed = any(options[name] for name in ("observation_noise", "careless_fraction"))
        larger = options["task_units"] > 1 or options["task_steps"] > 1
        if self.setting is None or self.agents != _PAPER_AGENTS or changed or larger:
            return None
        if isinstance(result.strategy, AdaptiveStrategy) and not _is_tuned(result.strategy, self.setting):
            return None
        return PUBLISHED_DEVIATIONS[self.setting].get(result.strategy.name)


def _is_tuned(strategy: AdaptiveStrategy, setting: int) -> bool:
    tuned = AdaptiveStrategy.for_setting(setting)
    return strategy == replace(tuned, choice=strategy.choice, attitude=strategy.attitude)


def _experiment(
    setting: int | None, path: Path | None, agents: int | None, units: int, *, is_printed: bool
) -> _Experiment:
    if path is not None:
        if setting is not None or is_printed:
            raise ConfigurationError("--capacities cannot be combined with --setting or --as-printed")
        columns = read_capacities(path)
        least = float(sum(columns.values()).min())  # type: ignore[union-attr] # arrays, one at least
        fitting = max(1, int(least) // max(units, 1)) if least < float("inf") else 1
        return _Experiment(path.name, None, False, columns, fitting if agents is None else agents)  # noqa: FBT003
    number_of = 1 if setting is None else setting
    if number_of not in PUBLISHED_DEVIATIONS:
        raise ConfigurationError(
            f"--setting must be 1, 2 or 3, the paper's experiment settings, not {setting}"
        )
    if number_of == 3 and is_printed:  # noqa: PLR2004 - the paper's third
        raise ConfigurationError(
            "--as-printed: setting 3 to the letter has negative capacities from step 1051 on, a misprint: "
            "leave the option out for the corrected setting"
        )
    agents = _PAPER_AGENTS if agents is None else agents
    total = float(max(agents, 1) * max(units, 1))
    reading = {1: "", 2: ", as printed" if is_printed else ", corrected"}
    title = f"Experiment setting {number_of}{reading.get(number_of, reading[2])}"
    steps = experiment_setting(number_of, as_printed=is_printed, total=total)
    columns = {str(n): column for n, column in enumerate(steps.T, start=1)}
    return _Experiment(title, number_of, is_printed, columns, agents)


def _names(strategy: str) -> list[str]:
    if strategy == "all":
        return list(STRATEGIES)
    if strategy not in STRATEGIES:
        raise ConfigurationError(f"--strategy must be all or one of {_NAMES}, not {strategy!r}")
    return [strategy]


def _strategy(name: str, setting: int | None, adaptive: dict[str, Any]) -> Strategy:
    if name != AdaptiveStrategy.name:
        return STRATEGIES[name]()
    tuned = AdaptiveStrategy() if setting is None else AdaptiveStrategy.for_setting(setting)
    return AdaptiveStrategy(**asdict(tuned) | {key: v for key, v in adaptive.items() if v is not None})


def _run(
    experiment: _Experiment, strategies: list[Strategy], options: dict[str, Any], threads: int | None
) -> list[SimulationResult]:
    results: list[SimulationResult] = []
    with progress_bar("simulating") as advance:
        for n, strategy in enumerate(strategies):

            def progress(done: int, steps: int, n: int = n, name: str = strategy.name) -> None:
                advance(n * steps + done, len(strategies) * steps, name)

            results.append(
                simulate(experiment.capacities, strategy, threads=threads, progress=progress, **options)
            )
    return results


def _settled(result: SimulationResult) -> SimulationResult | None:
    """Without the steps in which agents know nothing yet, if there are others."""
    return result.after(WARM_UP) if len(result.capacities) > WARM_UP else None


def _plot(results: list[SimulationResult], directory: Path) -> None:
    from safeguards.allocation.plots import plot_loads, save_png

    figures = {result.strategy.name: plot_loads(result, title=_label(result)) for result in results}
    with writing("--plot", directory):
        for name, figure in figures.items():
            save_png(figure, directory / f"{name}.png")
            typer.echo(f"wrote {directory / f'{name}.png'}", err=True)


def _label(result: SimulationResult) -> str:
    return f"{result.strategy.name}: average deviation {number(result.average_deviation)}"


def _to_dict(
    experiment: _Experiment, results: list[SimulationResult], options: dict[str, Any]
) -> dict[str, Any]:
    return {
        "setting": experiment.setting,
        "as_printed": experiment.as_printed,
        "capacities": experiment.title,
        "steps": experiment.steps,
        "resources": len(experiment.capacities),
        "resource_names": list(experiment.capacities),
        **options,
        "warm_up": WARM_UP,
        "results": [
            {
                "strategy": result.strategy.name,
                "parameters": asdict(result.strategy),
                "average_deviation": result.average_deviation,
                "standard_deviation": spread(result),
                "average_deviation_after_warm_up": s.average_deviation if (s := _settled(result)) else None,
                "published": experiment.published(result, options),
            }
            for result in results
        ],
    }


def _print(experiment: _Experiment, results: list[SimulationResult], options: dict[str, Any]) -> None:
    names = list(experiment.capacities)
    resources = f"{len(names)} resources"
    if experiment.setting is None:
        resources += f" ({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''})"
    title = (
        f"{experiment.title}: {experiment.agents:,} agents, {resources}, {experiment.steps:,} steps, "
        f"{options['trials']} trials, seed {options['seed']}{_conditions(options)}"
    )
    published = [experiment.published(result, options) for result in results]
    columns = [Column("strategy")]
    columns += [
        Column(name, is_figure=True)
        for name in ("average deviation", "spread of trials (sd)", f"without first {WARM_UP} steps")
    ]
    columns += [Column("published (Table 1)", is_figure=True)] if any(published) else []
    rows: list[list[str]] = []
    for result, figure in zip(results, published, strict=True):
        off, settled = spread(result), _settled(result)
        cells = [number(result.average_deviation), "-" if off is None else number(off)]
        cells.append("-" if settled is None else number(settled.average_deviation))
        cells += ["-" if figure is None else f"{figure:,.2f}"] if any(published) else []
        rows.append([result.strategy.name, *cells])
    screen = Screen()
    screen.line(title, "bold")
    screen.line()
    screen.table(columns, rows)
    screen.line()
    screen.line(
        "Average deviation: mean of (load - capacity)² over steps, resources and trials (equation 5)."
    )
    if any(published):
        screen.line("Published figures are as printed; nothing measured is fitted to them.")


def _conditions(options: dict[str, Any]) -> str:
    said = {
        "observation_noise": "noise {:g}",
        "careless_fraction": "{:.0%} careless",
        "task_units": "{} units a task",
        "task_steps": "{} steps a task",
    }
    usual = {"task_units": 1, "task_steps": 1}
    changed = {name: text for name, text in said.items() if options[name] != usual.get(name, 0)}
    return "".join(f", {text.format(options[name])}" for name, text in changed.items())
