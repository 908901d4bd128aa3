"""Bad input of every kind: a named error, and nothing changed. No panic ever crosses into Python."""

import inspect
import itertools
import random
import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from safeguards import (
    AdaptivePoolSizer,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRateLimiter,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    ConfigurationError,
    CostBenefitAllocator,
    Decision,
    InvalidAmountError,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    PriorityBasedReallocator,
    ReservationError,
    SafeguardsError,
    UnknownAgentError,
    UnknownPoolError,
    _native,
)
from safeguards.types.decisions import SetBudget


def snapshot(coordinator):
    """All that the coordinator knows."""
    agents = sorted(coordinator.get_all_agent_ids())
    return (
        [(a, coordinator.get_agent_metrics(a), coordinator.get_agent_events(a)) for a in agents],
        [
            (
                p,
                coordinator.get_pool_metrics(p),
                coordinator.get_pool_events(p),
                coordinator.get_pool_agents(p),
            )
            for p in coordinator.get_pool_ids()
        ],
        [
            (a, coordinator._agent_snapshot(a), BudgetRateLimiter(coordinator).get_rate_limits(a))
            for a in agents
        ],
        coordinator.pinned,
    )


@pytest.fixture
def unchanged(coordinator):
    """What a test does to the coordinator must change nothing."""
    before = snapshot(coordinator)
    yield coordinator
    assert snapshot(coordinator) == before


def calls_with_agent(c):
    limiter = BudgetRateLimiter(c)
    yield lambda a: c.debit(a, 1)
    yield lambda a: c.try_debit(a, 1)
    yield lambda a: c.reserve(a, 1)
    yield lambda a: c.try_reserve(a, 1)
    yield lambda a: c.transfer(a, "bot", 0)
    yield lambda a: c.transfer("bot", a, 0)
    yield lambda a: c.update_budget(a, 1)
    yield lambda a: limiter.set_rate_limit(a, 1, timedelta(1), kind="agent")
    yield lambda a: limiter.check_rate_limit(a, 1, kind="agent")
    yield lambda a: limiter.record_usage(a, 1, kind="agent")
    yield lambda a: limiter.acquire(a, 1, kind="agent")
    yield lambda a: limiter.try_acquire(a, 1, kind="agent")
    yield lambda a: limiter.get_rate_limits(a, kind="agent")
    yield lambda a: limiter.remove_rate_limit(a, kind="agent")
    yield lambda a: limiter.get_retry_after(a, kind="agent")
    for name in (
        "unregister_agent",
        "account",
        "handle",
        "get_budget",
        "get_available",
        "get_agent_priority",
        "get_agent_metrics",
        "get_agent_events",
        "get_agent_usage_history",
        "pin",
    ):
        yield getattr(c, name)


def calls_with_account(c):
    """Calls that take either, and mean the agent where both have the id."""
    limiter = BudgetRateLimiter(c)
    yield lambda a: limiter.set_rate_limit(a, 1, timedelta(1))
    yield lambda a: limiter.check_rate_limit(a, 1)
    yield lambda a: limiter.record_usage(a, 1)
    yield lambda a: limiter.acquire(a, 1)
    yield lambda a: limiter.try_acquire(a, 1)
    yield limiter.get_rate_limits
    yield limiter.remove_rate_limit
    yield limiter.get_retry_after


def calls_with_pool(c):
    yield lambda p: c.register_agent("new", p)
    yield lambda p: c.update_pool_budget(p, 1)
    for name in ("get_pool_budget", "get_pool_agents", "get_pool_metrics", "get_pool_events"):
        yield getattr(c, name)


ANCIENT = datetime.min  # noqa: DTZ901 - naive, as people write it
STRANGE_IDS = [
    "nobody",
    "",
    "Bot",
    "bot ",
    "bot\0",
    "b\u00f6t",
    "bo\u0308t",
    "🤖",
    "שלום",
    "x" * 10_000,
    "team",
]


