"""The verdict: the best policy on a record, and whether that may be chance."""

import numpy as np
import pytest

from safeguards.backtest._compare import compare

WANTED = np.ones((1, 240))


def losing(mean, spread=0.0, seed=0, hours=240):
    """Losses that are the same within a day, and differ from day to day."""
    days = np.random.default_rng(seed).normal(mean, spread, hours // 24)
    return np.repeat(np.maximum(days, 0), 24)[None]


def test_the_best_is_named_also_if_it_is_not_ours():
    found = compare({"static": 0.1 * WANTED, "ours": 0.127 * WANTED}, WANTED, ours="ours")
    assert (found.best, found.rival, round(found.change, 9)) == ("static", "static", 0.27)
    assert found.sentence("demand unmet") == (
        "best here: static; ours (ours) leaves 27% more demand unmet "
        "(27% to 27% in 95 of 100 resamples of days)"
    )
    assert not found.may_be_chance


def test_ours_is_compared_with_the_best_of_the_others():
    losses = {"static": 0.2 * WANTED, "step": 0.15 * WANTED, "ours": 0.12 * WANTED, "hindsight": 0 * WANTED}
    found = compare(losses, WANTED, ours="ours", apart=frozenset({"hindsight"}))
    assert (found.best, found.rival) == ("ours", "step")
    assert found.sentence("demand unmet").startswith(
        "best here: ours (ours), 20% less demand unmet than step, the next best (20% to 20%"
    )


def test_a_difference_of_one_day_may_be_chance_and_one_of_every_day_is_none():
    noisy = {"static": losing(0.2, 0.1, seed=1), "ours": losing(0.21, 0.1, seed=2)}
    found = compare(noisy, WANTED, ours="ours")
    assert found.low < 0 < found.high
    assert found.may_be_chance
    assert "that may be chance (" in found.sentence("demand unmet")
    same_days = {"static": losing(0.2, 0.1, seed=1), "ours": 1.05 * losing(0.2, 0.1, seed=1)}
    sure = compare(same_days, WANTED, ours="ours")
    assert not sure.may_be_chance
    assert sure.low == pytest.approx(0.05, abs=0.03)
    again = compare(noisy, WANTED, ours="ours")
    assert again == found
    assert compare(noisy, WANTED, ours="ours", seed=1) != found


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for seed in range(200):
        static, ours = losing(0.5, 0.1, 2 * seed, 480), losing(0.55, 0.1, 2 * seed + 1, 480)
        found = compare({"static": static, "ours": ours}, np.ones((1, 480)), ours="ours")
        held += found.low <= 0.1 <= found.high
    assert 0.85 <= held / 200 <= 0.99


def test_units_count_alike_however_much_they_want():
    weights = np.vstack([WANTED, 99 * WANTED])
    losses = {"a": np.vstack([0.5 * WANTED, 0 * WANTED]), "ours": np.vstack([0 * WANTED, 49.5 * WANTED])}
    assert compare(losses, weights, ours="ours").losses == {"a": 0.25, "ours": 0.25}


@pytest.mark.parametrize(
    ("static", "ours", "text"),
    [
        (0.0, 0.0, "no difference here: static and ours (ours) leave the same demand unmet"),
        (0.1, 0.1, "no difference here: static and ours (ours) leave the same demand unmet"),
        (0.0, 0.031, "best here: static; it leaves no demand unmet, ours (ours) 3.10%"),
    ],
)
def test_nothing_lost_is_told_in_words(static, ours, text):
    found = compare({"static": static * WANTED, "ours": ours * WANTED}, WANTED, ours="ours")
    assert found.sentence("demand unmet") == text


def test_a_policy_that_is_ours_by_another_name_is_no_rival():
    losses = {"static": 0.2 * WANTED, "learned": 0.1 * WANTED, "gated": 0.1 * WANTED}
    assert compare(losses, WANTED, ours="gated").rival == "static"


def test_a_short_record_cannot_tell():
    found = compare(
        {"a": np.array([[1.0, 0.0]]), "ours": np.array([[0.0, 0.5]])}, np.ones((1, 2)), ours="ours"
    )
    assert found.low is None
    assert found.sentence("x").endswith("; the record is too short to tell whether that is chance")


def test_short_records_are_cut_into_shorter_blocks():
    hours = np.ones((1, 70))
    found = compare({"a": 0.1 * hours, "ours": 0.2 * hours}, hours, ours="ours")
    assert found.block_hours == 10
    assert "resamples of blocks of 10 hours" in found.sentence("x")
