"""Recorded demand: what is read, and what is said about a file that cannot be."""

import gzip

import numpy as np
import pytest

from safeguards import ConfigurationError, TraceError
from safeguards.backtest import Demand

HEAD = "hour,agent,requests,cost_usd\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="demand.csv"):
        path = tmp_path / name
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("name", ["demand.csv", "demand.csv.gz"])
def test_hours_that_are_left_out_are_zero(write, name):
    rows = "12,writer,3,0.5\n10,reader,1,0.25\n12,reader,1,1e-3\n"
    demand = Demand.read_csv(write("\ufeff" + HEAD + rows, name))
    assert demand.agents == ("reader", "writer")
    assert demand.hours == 3
    np.testing.assert_array_equal(demand.cost, [[0.25, 0, 0.001], [0, 0, 0.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        (HEAD, "no rows below the head"),
        (
            "hour,agent\n1,a\n",
            "line 1: no column is the cost: name it with --cost (cost=); there are hour, agent",
        ),
        (
            HEAD + "1,a,1,0.5\nx,a,1,0.5\n",
            "line 3: hour must be a whole number of up to 6 digits, or a time, not 'x'",
        ),
        (HEAD + "-1,a,1,0.5\n", "line 2: hour must be a whole number"),
        (HEAD + "1,,1,0.5\n", "line 2: agent is empty"),
        (HEAD + "1,a,1,-0.5\n", "line 2: cost_usd must be a number from 0 to 10^15, as 0.25, not '-0.5'"),
        (HEAD + "1,a,1,nan\n", "1 cost of 1 agent not known, which is not zero: --unknown zero"),
        (HEAD + "1,a,1,1e99\n", "line 2: cost_usd must be"),
        (HEAD + "1,a\n", "line 2: there are 2 cells where 4 are expected"),
        (HEAD.encode() + b"1,\xff,1,2\n", "not text in UTF-8"),
        (HEAD + "".join(f"{999_999 * (n % 2)},a{n},1,1\n" for n in range(200)), "are too many"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(write, text, message):
    path = write(text)
    with pytest.raises(TraceError) as caught:
        Demand.read_csv(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.path == str(path)


def test_no_file_and_no_archive(write, tmp_path):
    with pytest.raises(TraceError, match="No such file"):
        Demand.read_csv(tmp_path / "nowhere.csv")
    (tmp_path / "text.csv.gz").write_text(HEAD)
    with pytest.raises(TraceError, match="text.csv.gz"):
        Demand.read_csv(tmp_path / "text.csv.gz")
    packed = gzip.compress((HEAD + "1,a,1,2\n" * 1000).encode())
    (tmp_path / "torn.csv.gz").write_bytes(packed[:-20])
    with pytest.raises(TraceError, match="torn.csv.gz"):
        Demand.read_csv(tmp_path / "torn.csv.gz")


def test_arrays_are_checked_and_kept():
    cost = np.ones((2, 3))
    demand = Demand(("a", "b"), cost)
    cost[0, 0] = 99
    assert demand.cost[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        demand.cost[0, 0] = 2
    with pytest.raises(ConfigurationError, match=r"shape \(agents, hours\) with 2 agents, not \(3, 2\)"):
        Demand(("a", "b"), np.ones((3, 2)))
    for value in (-1, np.nan, np.inf, 1e16):
        with pytest.raises(ConfigurationError, match=r"cost must be from 0 to 10\^15"):
            Demand(("a",), np.array([[value]]))