@pytest.mark.parametrize("agent_id", STRANGE_IDS, ids=ascii)
def test_unknown_agents(unchanged, agent_id):
    for call in calls_with_agent(unchanged):
        if agent_id == "team" and call == unchanged.pin:
            continue
        with pytest.raises(UnknownAgentError) as caught:
            call(agent_id)
        assert caught.value.account == agent_id
        assert re.search("call register_agent first|is a pool", str(caught.value))


@pytest.mark.parametrize("account_id", STRANGE_IDS[:-1], ids=ascii)
def test_unknown_accounts(unchanged, account_id):
    for call in calls_with_account(unchanged):
        with pytest.raises(UnknownAgentError, match="neither an agent nor a pool") as caught:
            call(account_id)
        assert caught.value.account == account_id


@pytest.mark.parametrize("pool_id", ["nowhere", "", "bot", "🤖"])
def test_unknown_pools(unchanged, pool_id):
    for call in calls_with_pool(unchanged):
        with pytest.raises(UnknownPoolError, match="call create_budget_pool first|is an agent") as caught:
            call(pool_id)
        assert caught.value.account == pool_id


@pytest.mark.parametrize("wrong", [None, 5, 1.5, b"bot", ["bot"], object], ids=repr)
def test_ids_of_wrong_types(unchanged, wrong):
    calls = calls_with_agent(unchanged), calls_with_account(unchanged), calls_with_pool(unchanged)
    for call in itertools.chain(*calls):
        with pytest.raises(TypeError):
            call(wrong)
    with pytest.raises(TypeError):
        unchanged.register_agent(wrong, "team")
    if wrong is not None:  # which says that there is none
        for name in ("pool_id", "parent_id"):
            with pytest.raises(TypeError):
                unchanged.create_budget_pool("new", 1, **{name: wrong})
    with pytest.raises(TypeError):
        unchanged.create_budget_pool(wrong, 1)


def test_unknown_parents(unchanged):
    with pytest.raises(UnknownPoolError):
        unchanged.create_budget_pool("new", 1, parent_id="nowhere")


def test_half_of_a_surrogate_pair_is_no_text(unchanged):
    for call in [*calls_with_agent(unchanged), *calls_with_pool(unchanged)]:
        with pytest.raises(TypeError, match="half of a surrogate pair"):
            call("\ud800")
    with pytest.raises(TypeError, match="half of a surrogate pair"):
        unchanged.register_agent("\ud800", "team")
    with pytest.raises(TypeError, match="half of a surrogate pair"):
        unchanged.debit("bot", "0.1", operation_type="\udfff")


@pytest.mark.parametrize("name", ["🤖", "שלום", "a\0b", "b\u00f6t", "bo\u0308t", "  ", "'\"\\\n", "x" * 512])
def test_strange_ids_are_good_ids(coordinator, name):
    coordinator.register_agent(name, coordinator.create_budget_pool(name, 5), initial_budget=1)
    assert coordinator.debit(name, "0.25").remaining == Decimal("0.75")
    assert coordinator.get_pool_agents(name) == [name]
    with pytest.raises(SafeguardsError) as caught:
        coordinator.debit(name, 5)
    assert caught.value.account == name
    assert repr(coordinator.account(name)) and coordinator._repr_html_()


@pytest.mark.parametrize("name", ["", "x" * 513, "🤖" * 129], ids=len)
def test_ids_of_no_or_too_much_length(unchanged, name):
    with pytest.raises(ConfigurationError, match="must have 1 to 512 bytes"):
        unchanged.register_agent(name, "team")
    with pytest.raises(ConfigurationError, match="must have 1 to 512 bytes"):
        unchanged.create_budget_pool(name, 1)


def test_duplicates(unchanged):
    with pytest.raises(ConfigurationError, match="registered already: choose another id"):
        unchanged.register_agent("bot", "team", initial_budget=100)
    with pytest.raises(ConfigurationError, match="exists already: choose another pool_id"):
        unchanged.create_budget_pool("other", 100, pool_id="team")


