"""`safeguards simulate`, as a process."""

import json
import os
import subprocess
import sys

import pytest

from safeguards.allocation import (
    AdaptiveStrategy,
    FlowStrategy,
    LamLeungStrategy,
    experiment_setting,
    simulate,
)


def safeguards(*arguments, width=80):
    return subprocess.run(
        [sys.executable, "-m", "safeguards", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": str(width), "NO_COLOR": "1"},
    )


def simulated(*arguments):
    done = safeguards("simulate", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def rows(text):
    """Cells by strategy."""
    lines = [line.split() for line in text.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if cells and cells[0] in {"adaptive", "lam-leung", "flow"}}


def test_the_table_holds_what_simulate_gives_beside_what_is_published():
    done = safeguards("simulate", "--setting", 2, "--trials", 4, "--seed", 9)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "Experiment setting 2, corrected: 1,000 agents, 3 resources, 600 steps, 4 trials, seed 9\n"
    )
    found = rows(done.stdout)
    capacities = experiment_setting(2)
    for strategy, published in (
        (AdaptiveStrategy.for_setting(2), "431.47"),
        (LamLeungStrategy(), "12,030.83"),
        (FlowStrategy(), "-"),
    ):
        result = simulate(capacities, strategy, trials=4, seed=9)
        cells = [float(cell.replace(",", "")) for cell in found[strategy.name][:3]]
        expected = [
            result.average_deviation,
            result.trial_deviations.std(ddof=1),
            result.after(20).average_deviation,
        ]
        assert cells == pytest.approx(expected, rel=0.006)
        assert found[strategy.name][3] == published


def test_json_has_every_digit():
    found = simulated("--strategy", "adaptive", "--trials", 3, "--as-printed", "--setting", 2)
    strategy = AdaptiveStrategy.for_setting(2)
    result = simulate(experiment_setting(2, as_printed=True), strategy, trials=3)
    assert found["results"] == [
        {
            "strategy": "adaptive",
            "parameters": {
                "adjusting_rate": 0.02,
                "scaling_factor": 6.0,
                "choice": "max",
                "attitude": "resource",
            },
            "average_deviation": result.average_deviation,
            "standard_deviation": float(result.trial_deviations.std(ddof=1)),
            "average_deviation_after_warm_up": result.after(20).average_deviation,
            "published": 431.4749,
        }
    ]
    assert (found["setting"], found["as_printed"], found["steps"], found["seed"]) == (2, True, 600, 0)


def test_conditions_reach_the_simulation_and_take_the_published_column_away():
    options = ("--noise", 0.05, "--careless", 0.1, "--task-units", 2, "--task-steps", 3, "--threads", 1)
    found = simulated("--agents", 300, "--strategy", "flow", "--trials", 2, "--seed", 5, *options)
    result = simulate(
        experiment_setting(1, total=600.0),
        FlowStrategy(),
        n_agents=300,
        trials=2,
        seed=5,
        observation_noise=0.05,
        careless_fraction=0.1,
        task_units=2,
        task_steps=3,
    )
    assert found["results"][0]["average_deviation"] == result.average_deviation
    table = safeguards("simulate", "--trials", 1, "--noise", 0.01).stdout
    assert "noise 0.01" in table
    assert "published" not in table


def test_other_parameters_are_not_the_published_experiment():
    tuned = simulated("--trials", 1, "--strategy", "adaptive", "--choice", "roulette", "--attitude", "agent")
    other = simulated("--trials", 1, "--strategy", "adaptive", "--scaling-factor", 5)
    assert tuned["results"][0]["published"] == 372.2851
    assert other["results"][0]["published"] is None
    assert other["results"][0]["parameters"]["scaling_factor"] == 5


def test_capacities_of_a_file(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("fast,cheap\n60,41\n\n50,51.5\n")
    found = simulated("--capacities", path, "--strategy", "flow", "--trials", 2)
    assert (found["n_agents"], found["steps"], found["resources"], found["setting"]) == (101, 2, 2, None)
    assert found["resource_names"] == ["fast", "cheap"]
    table = safeguards("simulate", "--capacities", path, "--strategy", "flow", "--trials", 2).stdout
    assert table.startswith("c.csv: 101 agents, 2 resources (fast, cheap), 2 steps, 2 trials, seed 0\n")
    result = simulate([[60, 41], [50, 51.5]], FlowStrategy(), n_agents=101, trials=2)
    assert found["results"][0]["average_deviation"] == result.average_deviation
    assert found["results"][0]["average_deviation_after_warm_up"] is None


def test_plot_draws_one_figure_per_strategy(tmp_path):
    done = safeguards("simulate", "--trials", 1, "--plot", tmp_path / "figures")
    assert done.returncode == 0
    drawn = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert drawn == [
        f"{name}.png"
        for name in ("adaptive", "flow", "galstyan", "lam-leung", "previous-capacity", "random", "win-stay")
    ]
    assert all(path.stat().st_size > 10_000 for path in (tmp_path / "figures").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", 0], "--trials must be from 1"),
        (["--setting", 4], "--setting must be 1, 2 or 3"),
        (["--setting", 3, "--as-printed"], "--as-printed: setting 3 to the letter has negative capacities"),
        (["--strategy", "foo"], "--strategy must be all or one of adaptive, lam-leung"),
        (["--noise", -1], "--noise must be a number from 0 to 10, not -1"),
        (["--careless", 2], "--careless must be a number from 0 to 1, not 2"),
        (["--agents", 0], "--agents must be from 1"),
        (["--seed", -1], "--seed must be from 0"),
        (["--threads", 0], "--threads must be from 1"),
        (["--task-units", 0], "--task-units must be from 1"),
        (["--task-steps", 0], "--task-steps must be from 1"),
        (["--adjusting-rate", 3], "--adjusting-rate must be a number from 0 to 1, not 3"),
        (["--scaling-factor", -1], "--scaling-factor must be a number from 0"),
        (["--capacities", "/nowhere/c.csv"], "--capacities cannot be read from /nowhere/c.csv: No such file"),
        (["--capacities", "x", "--setting", 1], "--capacities cannot be combined with --setting"),
        (["--plot", "/dev/null/x", "--trials", 1, "--strategy", "flow"], "--plot: "),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line_that_names_the_option(arguments, message):
    done = safeguards("simulate", *arguments)
    assert (done.returncode, done.stdout) == (3 if "--plot" in arguments else 2, "")
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "are missing in"),
        ("a,b\n", "are missing in"),
        ("1,2\n3\n", "line 2: 1 values where 2 are expected"),
        ("a,b\n1,2\n3,x\n", "line 3: 'x' is not a number"),
        ("1,-2\n", "must not be negative"),
        ("1,nan\n", "must be finite"),
    ],
)
def test_a_file_that_holds_no_capacities(text, message, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(text)
    done = safeguards("simulate", "--capacities", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --capacities ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_scarcity_is_refused_unless_it_is_asked_for(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("60,41\n" * 3)
    refused = safeguards("simulate", "--capacities", path, "--agents", 102)
    assert refused.returncode == 2
    assert "or --allow-scarcity" in refused.stderr
    accepted = safeguards(
        "simulate", "--capacities", path, "--agents", 102, "--allow-scarcity", "--trials", 1
    )
    assert accepted.returncode == 0


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("arguments", [["simulate", "-h"], ["paper", "-h"]])
def test_help_fits_the_terminal(arguments, width):
    done = safeguards(*arguments, width=width)
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= width
