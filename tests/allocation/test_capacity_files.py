"""Capacities of a file: names of resources, a column of times, and what is refused."""

import numpy as np
import pytest

from safeguards.allocation import FlowStrategy, simulate
from safeguards.allocation.capacity_files import read_capacities
from safeguards.allocation.plots import plot_loads
from safeguards.exceptions import ConfigurationError


def read(tmp_path, text):
    path = tmp_path / "c.csv"
    path.write_text(text)
    return {name: column.tolist() for name, column in read_capacities(path).items()}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("60,41\n50,51.5\n", {"1": [60, 50], "2": [41, 51.5]}),
        ("gpu, cpu\n60,41\n\n50,51.5\n", {"gpu": [60, 50], "cpu": [41, 51.5]}),
        ("step,gpu\n1,60\n2,50\n", {"gpu": [60, 50]}),
        ("gpu,Time\n60,0.5\n50,7\n", {"gpu": [60, 50]}),
        ("timestamp,gpu\n2026-01-01T00:00Z,60\n2026-01-01T01:00Z,50\n", {"gpu": [60, 50]}),
        ("date,gpu\n2026-01-01,60\n2026-01-02,50\n", {"gpu": [60, 50]}),
        ("1,60\n2,50\n", {"1": [1, 2], "2": [60, 50]}),  # two lines prove nothing
        ("1\n2\n3\n", {"1": [1, 2, 3]}),
    ],
)
def test_names_and_times_are_understood(text, columns, tmp_path):
    assert read(tmp_path, text) == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,60\n2,50\n3,70\n", "the first column counts the lines. Write names into the first line"),
        ("0,60\n1,50\n2,70\n", "the first column counts the lines"),
        ("time,gpu\n1,60\n1,50\n", "line 3: time 1 does not come after the one before"),
        ("date,gpu\n2026-01-02,60\n2026-01-01,50\n", "line 3: time 2026-01-01 does not come after"),
        ("time,gpu\n1,60\n2026-01-01,50\n", "line 3: time 2026-01-01 does not come after"),
        ("time,gpu\nsoon,60\n", "line 2: 'soon' is not a time: write a number or"),
        ("time,gpu,hour\n1,60,1\n", "time, hour are all times"),
        ("time\n1\n", "there is no resource beside the time"),
        ("gpu,gpu\n1,60\n", "line 1: each column wants a name of its own"),
        ("2026-01-01,60\n2026-01-02,50\n", "'2026-01-01' is not a number: name the column `time`"),
        ("a,b\n1,2\n3,x\n", "line 3: 'x' is not a number"),
    ],
)
def test_what_cannot_be_meant_is_refused(text, message, tmp_path):
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, text)


def test_names_go_wherever_resources_are_named():
    columns = {"gpu": [60.0, 40.0] * 4, "cpu": [41.0, 61.0] * 4}
    result = simulate(columns, FlowStrategy(), n_agents=101, trials=3)
    assert result.resources == ("gpu", "cpu")
    assert result.after(2).resources == ("gpu", "cpu")
    np.testing.assert_array_equal(
        result.loads,
        simulate(np.stack(list(columns.values()), axis=1), FlowStrategy(), n_agents=101, trials=3).loads,
    )
    figure = plot_loads(result, resources=["cpu"])
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert words[0] == "Load of cpu, mean of trials"
    with pytest.raises(ConfigurationError, match="resources must be some of 0 to 1 or of gpu, cpu, not"):
        plot_loads(result, resources=["tpu"])
    with pytest.raises(ConfigurationError, match="not be negative: step 2, resource 'cpu' is -1"):
        simulate({"gpu": [1, 1], "cpu": [1, -1]}, FlowStrategy(), n_agents=1)
    with pytest.raises(ConfigurationError, match="same number of steps for each resource"):
        simulate({"gpu": [1, 1], "cpu": [1]}, FlowStrategy(), n_agents=1)


class Frame:
    """What a data frame of pandas or polars looks like to us."""

    columns = ("gpu", "cpu")

    def __array__(self, dtype=None, copy=None):
        return np.array([[60.0, 41.0], [40.0, 61.0]], dtype=dtype)


def test_columns_of_a_data_frame_are_names():
    assert simulate(Frame(), FlowStrategy(), n_agents=101, trials=1).resources == ("gpu", "cpu")


def test_what_is_drawn_of_many_resources_is_said():
    figure = plot_loads(simulate(np.full((9, 6), 5.0), FlowStrategy(), n_agents=30, trials=2), title="T")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "T (the first 4 of 6 resources)"
    assert {line.get_gid() for line in axes.lines} == {
        f"{k}-{n}" for k in ("load", "capacity") for n in range(1, 5)
    }
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words[-2:] == ["Capacity", "Middle 80 % of trials, in the load's colour"]
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