def test_the_id_of_a_pool_is_its_name_unless_it_has_another_one(coordinator):
    with pytest.raises(ConfigurationError, match='pool "team" exists already: choose another pool_id'):
        coordinator.create_budget_pool("team", 1)
    made = [coordinator.create_budget_pool("team", 1, pool_id=f"team-{i}") for i in range(3)]
    assert made == ["team-0", "team-1", "team-2"]


@pytest.mark.parametrize("priority", [0, 11, -1, 10**30, -(10**30)])
def test_priorities_out_of_range(unchanged, priority):
    with pytest.raises(ConfigurationError, match="priority must be an int from 1 to 10"):
        unchanged.register_agent("new", "team", priority)
    with pytest.raises(ConfigurationError, match="priority must be an int from 1 to 10"):
        unchanged.create_budget_pool("new", 1, priority)


@pytest.mark.parametrize("priority", [5.0, "5", None])
def test_priorities_of_wrong_types(unchanged, priority):
    with pytest.raises(TypeError):
        unchanged.register_agent("new", "team", priority)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e-12, 10**400])
def test_times_to_live_that_make_no_sense(unchanged, ttl):
    with pytest.raises(ConfigurationError, match="ttl_seconds must be positive and finite"):
        unchanged.reserve("bot", "0.1", ttl_seconds=ttl)


@pytest.mark.parametrize("amount", [-1, "x", Decimal("NaN"), 10**16])
def test_a_wrong_amount_is_told_before_anything_else(unchanged, amount):
    limiter = BudgetRateLimiter(unchanged)
    for call in (
        lambda: unchanged.debit("nobody", amount),
        lambda: unchanged.reserve("nobody", amount, ttl_seconds=-1, overage="?"),
        lambda: unchanged.reserve("nobody", 1, on_cancel=amount),
        lambda: unchanged.transfer("nobody", "nobody", amount),
        lambda: unchanged.update_budget("nobody", amount),
        lambda: unchanged.update_pool_budget("nowhere", amount),
        lambda: unchanged.update_period_budget("nowhere", amount),
        lambda: unchanged.register_agent("", "nowhere", 99, amount),
        lambda: unchanged.create_budget_pool("", amount, 99, parent_id="?", budget_period=5),
        lambda: limiter.set_rate_limit("nobody", amount, 5),
        lambda: limiter.check_rate_limit("nobody", amount),
        lambda: limiter.record_usage("nobody", amount),
        lambda: limiter.acquire("nobody", amount),
        lambda: limiter.get_retry_after("nobody", amount),
        lambda: unchanged.account("bot").debit(amount),
        lambda: unchanged.account("bot").reserve(amount, overage="?"),
    ):
        with pytest.raises(InvalidAmountError) as caught:
            call()
        assert caught.value.argument in {"amount", "budget", "initial_budget", "max_budget", "on_cancel"}
        assert caught.value.argument in str(caught.value)


def test_wrong_amounts_for_a_reservation(coordinator):
    reservation = coordinator.reserve("bot", "0.5")
    before = snapshot(coordinator)
    for wrong in (-1, "x", 10**16):
        with pytest.raises(InvalidAmountError):
            reservation.settle(wrong)
    for wrong in (0.1, None, True):
        with pytest.raises(TypeError):
            reservation.settle(wrong)
    assert snapshot(coordinator) == before
    reservation.release()
    with pytest.raises(ReservationError):
        reservation.settle(1)


@pytest.mark.parametrize(
    "window", [5, "1h", None, timedelta(0), timedelta(-1), timedelta(days=367), timedelta.max]
)
def test_windows_that_make_no_sense(unchanged, window):
    with pytest.raises(ConfigurationError, match="time_window must be"):
        BudgetRateLimiter(unchanged).set_rate_limit("bot", 1, window)


