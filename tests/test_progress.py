"""How far long work is, where there is no terminal: a line now and then, with what is left."""

from safeguards.cli._allocation import _Lines


def test_lines_come_after_ten_seconds_and_then_each_half_minute(capsys):
    now = [0.0]
    lines = _Lines("simulating", clock=lambda: now[0])
    for second in range(0, 101, 1):
        now[0] = float(second)
        lines(second, 100, "flow")
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "simulating: flow, 10% done, about 0:01:30 left",
        "simulating: flow, 40% done, about 0:01:00 left",
        "simulating: flow, 70% done, about 0:00:30 left",
    ]


def test_short_work_says_nothing(capsys):
    lines = _Lines("simulating", clock=lambda: 0.0)
    lines(0, 0, "flow")
    lines(1, 2, "flow")
    assert capsys.readouterr().err == ""
