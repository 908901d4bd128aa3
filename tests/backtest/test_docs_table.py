"""The table of docs/pool_sizing.md says what is measured."""

import re
from pathlib import Path

import pytest

from safeguards.backtest.pool_size import backtest_pool_size
from yardsticks.recorded import m_large, nab_tweets, small_pools, taxi

PAGE = Path(__file__).parents[2] / "docs" / "pool_sizing.md"
POLICIES = ("static", "step", "vpa-like", "hpa-like", "auto", "predictive")
RECORDS = {
    "agents of a real LLM service (ServeGen)": m_large,
    "pools of about six of them": small_pools,
    "tweets about ten companies (NAB)": nab_tweets,
    "taxis in New York (NAB)": taxi,
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_row_of_the_table(name):
    result = backtest_pool_size(RECORDS[name]())
    unmet = [result.row(policy).unmet_share for policy in POLICIES]
    cells = [str(len(result.demand.agents)), *(f"{share * 100:.1f} %" for share in unmet)]
    row = f"| {name} | {' | '.join(cells)} | {unmet[-1] / unmet[1]:.2f} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), row


def test_every_row_is_measured():
    table = re.findall(r"^\| (.*?) \| \d+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert table == list(RECORDS)