@pytest.mark.parametrize(
    "when", [ANCIENT, datetime.max.replace(tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)]
)
def test_times_that_no_clock_shows(when, clock):
    for call in (ManualClock, clock.set_wall):
        with pytest.raises(ConfigurationError, match="is out of range"):
            call(when)
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "by", [-1, float("nan"), float("inf"), "1", None, timedelta(-1), 10**400, 1e300], ids=str
)
def test_steps_that_no_clock_makes(by, clock):
    with pytest.raises(ConfigurationError, match="a clock advances by seconds or a timedelta"):
        clock.advance(by)
    assert clock.monotonic() == 0


def test_coordinators_of_wrong_parts():
    for options in ({"clock": 5}, {"clock": ManualClock}, {"history_events": "5"}, {"unknown": 1}):
        with pytest.raises(TypeError):
            BudgetCoordinator(**options)
    for options in ({"history_events": -1}, {"history_sums": -1}):
        with pytest.raises(ConfigurationError, match="must not be negative"):
            BudgetCoordinator(**options)
    with pytest.raises(TypeError, match="notification_manager must be a NotificationManager"):
        BudgetCoordinator("somebody")
    with pytest.raises(TypeError):
        BudgetRateLimiter("coordinator")


def test_what_only_the_library_makes():
    for cls in (_native.Account, _native.Reservation, _native.Receipt):
        with pytest.raises(TypeError):
            cls()


def test_live_things_are_not_copied(coordinator):
    import copy
    import pickle

    with coordinator.reserve("bot", "0.1") as reservation:
        for live in (coordinator, coordinator.account("bot"), reservation, coordinator.notification_manager):
            for make in (copy.copy, copy.deepcopy, pickle.dumps):
                if live is coordinator.notification_manager and make is copy.copy:
                    continue
                with pytest.raises(TypeError, match="cannot pickle"):
                    make(live)


# Random arguments to every public method.

VALUES = [
    *(
        None,
        True,
        0,
        1,
        -1,
        5,
        10**10,
        10**30,
        10**400,
        0.5,
        float("nan"),
        float("inf"),
        1j,
        b"x",
        "",
        "bot",
        "team",
    ),
    *("0.1", "1", "\ud800", "🤖", "x" * 600, "daily", "UTC", "reject", "k", Decimal("0.1"), Decimal("NaN")),
    *(Decimal("1E+999999"), Decimal("-0"), [], {}, (), object(), timedelta(1), timedelta.max, timedelta(-1)),
    *(
        ANCIENT,
        datetime.max.replace(tzinfo=UTC),
        UTC,
        print,
        int,
        ValueError("x"),
    ),
    *(
        np.array([0], dtype=np.uint32),
        np.array([1]),
        np.array([[1]]),
        np.zeros(0),
        np.float64(1),
        np.int64(1),
    ),
]


# The clock of the test stands still: nothing would ever end a call that waits.
TIMEOUTS = [None, 0, 0.0, -1, float("nan"), "1", Decimal("NaN"), True, [], object()]


