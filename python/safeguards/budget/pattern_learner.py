"""Learns from what agents use, and foresees what they will need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from numbers import Integral
from typing import TYPE_CHECKING, Any

from safeguards._native import UsageLearner
from safeguards._values import time_zones
from safeguards._values.arguments import items, shown, text
from safeguards._values.arrays import floats, instants, is_column
from safeguards._values.decimals import ROUND_UP, plain, rounded, times
from safeguards._values.numbers import share, whole
from safeguards.budget._pattern_search import find_patterns
from safeguards.core._cell import Cell
from safeguards.core._ticker import ticker_of
from safeguards.core.controller import Controller
from safeguards.exceptions import ArgumentTypeError, ConfigurationError, UnknownAgentError
from safeguards.types.decisions import Decision
from safeguards.types.predictions import BudgetPrediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from safeguards._native import Amount
    from safeguards.budget.usage_patterns import UsagePatterns
    from safeguards.core._spell import Spell
    from safeguards.core._ticker import Job
    from safeguards.core.budget_coordination import BudgetCoordinator

    Timestamps = Sequence[datetime] | Sequence[np.datetime64] | NDArray[np.datetime64]
    Amounts = Sequence[Amount] | NDArray[np.float64]

__all__ = ["BudgetPatternLearner"]

SAFETY_MARGIN = Decimal("1.2")
"""What budgets are multiplied by; the confidence is that of need staying below."""

_QUARTER_SECONDS = 900
_MOST_DAYS = 366
_DAY_SECONDS = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Collection:
    """The time from one start of the collection to its end.

    Attributes:
        spell: the run of the controller that began it and ends it; None if somebody else did.
        job: its readings, once they are scheduled.
    """

    __slots__ = ("job", "spell")

    def __init__(self, spell: Spell | None) -> None:
        self.spell = spell
        self.job: Job | None = None


class BudgetPatternLearner(Controller[datetime]):
    """Learns each agent's habits from its usage, and predicts what it will need.

    `start_collection` begins to read what agents spend, from the coordinator's usage history: charges and
    recorded usage alike, once each quarter of an hour, at no cost to those who spend. `load_history` adds
    what was before. `analyze_patterns` shows what an agent does by hour and weekday;
    `predict_budget_needs` foresees the need of any window.

    As a controller it sets budgets: once started, each interval, it gives every agent whose prediction is
    reliable the need of the interval to come, times 1.2. Nothing is changed unless it is started or
    `run_once` is called; `start_collection` only collects.

    Predictions combine simple forecasts (the same hour of yesterday and of last week, medians, profiles,
    regressions), weighted by how they did on the agent's earlier days and for all other agents; intervals
    and confidence come from the errors of earlier days (`docs/forecasting.md` tells more).

    Args:
        budget_coordinator: the coordinator of the agents.
        learning_period_days: days of history that count, 1 to 366. An agent that learns takes less than
            16 KiB with 14.
        prediction_confidence: the share of windows that `lower` to `upper` is to hold, and the confidence
            from which a prediction is `reliable`.
        min_data_points: usages (or loaded points) in these days that a prediction needs.
        interval_seconds: how often it sets budgets once it is started, and for how long: whole hours.
        max_change: the most that one decision changes, as a share of the budget its period began with.
        timezone: whose hours of the day habits follow, and what naive times mean: a name such as
            `"Europe/Berlin"`, an offset such as `"+02:00"`, a `ZoneInfo` or a `datetime.timezone`; local
            time if not given.

    Raises:
        ConfigurationError: `learning_period_days` is not from 1 to 366, `prediction_confidence` not between 0
            and 1, `min_data_points` not from 1 to 10^12, `interval_seconds` no whole hours up to 366 days, or
            `max_change` not above 0; or the zone is unknown.

    Example:
        >>> from datetime import UTC, datetime, timedelta
        >>> from safeguards import BudgetCoordinator, ManualClock
        >>> now = datetime(2026, 3, 2, tzinfo=UTC)
        >>> coordinator = BudgetCoordinator(clock=ManualClock(now))
        >>> learner = BudgetPatternLearner(coordinator, timezone=UTC)
        >>> hours = [now - timedelta(hours=n) for n in range(336, 0, -1)]
        >>> learner.load_history("bot", hours, [2 if 9 <= hour.hour < 17 else 0 for hour in hours])
        >>> prediction = learner.predict_budget_needs("bot", now, prediction_window_hours=24)
        >>> prediction.predicted_budget, prediction.reliable
        (Decimal('16'), True)
        >>> print(learner.analyze_patterns("bot"))
        agent 'bot', 2026-02-16 00:00 to 2026-03-02 00:00 (336 data points)
          usage      0.667 per 60 minutes, none in 67% of them
          day        strength 1.00: most at 09:00 (2), least at 00:00 (0)
          week       strength 0.00: most on Mondays (16), least on Mondays (16)
          trend      +0.0% a day
          anomalies  none
    """

    fallback = "budgets stay as they are"

    def __init__(
        self,
        budget_coordinator: BudgetCoordinator,
        learning_period_days: int = 14,
        prediction_confidence: float = 0.8,
        min_data_points: int = 100,
        *,
        interval_seconds: float = _DAY_SECONDS,
        max_change: float | None = None,
        timezone: str | tzinfo | None = None,
    ) -> None:
        super().__init__(budget_coordinator, interval_seconds, max_change=max_change)
        days = _whole("learning_period_days", learning_period_days, _MOST_DAYS)
        points = _whole("min_data_points", min_data_points, 10**12)
        confidence = share("prediction_confidence", prediction_confidence, above=True, below=True)
        interval = self.interval_seconds
        if interval % 3600 or interval > _MOST_DAYS * _DAY_SECONDS:
            raise ConfigurationError(
                f"interval_seconds must be whole hours, at most {_MOST_DAYS * 24}, "
                f"not {shown(interval_seconds)}"
            )
        self.learning_period_days = days
        self.prediction_confidence = confidence
        self.min_data_points = points
        self._zone, zone = time_zones.read(timezone)
        self._usage = UsageLearner(days, points, zone)
        self._collection: Cell[_Collection | None] = Cell(None)
        self._read_at: datetime | None = None

    # Collecting.

    def start_collection(self) -> None:
        """Reads what the agents have used so far, and from now on what they use, each quarter of an hour.

        Nothing is counted twice and nothing is lost, whoever joins and leaves; only of an agent that joins
        and leaves between two readings nothing is seen. A second start does nothing. `stop_collection` ends
        it, and so does `stop`, which ends all that the learner does.

        Raises:
            ThreadStartError: there is no thread to read in. Nothing is collected; a later start can succeed.
        """
        self._start_collection(None)

    def stop_collection(self) -> None:
        """Reads a last time, and no more. What is known stays known."""
        collection = self._collection.exchange(None)
        if collection is not None:
            self._cancel(collection)
            self._read()

    def _start_collection(self, spell: Spell | None) -> None:
        mine, left_over = _Collection(spell), None

        def begin(now: _Collection | None) -> _Collection:
            nonlocal left_over
            # One whose controller was stopped is about to be ended, by who stopped it: it is none to rely on.
            is_over = now is not None and now.spell is not None and self.spell is not now.spell
            left_over = now if is_over else None
            return mine if now is None or is_over else now

        collection = self._collection.update(begin)
        if left_over is not None:
            self._cancel(left_over)
        if collection is not mine:
            if spell is not None and collection is not None:
                collection.spell = spell  # it ends with it
            return
        try:
            self._read()
            ticker = ticker_of(self.budget_coordinator.clock)
            mine.job = ticker.schedule(
                lambda: self._collect(mine), self._until_next_quarter(), self.tell_of_run
            )
        except BaseException:
            self._collection.update(lambda now: None if now is mine else now)
            self._cancel(mine)
            raise
        if self._collection.value is not mine:
            self._cancel(mine)  # it was stopped before all of it had begun

    def _cancel(self, collection: _Collection) -> None:
        if collection.job is not None:
            ticker_of(self.budget_coordinator.clock).cancel(collection.job)

    @property
    def collecting(self) -> bool:
        """Whether usage is being read."""
        return self._collection.value is not None

    def start(self) -> None:
        """Collects, and sets budgets each interval, for the first time one interval later.

        Raises:
            ThreadStartError: as `Controller.start`.
        """
        super().start()

    def stop(self) -> None:
        """Sets budgets no more, and reads usage no more, however that began. What is known stays known.

        Raises:
            ControllerBusyError: as `Controller.stop`.
        """
        super().stop()
        # One that a start began meanwhile, in another thread, goes on.
        collection = self._collection.exchange_by(
            lambda now: None if now is not None and now.spell is None else now
        )
        if collection is not None and collection.spell is None:
            self._cancel(collection)
            self._read()

    def begin(self, spell: Spell) -> None:
        """Begins to collect as well. As `Controller.begin`."""
        self._start_collection(spell)
        super().begin(spell)

    def end(self, spell: Spell) -> None:
        """Ends the collection that `begin` began. As `Controller.end`."""
        super().end(spell)
        collection = self._collection.exchange_by(
            lambda now: None if now is not None and now.spell is spell else now
        )
        if collection is not None and collection.spell is spell:
            self._cancel(collection)
            self._read()

    def load_history(self, agent_id: str, timestamps: Timestamps, amounts: Amounts) -> None:
        """Adds usage from before the collection, or from elsewhere.

        All of it or, if anything is wrong, nothing. Points older than the learning period are left out. The
        hours between the points are taken as known: nothing was used in them. What the coordinator has in its
        own usage history is read by `start_collection` and must not be loaded as well.

        Args:
            agent_id: the agent; it need not be registered.
            timestamps: when, as `datetime`s, a numpy array of `datetime64` or a column of pandas, polars or
                arrow, in any order; naive ones are
                in the learner's `timezone`, by default local time.
            amounts: how much at each of them: amounts (`Decimal`, `int`, decimal `str`) or a numpy array of
                numbers. Measured histories come as arrays, and a forecast is an estimate: here, and only
                here, floats are welcome. They never reach a budget but through a prediction.

        Raises:
            ConfigurationError: the lengths differ, a number is negative or not finite, or a timestamp is
                later than now: it says which is the first, and by how much.
            InvalidAmountError: one of the amounts is none.
        """
        text("agent_id", agent_id)
        given, now = instants("timestamps", timestamps), self.now()
        times = [self._aware("timestamps", timestamp) for timestamp in given]
        time_zones.check_past("timestamps", times, now)
        at = [(time - _EPOCH) // timedelta(microseconds=1) for time in times]
        if is_column(amounts):
            amounts = floats("amounts", amounts, 1)
        else:
            amounts = items("amounts", amounts, "amounts")
        self._usage.load(agent_id, at, amounts, now)

    # Looking.

    def analyze_patterns(self, agent_id: str, time_bucket_minutes: int = 60) -> UsagePatterns:
        """What is known of an agent's habits in the learning period.

        Args:
            agent_id: the agent.
            time_bucket_minutes: length of the buckets in which usage is looked at: whole quarter-hours that a
                day is a multiple of, such as 15, 60 or 240.

        Returns:
            Profile by hour and weekday, trend, strength of the seasons, anomalies; `print` and `plot()` show
            it. Empty, and false, if nothing is known.

        Raises:
            UnknownAgentError: no agent of this id is registered, and nothing is known of one.
            ConfigurationError: `time_bucket_minutes` is no such length.
        """
        minutes = _check_bucket(time_bucket_minutes)
        self._check_agent(agent_id)
        self._catch_up()
        return find_patterns(agent_id, self._usage.usage(agent_id), minutes, self._zone)

    def predict_budget_needs(
        self,
        agent_id: str,
        future_time: datetime,
        prediction_window_hours: int = 24,
    ) -> BudgetPrediction | None:
        """What an agent will need from `future_time` on.

        What is known after `future_time` is not looked at, so a prediction of a time that is past can be held
        against what came.

        Args:
            agent_id: the agent.
            future_time: where the window begins: its quarter-hour. A naive one is in the learner's
                `timezone`, by default local time.
            prediction_window_hours: hours of the window, 1 to 8784.

        Returns:
            The prediction. None if there are fewer than `min_data_points` in the `learning_period_days`
            before, or if what is known ends more than that before `future_time`.

        Raises:
            UnknownAgentError: no agent of this id is registered, and nothing is known of one.
            ConfigurationError: the window is not a number of hours, or ends more than a year ahead.
        """
        hours = _whole("prediction_window_hours", prediction_window_hours, _MOST_DAYS * 24)
        start = self._aware("future_time", future_time)
        self._check_agent(agent_id)
        self._catch_up()
        found = self._usage.predict(agent_id, start, hours, self.prediction_confidence, float(SAFETY_MARGIN))
        return None if found is None else self._prediction(agent_id, hours, found)

    def known_agents(self) -> list[str]:
        """Ids of the agents of which any usage is known, sorted."""
        self._catch_up()
        return self._usage.agents()

    def _check_agent(self, agent_id: str) -> None:
        """Refuses an id that is neither an agent's nor that of one of which something is known: a typo."""
        if self._usage.bytes(text("agent_id", agent_id)) is None:
            self.budget_coordinator.handle(agent_id)

    # What a controller is made of.

    def observe(self, now: datetime) -> datetime:
        """When needs are predicted from. As `Controller.observe`."""
        return now

    def learn(self, view: datetime) -> None:  # noqa: ARG002 - the ledger knows the time
        """Reads what was used. As `Controller.learn`."""
        if self.collecting:
            self._read()

    def propose(self, view: datetime) -> list[Decision]:
        """Gives agents the need of the interval to come. As `Controller.propose`."""
        hours = int(self.interval_seconds // 3600)
        level, margin = self.prediction_confidence, float(SAFETY_MARGIN)
        found = self._usage.predict_all(view, hours, level, margin)
        registered = set(self.budget_coordinator.get_all_agent_ids())
        predictions = [self._prediction(agent, hours, one) for agent, one in found if agent in registered]
        decisions = [self._decision(prediction) for prediction in predictions if prediction.reliable]
        return [decision for decision in decisions if decision is not None]

    def _decision(self, prediction: BudgetPrediction) -> Decision | None:
        """What an agent should have. None if it has left meanwhile."""
        try:
            old = self.budget_coordinator.get_budget(prediction.agent_id)
        except UnknownAgentError:
            return None
        need = prediction.predicted_budget
        new = plain(rounded(times(need, SAFETY_MARGIN), ROUND_UP))
        hours = len(prediction.hourly)
        return Decision(
            kind="agent",
            subject=prediction.agent_id,
            old=old,
            new=new,
            reason=(
                f"it will need about {need:.6g} in the next {hours} hours; "
                f"{SAFETY_MARGIN} times that is enough with probability {prediction.confidence:.0%}"
            ),
            inputs={
                "predicted_budget": need,
                "lower": prediction.lower,
                "upper": prediction.upper,
                "confidence": prediction.confidence,
                "data_points": prediction.data_points,
            },
        )

    # Reading.

    def _collect(self, collection: _Collection) -> float | None:
        if self._collection.value is not collection:
            return None
        delay = self._until_next_quarter()  # from before: one that ends meanwhile is read right after
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 - it goes on, and not in silence
            self.tell_failure("could not observe", error)
        return delay

    def _read(self) -> None:
        now = self.now()
        self._usage.read(self.budget_coordinator)
        self._read_at = now

    def _catch_up(self) -> None:
        """Reads if a quarter-hour has ended since the last time: the collection may be a moment late."""
        read_at = self._read_at
        if self.collecting and read_at is not None and _quarter(read_at) != _quarter(self.now()):
            self._read()

    def _until_next_quarter(self) -> float:
        now = self.now()
        return _QUARTER_SECONDS - (now - _EPOCH).total_seconds() % _QUARTER_SECONDS

    def _prediction(self, agent_id: str, hours: int, found: tuple[Any, ...]) -> BudgetPrediction:
        median, lower, upper, confidence, hourly, weights, start, known_until, known_hours, points = found
        heard = sorted((w for w in weights if w[1] > 0), key=lambda weight: -weight[1])
        return BudgetPrediction(
            agent_id=agent_id,
            start=start,
            end=start + timedelta(hours=hours),
            predicted_budget=median,
            lower=lower,
            upper=upper,
            level=self.prediction_confidence,
            confidence=confidence,
            margin=SAFETY_MARGIN,
            hourly=tuple(hourly),
            experts=dict(heard),
            known_until=known_until,
            known_hours=known_hours,
            data_points=points,
        )

    def _aware(self, argument: str, time: object) -> datetime:
        """A time in UTC; a naive one is in the learner's time zone."""
        if not isinstance(time, datetime):
            raise TypeError(f"{argument} must be a datetime or a numpy.datetime64, not {shown(time)}")
        return time_zones.as_utc(time, self._zone)


def _quarter(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(seconds=_QUARTER_SECONDS)


def _whole(argument: str, value: object, most: int) -> int:
    """Whole numbers, also of floats."""
    return whole(argument, int(value) if isinstance(value, float) and value.is_integer() else value, 1, most)


def _check_bucket(minutes: Any) -> int:
    is_whole = isinstance(minutes, Integral) and not isinstance(minutes, bool)
    if not is_whole or minutes < 1 or minutes % 15 or 1440 % minutes:
        raise (ConfigurationError if is_whole else ArgumentTypeError)(
            "usage is kept by the quarter-hour: time_bucket_minutes must be a multiple of 15 that divides a "
            f"day, such as 15, 30, 60, 120, 240 or 1440, not {shown(minutes)}"
        )
    return int(minutes)
