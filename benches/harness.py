"""Fixtures on top of pytest-benchmark: contenders that take turns, bars, and figures that are no times.

    def bench_debit(versus):
        versus(ours, (hand_written, at_least(2.5)), empty)

reports each contender as a result of one group. `extra_info` of ours holds `value` and `quartiles` in `unit`,
that of the others `ratio` and `ratio_quartiles`, both taken round by round; either may hold a `bar` and
whether it is `met`. A bar that is missed is shown and fails nothing. With `--benchmark-disable` each
contender makes one call and proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Literal

import pytest

from measure import ROUNDS, Timed, take_turns

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

PER_SECOND = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach: the least or the most that it may be, in `unit`."""

    limit: float
    bound: Literal["least", "most"]
    unit: str

    def judge(self, value: float) -> dict[str, Any]:
        met = value >= self.limit if self.bound == "least" else value <= self.limit
        return {"bar": {self.bound: self.limit}, "met": met}


def at_least(limit: float, unit: str = "x") -> Bar:
    """As a ratio: ours is so many times as fast as the other."""
    return Bar(limit, "least", unit)


def at_most(limit: float, unit: str = "x") -> Bar:
    """As a ratio: ours takes so many times what the other takes."""
    return Bar(limit, "most", unit)


Other = Timed | tuple[Timed, Bar]


@dataclass
class Versus:
    """Lets contenders take turns and reports them as results of one group."""

    benchmark: BenchmarkFixture
    rounds: int

    def __call__(
        self,
        ours: Timed,
        *others: Other,
        bar: Bar | None = None,
        unit: str = "ns",
        about: str | None = None,
        rounds: int | None = None,
    ) -> None:
        """Measure ours beside the others.

        Args:
            ours: what the group is about.
            others: what it is compared with, each perhaps with the bar of its ratio.
            bar: of ours alone, in its own unit.
            unit: of ours where there is no bar: "ns", "us", "ms", "s" or "million/s".
            about: the name of the group, if it is not that of ours.
            rounds: fewer than usual, for what takes seconds.
        """
        pairs = [other if isinstance(other, tuple) else (other, None) for other in others]
        contenders = [ours, *(other for other, _ in pairs)]
        self.benchmark._mode = "versus(...)"  # noqa: SLF001 - so that it does not report itself as unused
        if self.benchmark.disabled:
            for contender in contenders:
                contender.once()
                contender.prove()
            return
        samples = take_turns(contenders, rounds or self.rounds)
        unit = bar.unit if bar else unit
        infos = [self.benchmark.extra_info | figure(in_unit(samples[0], unit), bar, unit)]
        infos += [ratio(samples[0], own, wanted) for own, (_, wanted) in zip(samples[1:], pairs, strict=True)]
        group = f"{self.benchmark.group}: {about or ours.name}"
        for contender, own, info in zip(contenders, samples, infos, strict=True):
            info |= {"how": contender.how, "verified": contender.prove()}
            self._report(contender.name, group, own, info)

    def _report(self, name: str, group: str, samples: Iterable[float], info: dict[str, Any]) -> None:
        """pytest-benchmark makes a result of each fixture, so each contender has a fixture."""
        fixture = copy(self.benchmark)
        fixture.name, fixture.group, fixture.extra_info = name, group, info
        fixture.fullname = f"{self.benchmark.fullname}::{name}"
        result = fixture._make_stats(iterations=1)  # noqa: SLF001 - the only way in for rounds that took turns
        for seconds in samples:
            result.update(seconds)


def in_unit(seconds: Iterable[float], unit: str) -> list[float]:
    if unit == "million/s":
        return [1e-6 / one for one in seconds]
    return [one * PER_SECOND[unit] for one in seconds]


def ratio(ours: list[float], other: list[float], bar: Bar | None) -> dict[str, Any]:
    """Taken round by round. Ours is on top if the bar is the most it may be; without a bar the slower is."""
    is_cost = bar.bound == "most" if bar else median(ours) > median(other)
    pairs = zip(ours, other, strict=True)
    rounds = [a / b if is_cost else b / a for a, b in pairs]
    judged = bar.judge(median(rounds)) if bar else {"bar": None, "met": None}
    of = "ours / other" if is_cost else "other / ours"
    return {"ratio": median(rounds), "ratio_quartiles": quartiles(rounds), "ratio_of": of, **judged}


def figure(samples: Iterable[float], bar: Bar | None, unit: str) -> dict[str, Any]:
    values = [float(one) for one in samples]
    judged = bar.judge(median(values)) if bar else {"bar": None, "met": None}
    return {"value": median(values), "quartiles": quartiles(values), "unit": unit, **judged}


def quartiles(values: list[float]) -> list[float]:
    if len(values) < 2:
        return [*values, *values]
    first, _, third = quantiles(values, n=4, method="inclusive")
    return [first, third]


@pytest.fixture
def versus(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Versus:
    """Lets contenders take turns; `--benchmark-min-rounds` asks for more rounds than seven."""
    return Versus(benchmark, max(ROUNDS, request.config.getoption("benchmark_min_rounds")))


Record = Callable[..., None]


@pytest.fixture
def record(benchmark: BenchmarkFixture) -> Record:
    """Notes what is no time: bytes, percentages of recorded demand, instructions.

    `record(name, samples, unit_or_bar, note="")` adds a line to the figures of the test's own benchmark.
    """
    figures = benchmark.extra_info.setdefault("figures", [])

    def add(name: str, samples: Iterable[float] | float, of: Bar | str, note: str = "") -> None:
        bar, unit = (of, of.unit) if isinstance(of, Bar) else (None, of)
        values = [samples] if isinstance(samples, float | int) else samples
        figures.append({"name": name, **figure(values, bar, unit), "note": note})

    return add


@pytest.fixture
def is_quick(benchmark: BenchmarkFixture) -> bool:
    """Whether the benches only have to work: then what takes long is done in small."""
    return benchmark.disabled
