"""Columns and tables of pandas, polars and arrow mean what lists of the same values mean."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    ConfigurationError,
    ManualClock,
)
from safeguards._values.arrays import flags, floats, instants, whole_numbers
from safeguards.backtest import Demand

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
pyarrow = pytest.importorskip("pyarrow")

NOW = datetime(2026, 3, 2, tzinfo=UTC)
HOURS = [NOW - timedelta(hours=n) for n in range(336, 0, -1)]
AMOUNTS = [2.0 if 9 <= hour.hour < 17 else 0.0 for hour in HOURS]
NAIVE = [hour.replace(tzinfo=None) for hour in HOURS]
IN_BERLIN = [hour.astimezone(timezone(timedelta(hours=1))) for hour in HOURS]

AT_ONE = pyarrow.timestamp("us", "+01:00")

TIMES = {
    "pandas": pandas.Series(HOURS),
    "pandas in a zone": pandas.Series(HOURS).dt.tz_convert("Asia/Kolkata"),
    "pandas index": pandas.DatetimeIndex(HOURS).tz_convert("America/New_York"),
    "pandas without a zone": pandas.Series(NAIVE),
    "pandas of arrow": pandas.Series(HOURS).astype("timestamp[us, tz=UTC][pyarrow]"),
    "polars": polars.Series(HOURS),
    "polars in a zone": polars.Series(HOURS).dt.convert_time_zone("Asia/Kolkata"),
    "polars without a zone": polars.Series(NAIVE),
    "arrow": pyarrow.array(HOURS),
    "arrow in a zone": pyarrow.chunked_array([pyarrow.array(IN_BERLIN, AT_ONE)]),
    "arrow without a zone": pyarrow.array(NAIVE),
    "numpy": np.array(NAIVE, "datetime64[us]"),
}
NUMBERS = {
    "pandas": pandas.Series(AMOUNTS),
    "pandas, nullable": pandas.Series(AMOUNTS, dtype="Float64"),
    "pandas of arrow": pandas.Series(AMOUNTS, dtype="float64[pyarrow]"),
    "polars": polars.Series(AMOUNTS),
    "arrow": pyarrow.array(AMOUNTS),
    "arrow, in pieces": pyarrow.chunked_array([AMOUNTS[:5], AMOUNTS[5:]]),
    "exact": pyarrow.array([Decimal(str(amount)) for amount in AMOUNTS]),
}


def learner():
    coordinator = BudgetCoordinator(clock=ManualClock(NOW))
    return BudgetPatternLearner(coordinator, timezone="UTC")


@pytest.mark.parametrize("amounts", NUMBERS)
@pytest.mark.parametrize("times", TIMES)
def test_a_history_is_the_same_history(times, amounts):
    expected, found = learner(), learner()
    expected.load_history("bot", HOURS, [int(amount) for amount in AMOUNTS])
    found.load_history("bot", TIMES[times], NUMBERS[amounts])
    assert str(found.analyze_patterns("bot")) == str(expected.analyze_patterns("bot"))
    assert found.predict_budget_needs("bot", NOW) == expected.predict_budget_needs("bot", NOW)


def test_a_zone_is_not_lost_on_the_way():
    """As arrays, polars and arrow give UTC without saying so: a learner elsewhere would be hours off."""
    for times in (TIMES["polars in a zone"], TIMES["arrow in a zone"], TIMES["pandas in a zone"]):
        assert [at.astimezone(UTC) for at in instants("times", times)] == HOURS


@pytest.mark.parametrize(
    "column",
    [pandas.Series([HOURS[0], None]), polars.Series([HOURS[0], None]), pyarrow.array([HOURS[0], None])],
    ids=["pandas", "polars", "arrow"],
)
def test_a_time_that_is_missing_is_named(column):
    with pytest.raises(TypeError, match="each of timestamps must be a datetime, not (None|NaT)"):
        learner().load_history("bot", column, [1, 2])


@pytest.mark.parametrize(
    "column",
    [pandas.Series([1, None], dtype="Int64"), polars.Series([1, None]), pyarrow.array([1.5, None])],
    ids=["pandas", "polars", "arrow"],
)
def test_a_number_that_is_missing_is_named(column):
    with pytest.raises(ConfigurationError):
        learner().load_history("bot", HOURS[:2], column)
    assert np.isnan(floats("values", column)[1])


def test_the_optimizer_reads_columns():
    coordinator = BudgetCoordinator(clock=ManualClock(NOW))
    coordinator.register_agent("bot", coordinator.create_budget_pool("team", 10), initial_budget=1)
    optimizer = BudgetRLOptimizer(coordinator)
    optimizer.load_history("bot", TIMES["polars"], NUMBERS["arrow"])


@pytest.mark.parametrize(
    "make", [pandas.DataFrame, polars.DataFrame, pyarrow.table], ids=["pandas", "polars", "arrow"]
)
def test_tables_of_numbers(make):
    steps = {"a": [500.0] * 5, "b": [300.0] * 5}
    assert floats("capacities", make(steps)).tolist() == [[500.0, 300.0]] * 5
    assert Demand(("x", "y"), make({"0": [1, 2], "1": [3, 4]})).cost.tolist() == [[1.0, 3.0], [2.0, 4.0]]


def test_flags_and_counts():
    for column in (
        pandas.Series([True, False], dtype="boolean"),
        polars.Series([True, False]),
        pyarrow.array([True, False]),
    ):
        assert flags("flags", column, "n").tolist() == [True, False]
    for column in (pandas.Series([1, 2], dtype="Int64"), polars.Series([1, 2]), pyarrow.array([1, 2])):
        assert whole_numbers("counts", column, "n").tolist() == [1, 2]
    for column in (
        pandas.Series([True, None], dtype="boolean"),
        polars.Series([True, None]),
        pyarrow.array([True, None]),
    ):
        with pytest.raises(ConfigurationError, match="flags must be a"):
            flags("flags", column, "n")