def public_methods(thing):
    for name in dir(type(thing)):
        if not name.startswith("_") and name != "close" and callable(getattr(thing, name, None)):
            yield getattr(thing, name)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_random_arguments_never_panic(seed):
    rng = random.Random(seed)
    clock = ManualClock()
    coordinator = BudgetCoordinator(NotificationManager(), clock=clock)
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    targets = [coordinator, coordinator.account("bot"), clock, BudgetRateLimiter(coordinator)]
    targets += [coordinator.reserve("bot", "0.1"), coordinator.notification_manager]
    methods = [method for target in targets for method in public_methods(target)]
    for _ in range(4_000):
        method = rng.choice(methods)
        parameters = list(inspect.signature(method).parameters.values())
        usual = [p for p in parameters if p.kind not in {p.VAR_KEYWORD, p.KEYWORD_ONLY}]
        named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and rng.random() < 0.3]
        required = [p for p in usual if p.default is p.empty or rng.random() < 0.3]
        given = [*required, *named]
        arguments = {p.name: rng.choice(TIMEOUTS if p.name == "timeout" else VALUES) for p in given}
        try:
            method(**arguments)
        except (SafeguardsError, TypeError):
            pass
        if "bot" not in coordinator.get_all_agent_ids():
            coordinator.register_agent("bot", "team", initial_budget=1)
        coordinator.verify()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.debit(42, 1), "agent_id must be a str, not int"),
        (lambda c: c.debit(None, 1), "agent_id must be a str, not None"),
        (lambda c: c.debit("bot", 1, operation_type=5), "operation_type must be a str or None, not int"),
        (
            lambda c: c.debit("bot", 1, idempotency_key=b"k"),
            "idempotency_key must be a str or None, not bytes",
        ),
        (lambda c: c.reserve("bot", 1, overage=1), "overage must be a str, not int"),
        (lambda c: c.reserve("bot", 1, ttl_seconds="x"), "ttl_seconds must be a number, not 'x'"),
        (lambda c: c.register_agent(5, "team"), "agent_id must be a str, not int"),
        (lambda c: c.register_agent("new", 5), "pool_id must be a str, not int"),
        (lambda c: c.register_agent("new", "team", exist_ok=1), "exist_ok must be True or False, not int"),
        (lambda c: c.register_agent("new", "team", True), "priority must be a whole number, not True"),  # noqa: FBT003
        (lambda c: c.register_agents([("new", "team", True)]), "priority must be a whole number, not True"),
        (lambda c: c.create_budget_pool("new", 1, True), "priority must be a whole number, not True"),  # noqa: FBT003
        (lambda c: c.create_budget_pool("new", 1, parent_id=5), "parent_id must be a str or None, not int"),
        (lambda c: c.transfer("bot", 5, 1), "to_agent_id must be a str, not int"),
        (lambda c: c.reservation(5), "reservation_id must be a str, not int"),
        (lambda c: c.pin(5), "account_id must be a str, not int"),
        (lambda c: c.get_agent_usage_history("bot", "now"), "start_time must be a datetime, not str"),
        (lambda c: BudgetCoordinator(currency=5), "currency must be a str, not int"),
        (lambda c: BudgetCoordinator(history_events=1.5), "history_events must be a whole number, not 1.5"),
        (lambda c: BudgetRateLimiter(5), "coordinator must be a BudgetCoordinator, not int"),
        (lambda c: MultiResourceBudget(5), "budget_coordinator must be a BudgetCoordinator, not int"),
        (
            lambda c: BudgetRateLimiter(c).set_rate_limit("bot", 1, timedelta(1), exact=1),
            "exact must be True or",
        ),
        (
            lambda c: c.debit("\ud800", 1),
            r"agent_id must be Unicode, not '\\ud800': half of a surrogate pair",
        ),
        (lambda c: c.register_agents(["\ud800"], "team"), r"agent_id must be Unicode, not '\\ud800'"),
        (lambda c: c.register_agents([("new", "\ud800")]), r"pool_id must be Unicode, not '\\ud800'"),
    ],
)
def test_a_wrong_type_names_its_argument(unchanged, call, text):
    with pytest.raises(TypeError, match=text):
        call(unchanged)


