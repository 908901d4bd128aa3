"""A simulation never asks for more memory than there is, and its statistics need no loads."""

import resource
import subprocess
import sys

import numpy as np
import pytest

from safeguards.allocation import (
    AdaptiveStrategy,
    FlowStrategy,
    _memory,
    experiment_setting,
    simulate,
    simulation,
)
from safeguards.exceptions import ConfigurationError

CAPACITIES = experiment_setting(2)


@pytest.fixture
def small(monkeypatch):
    """Statistics in parts of a few trials each, on a machine that has a gigabyte."""
    monkeypatch.setattr(simulation, "_AT_ONCE", 3 * CAPACITIES.size * 8)
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10**9)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("options", [{}, {"observation_noise": 0.1, "task_steps": 2}])
def test_statistics_are_the_same_to_the_last_digit_with_and_without_loads(options):
    options = {"trials": 7, "seed": 5, "threads": 1, **options}
    kept = simulate(CAPACITIES, AdaptiveStrategy(), keep_loads=True, **options)
    not_kept = simulate(CAPACITIES, AdaptiveStrategy(), keep_loads=False, **options)
    assert (kept.has_loads, not_kept.has_loads) == (True, False)
    for name in ("trial_deviations", "step_deviations", "mean_loads"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(not_kept, name), err_msg=name)
    assert not_kept.after(20).average_deviation == kept.after(20).average_deviation
    np.testing.assert_allclose(
        kept.trial_deviations, ((kept.loads - CAPACITIES) ** 2).mean(axis=(1, 2)), rtol=1e-12
    )
    np.testing.assert_allclose(kept.mean_loads, kept.loads.mean(axis=0), rtol=1e-12)
    with pytest.raises(
        ConfigurationError, match=r"loads were not kept: they are 100,800 bytes|loads were not kept"
    ):
        not_kept.loads.sum()
    with pytest.raises(ConfigurationError, match="use sweep"):
        not_kept.after(20).trial_deviations.sum()


@pytest.mark.usefixtures("small")
def test_attitudes_of_each_trial_go_with_it():
    attitudes = np.random.default_rng(0).random((7, 50, 3))
    capacities = CAPACITIES / 20
    results = [
        simulate(
            capacities[:40],
            AdaptiveStrategy(),
            n_agents=50,
            trials=7,
            initial_attitudes=attitudes,
            keep_loads=keep,
            threads=1,
        )
        for keep in (True, False)
    ]
    np.testing.assert_array_equal(results[0].trial_deviations, results[1].trial_deviations)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"trials": 10**6, "keep_loads": True},
            "trials=1,000,000 whose loads are kept need 14.4 GB of memory and 1.0 GB are free: keep_l",
        ),
        ({"trials": 2**32, "keep_loads": False}, "trials=4,294,967,296 .* take fewer trials"),
        ({"n_agents": 10**9, "allow_scarcity": True, "threads": 1}, "n_agents=1,000,000,000 on 1 threads"),
    ],
)
def test_what_would_not_fit_is_refused_before_any_work(options, message):
    seen = []
    with pytest.raises(ConfigurationError, match=message):
        simulate(CAPACITIES, AdaptiveStrategy(), progress=lambda *report: seen.append(report), **options)
    assert not seen


def test_more_loads_than_a_gigabyte_are_not_kept_unless_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(simulation, "MOST_KEPT", 3 * CAPACITIES.size * 8)
    assert simulate(CAPACITIES, FlowStrategy(), trials=3).has_loads
    assert not simulate(CAPACITIES, FlowStrategy(), trials=4).has_loads
    assert simulate(CAPACITIES, FlowStrategy(), trials=4, keep_loads=True).has_loads


def test_many_trials_stay_within_little_memory():
    """40,000 trials would keep 2.9 GB of loads: the process may have one."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
import numpy as np
from safeguards.allocation import RandomStrategy, simulate
seen = []
result = simulate(np.full((3000, 3), 1.0), RandomStrategy(), n_agents=3, trials=40_000, threads=2,
                  progress=lambda *report: seen.append(report))
print(result.has_loads, len(result.trial_deviations), seen == sorted(seen), seen[-1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"False 40000 True ({40_000 * 3000}, {40_000 * 3000})\n"
    assert resource.getpagesize() > 0


def test_what_there_is_is_asked_of_the_system(tmp_path, monkeypatch):
    assert _memory.available_bytes() > 10**6
    monkeypatch.setattr(_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(_memory, "_CGROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 8000 kB\nMemAvailable:   4000 kB\n")
    assert _memory.available_bytes() == 4000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert _memory.available_bytes() == 4000 * 1024
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert _memory.available_bytes() == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "meminfo").write_bytes(b"MemAvailable: \xff kB\n")
    assert _memory.available_bytes() > 10**6  # the system's other answer
    (tmp_path / "meminfo").unlink()
    assert _memory.available_bytes() > 10**6
