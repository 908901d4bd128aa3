"""Ratios, bars and tables of the benches, and that the page shows the run that is kept."""

import doctest
import json

import pytest

import harness
import measure
import summary
from harness import at_least, at_most


@pytest.fixture(scope="module")
def run():
    return json.loads(summary.RESULTS.read_text(encoding="utf-8"))


def test_the_page_shows_the_run_that_is_kept(run):
    page = summary.PAGE.read_text(encoding="utf-8")
    assert summary.replaced(page, summary.tables(run)) == page
    readme = summary.README.read_text(encoding="utf-8")
    assert summary.replaced(readme, {"speed": summary.speed(run)}) == readme


def test_the_page_shows_every_section_of_the_run(run):
    page = summary.PAGE.read_text(encoding="utf-8")
    assert [name for name in summary.tables(run) if f"<!-- measured: {name} -->" not in page] == []


def test_the_run_that_is_kept_proved_every_result(run):
    proofs = [
        result["extra_info"]["verified"] for result in run["benchmarks"] if "verified" in result["extra_info"]
    ]
    assert len(proofs) > 100
    assert all(proofs)


def test_the_run_that_is_kept_names_no_host(run):
    assert "node" not in run["machine_info"]


def test_a_run_is_kept_as_it_was(run):
    assert json.loads(summary.kept(run)) == run
    assert summary.kept(run) == summary.RESULTS.read_text(encoding="utf-8")


def test_a_ratio_is_taken_round_by_round():
    """The second round was slow for both: the ratio does not show it, a ratio of medians would."""
    ours, other = [1.0, 10.0, 2.0], [3.0, 30.0, 8.0]
    found = harness.ratio(ours, other, at_least(2.5))
    assert found == {
        "ratio": 3.0,
        "ratio_quartiles": [3.0, 3.5],
        "ratio_of": "other / ours",
        "bar": {"least": 2.5},
        "met": True,
    }


@pytest.mark.parametrize(
    ("bar", "ratio", "of", "met"),
    [
        (at_least(4.1), 4.0, "other / ours", False),
        (at_least(4.0), 4.0, "other / ours", True),
        (at_most(0.25), 0.25, "ours / other", True),
        (at_most(0.2), 0.25, "ours / other", False),
        (None, 4.0, "other / ours", None),
    ],
)
def test_a_bar_says_which_is_on_top(bar, ratio, of, met):
    found = harness.ratio([2.0] * 3, [8.0] * 3, bar)
    assert (found["ratio"], found["ratio_of"], found["met"]) == (ratio, of, met)


def test_without_a_bar_the_slower_is_on_top():
    assert harness.ratio([8.0] * 3, [2.0] * 3, None)["ratio_of"] == "ours / other"


@pytest.mark.parametrize(
    ("unit", "expected"), [("ns", 2000.0), ("us", 2.0), ("ms", 0.002), ("s", 2e-6), ("million/s", 0.5)]
)
def test_units(unit, expected):
    assert harness.in_unit([2e-6], unit) == [pytest.approx(expected)]


def test_a_single_sample_has_no_spread():
    assert harness.figure([5], at_most(4, "%"), "%") == {
        "value": 5.0,
        "quartiles": [5.0, 5.0],
        "unit": "%",
        "bar": {"most": 4},
        "met": False,
    }


class Told:
    """A contender that takes the time it is told to, and writes down when it was its turn."""

    how = ""

    def __init__(self, name, seconds, turns):
        self.name, self.seconds, self.turns = name, iter(seconds), turns

    def round(self):
        self.turns.append(self.name)
        return next(self.seconds)


def test_contenders_take_turns_in_an_order_that_rotates():
    turns = []
    contenders = [Told("a", [9, 1, 2], turns), Told("b", [9, 3, 4], turns)]
    assert measure.take_turns(contenders, rounds=2) == [[1, 2], [3, 4]]
    assert "".join(turns) == "abbaab"


def test_a_loops_own_cost_is_subtracted():
    """On a clock that each call moves: 3 s for the loop's own part, 10 s for the whole."""
    now = [0.0]

    def spend(seconds):
        now[0] += seconds

    names = {"spend": spend}
    one = measure.Contender(
        "one", "spend(10)", names, "{} calls".format, loop="spend(3)", calls=5, each=2, timer=lambda: now[0]
    )
    assert one.round() == pytest.approx((10 - 3) / 2)
    one.once()
    assert one.prove() == "6 calls"


def test_a_wrong_result_fails_the_run():
    def verify(calls):
        assert calls == 0, f"{calls} calls"
        return "exact"

    one = measure.work("one", lambda: None, verify)
    one.round()
    with pytest.raises(AssertionError, match="1 calls"):
        one.prove()


RESULT = {"fullname": "benches/bench_x.py::bench_it::{}", "group": "Debits: debit", "stats": {"median": 2e-7}}


def result(name, **info):
    return {**RESULT, "fullname": RESULT["fullname"].format(name), "name": name, "extra_info": info}


def test_a_missed_bar_is_shown():
    ours = result("debit", **harness.figure([200.0, 210.0, 190.0], None, "ns"))
    other = result("hand", **harness.ratio([2e-7] * 3, [3e-7] * 3, at_least(2)))
    table = summary.markdown(summary.lines({"benchmarks": [ours, other]}))
    assert [line.split(" | ")[-2:] for line in table.splitlines()] == [
        ["bar", " |"],
        ["---", "--- |"],
        ["at least 2x", "**missed by 25 %** |"],
    ]
    assert "| debit | 200 ns (195 to 205) | hand: 200 ns | 1.5x (1.5 to 1.5) |" in table


def test_a_section_that_was_not_measured_is_named():
    with pytest.raises(KeyError, match="Windows"):
        summary.replaced("<!-- measured: Windows -->\n<!-- end -->", {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.0, "3"),
        (2.6, "2.6"),
        (0.4567, "0.457"),
        (1234.5, "1,234"),
        (99.96, "100"),
        (-3.6e-12, "-3.6e-12"),
    ],
)
def test_numbers(value, text):
    assert summary.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5e-8, "25 ns"), (2.5e-6, "2.5 us"), (0.0123, "12.3 ms"), (12.5, "12.5 s")]
)
def test_durations(seconds, text):
    assert summary.duration(seconds) == text


def test_the_examples_of_the_timing():
    assert doctest.testmod(measure).failed == 0