@pytest.mark.parametrize("agents", ["ab", b"ab", {"agent_id": "a"}, 5, None])
def test_one_agent_is_no_list_of_agents(unchanged, agents):
    with pytest.raises(TypeError, match="agents must be a sequence of agents, not"):
        unchanged.register_agents(agents, "team")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda c: c.debit("team", 1),
            'no agent "team" is registered: "team" is a pool. Name an agent below',
        ),
        (lambda c: c.get_budget("team"), '"team" is a pool'),
        (lambda c: c.handle("team"), '"team" is a pool'),
        (lambda c: c.transfer("bot", "team", 1), '"team" is a pool'),
        (lambda c: c.get_pool_budget("bot"), 'no pool "bot" exists: "bot" is an agent. Name the pool above'),
        (lambda c: c.register_agent("new", "bot"), '"bot" is an agent'),
        (lambda c: c.create_budget_pool("new", 1, parent_id="bot"), '"bot" is an agent'),
        (lambda c: c.debit("bott", 1), 'no agent "bott" is registered: did you mean "bot"'),
        (lambda c: c.debit("BOT", 1), 'did you mean "bot"'),
        (lambda c: c.debit("obt", 1), 'did you mean "bot"'),
        (lambda c: c.get_pool_budget("taem"), 'no pool "taem" exists: did you mean "team"'),
        (lambda c: c.debit("bot", 1, also="tem"), 'neither an agent nor a pool: did you mean "team"'),
        (lambda c: c.get_refusals("tem"), 'did you mean "team"'),
        (
            lambda c: c.debit("somebody else", 1),
            'no agent "somebody else" is registered: call register_agent',
        ),
        (lambda c: c.debit("x" * 10_000, 1), "is registered: call register_agent first"),
        (lambda c: BudgetPatternLearner(c).analyze_patterns("bott"), 'did you mean "bot"'),
        (
            lambda c: BudgetPatternLearner(c).predict_budget_needs("bott", datetime(2026, 1, 1, tzinfo=UTC)),
            'mean "bot"',
        ),
        (lambda c: CostBenefitAllocator(c).get_operations("bott"), 'did you mean "bot"'),
    ],
)
def test_an_id_that_is_none_says_what_was_meant(unchanged, call, text):
    with pytest.raises((UnknownAgentError, UnknownPoolError), match=text):
        call(unchanged)


def test_what_is_known_of_an_agent_that_is_not_registered_can_be_asked_for(coordinator):
    learner = BudgetPatternLearner(coordinator)
    assert not learner.analyze_patterns("bot")
    learner.load_history("gone", [datetime(2026, 1, 1, tzinfo=UTC)], [1])
    assert learner.predict_budget_needs("gone", datetime(2026, 1, 2, tzinfo=UTC)) is None


def test_a_near_miss_is_found_quickly_among_many(coordinator):
    coordinator.register_agents([f"agent-{n:06}" for n in range(20_000)], "team")
    begin = time.perf_counter()
    with pytest.raises(UnknownAgentError):
        coordinator.debit("agent-00000x", 1)
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda c, x: BudgetRLOptimizer(c).configure(update_interval_minutes=x), "update_interval_minutes"),
        (AdaptivePoolSizer, "adjustment_interval_seconds"),
        (PriorityBasedReallocator, "reallocation_interval_seconds"),
        (lambda c, x: BudgetTimeScheduler(c, interval_seconds=x), "interval_seconds"),
    ],
)
@pytest.mark.parametrize("interval", [1e-10, 0, -1, float("nan"), float("inf"), Decimal("sNaN"), 10**400])
def test_an_interval_has_a_length(unchanged, make, argument, interval):
    with pytest.raises(ConfigurationError, match=f"{argument} must be from"):
        make(unchanged, interval)


def test_a_decision_is_about_an_agent_or_a_pool_by_its_id():
    for kind in ("alien", None, 5, "Agent", "\ud800"):
        with pytest.raises(ConfigurationError, match="kind must be 'agent' or 'pool'"):
            Decision(kind, "bot", Decimal(1), Decimal(2), "a test")
    with pytest.raises(TypeError, match=r"subject must be Unicode, not '\\ud800'"):
        Decision("agent", "\ud800", Decimal(1), Decimal(2), "a test")


@pytest.mark.parametrize("once", [(), ("a grant",), ("a grant", datetime(2026, 1, 1, tzinfo=UTC), 1)])
def test_what_is_granted_once_has_a_name_and_a_begin(once):
    with pytest.raises(ConfigurationError, match="once must be a name and the begin of what is granted, not"):
        SetBudget(Decimal(1), once)
