"""What most tests start from: one agent (1.00) in one pool (10.00), on a clock that stands still.

The suite runs in an empty folder that is the home as well, so that nothing of the machine is read by chance.
`SAFEGUARDS_TORTURE=1` (`make torture`) runs the long forms: tests marked `torture`, and many more examples.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, configuration, settings

from safeguards import (
    BudgetCoordinator,
    BudgetRateLimiter,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
)

ROOT = Path(__file__).parent.parent
TORTURE = os.environ.get("SAFEGUARDS_TORTURE") == "1"

# Files and tests that take about a second or more: `make test-quick` leaves them out.
SLOW = (
    "allocation/test_cli_simulate.py",
    "allocation/test_deviations.py",
    "allocation/test_docs_tables.py",
    "allocation/test_paper.py",
    "allocation/test_sweeps.py",
    "backtest/",
    "controllers/test_together.py",
    "cost_benefit/test_allocation.py",
    "cost_benefit/test_learning.py",
    "cost_benefit/test_optimum.py",
    "forecast/test_quality.py",
    "resources/test_fair_shares.py",
    "rl/test_optimizer.py",
    "test_amounts.py::test_a_million",
    "test_cli.py",
    "test_examples.py",
    "test_fork.py",
    "test_ledger_stateful.py",
    "test_readme.py::test_python_blocks",
    "test_shipped.py::test_the_notices_are",
    "test_time_zones.py::test_a_machine",
    "test_time_zones.py::test_a_wrong",
    "test_time_zones.py::test_without",
    "time_scheduler/test_calendar.py",
    "time_scheduler/test_pacing.py",
)

configuration.set_hypothesis_home_dir(ROOT / ".hypothesis")
# A loaded machine is slow, not wrong.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.register_profile(
    "torture", settings.get_profile("suite"), max_examples=5_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("torture" if TORTURE else "suite")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(SLOW):
            item.add_marker("slow")
        if item.get_closest_marker("torture") and not TORTURE:
            item.add_marker(pytest.mark.skip(reason="long: `make torture` runs it"))


@pytest.fixture(scope="session", autouse=True)
def an_empty_folder(tmp_path_factory):
    """The home, and where the suite stands."""
    folder, home, before = tmp_path_factory.mktemp("home"), Path.home(), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        # Tools that tests start find what they have installed; pictures need not look for fonts each time.
        for name, place in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")):
            patch.setenv(name, os.environ.get(name, str(home / place)))
        # Processes that tests start find the tests: as `tests.threads.reentry`, and as the suite does.
        found = (ROOT, ROOT / "tests", ROOT / "benches", os.environ.get("PYTHONPATH"))
        patch.setenv("PYTHONPATH", os.pathsep.join(str(place) for place in found if place))
        patch.setenv("MPLCONFIGDIR", str(ROOT / ".pytest_cache" / "matplotlib"))
        patch.setenv("HOME", str(folder))
        patch.chdir(folder)
        yield
    os.chdir(before)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def manager():
    return NotificationManager()


@pytest.fixture
def coordinator(clock, manager):
    coordinator = BudgetCoordinator(manager, clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    yield coordinator
    coordinator.verify()


@pytest.fixture
def limiter(coordinator):
    return BudgetRateLimiter(coordinator)


@pytest.fixture
def resources(coordinator):
    """`bot` with 100 calls and 10 seconds."""
    resources = MultiResourceBudget(coordinator)
    resources.initialize_budgets("bot", {"calls": 100, "seconds": 10})
    return resources
