"""The table of docs/schedules.md says what is measured."""

import re
from pathlib import Path

import pytest

from safeguards.backtest.pacing import RULES, backtest_pacing
from yardsticks.recorded import m_large, m_large_slots, nab_tweets, taxi

PAGE = Path(__file__).parents[2] / "docs" / "schedules.md"
RECORDS = {
    "tenants of a real LLM service (ServeGen), 10 minutes": m_large_slots,
    "the same, by the hour": m_large,
    "tweets about ten companies (NAB), by the hour": nab_tweets,
    "taxis in New York (NAB), by the hour": taxi,
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_row_of_the_table(name):
    result = backtest_pacing(RECORDS[name]())
    rows = [result.row(rule) for rule in RULES]
    cells = [f"{share * 100:.1f} %" for row in rows for share in (row.utility_share, row.blacked_out_share)]
    row = f"| {name} | {len(result.days)} | {' | '.join(cells)} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), row


def test_every_row_is_measured():
    table = re.findall(r"^\| (.*?) \| \d+ \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert table == list(RECORDS)
