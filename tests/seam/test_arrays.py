"""Whatever takes an array reads the values that numpy shows, however they lie in memory, or refuses by name.

`CASES` names every function that takes one; a test fails when another does.
"""

import ast
import re
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeguards import (
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRLOptimizer,
    ConfigurationError,
    ManualClock,
    _native,
    fair_tasks,
)
from safeguards.allocation import AdaptiveStrategy, FlowStrategy, plots, simulate, sweep
from safeguards.allocation.simulation import trials_after
from safeguards.backtest import Demand
from safeguards.backtest.pacing import backtest_pacing

from . import layouts

ROOT = Path(__file__).parents[2]
FLOATS, HANDLES, NUMBERS, INTS, BOOLS = np.float64, np.uint32, np.uint64, np.int64, np.bool_
STRATEGY = AdaptiveStrategy(adjusting_rate=0.1)
START = datetime(2026, 3, 2, tzinfo=UTC)


def drawn(rng, dtype, shape, low=0, high=9):
    """Values that differ, so that a wrong one shows."""
    if dtype == "rising":
        return np.sort(rng.uniform(low, high, shape))
    if dtype is BOOLS:
        return rng.random(shape) < 0.5
    if dtype is FLOATS:
        return rng.uniform(low, high, shape)
    return rng.integers(low, high, shape, dtype=dtype, endpoint=True)


# Native functions: (call, {argument: (dtype, shape, low, high)}).


def debit_many(handles, units):
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("team", 1000)
    for number in range(10):
        coordinator.register_agent(f"bot-{number}", "team", initial_budget=100)
    admitted = coordinator.debit_many(handles, units)
    assert not coordinator.verify()
    return admitted, [coordinator.get_agent_metrics(f"bot-{n}").spent for n in range(10)]


def of_reservations(name):
    """Makes three reservations of each agent first."""

    def call(**arguments):
        coordinator = BudgetCoordinator(clock=ManualClock())
        coordinator.create_budget_pool("team", 1000)
        for number in range(10):
            coordinator.register_agent(f"bot-{number}", "team", initial_budget=100)
        coordinator.reserve_many(np.arange(30, dtype=np.uint32) % 10, np.full(30, 10**9))
        outcomes = getattr(coordinator, name)(**arguments)
        coordinator.verify()
        return outcomes, [coordinator.get_agent_metrics(f"bot-{n}").remaining for n in range(10)]

    return call


def observe(demand, at_least):
    forecaster = _native.NextHour(6)
    for factor in (1.0, 2.0, 3.0):
        forecaster.observe(np.arange(1.0, 7.0) * factor)
    forecaster.observe(demand, at_least=at_least)
    return forecaster.forecast(), forecaster.latest()


def retain(keep):
    forecaster = _native.NextHour(6)
    forecaster.observe(np.arange(1.0, 7.0))
    forecaster.retain(keep)
    return forecaster.forecast()


def deal(needs, weights, fixed):
    coordinator = BudgetCoordinator(clock=ManualClock())
    coordinator.create_budget_pool("team", 100)
    for number in range(6):
        coordinator.register_agent(f"bot-{number}", "team", initial_budget=10)
    return _native.PoolMembers(coordinator, "team").deal(needs, weights, fixed, (0.1, 0.1, None))


def simulate_allocation(capacities, initial_attitudes):
    return _native.simulate_allocation(
        *(STRATEGY._native(), capacities),
        n_agents=6,
        trials=2,
        first_trial=0,
        seed=1,
        initial_attitudes=initial_attitudes,
        observation_noise=0.0,
        careless_fraction=0.0,
        task_units=1,
        task_steps=1,
        allow_scarcity=True,
        threads=1,
        progress=None,
    )


def agents(strategy=STRATEGY, attitudes=None):
    return _native.AllocationAgents(strategy._native(), 6, 3, 1, attitudes)


def agents_new(initial_attitudes):
    return agents(attitudes=initial_attitudes).choose(np.array([3.0, 2.0, 1.0]))


def choose(capacities):
    return agents().choose(capacities)


def update(overloaded, loads):
    here = agents(FlowStrategy())
    here.choose(np.array([3.0, 2.0, 1.0]))
    here.update(overloaded, loads)
    return here.choose(np.array([3.0, 2.0, 1.0]))


SHARES, BUDGETS = np.array([0.0, 4.0, 9.0]), np.array([0.0, 5.0, 9.0])


def table():
    return _native.QTable(3, SHARES, BUDGETS, 2, np.arange(54.0).reshape(3, 3, 3, 2) ** 1.5 % 7)


def axes(shares, budgets):
    try:
        made = _native.QTable(1, shares, budgets, 2)
    except ConfigurationError as error:  # they do not rise
        return str(error)
    at = np.array([1.0, 4.0, 8.0])
    made.update((np.zeros(3, INTS), at, at), np.zeros(3, INTS), at, (np.zeros(3, INTS), at, at), 0.1, 0.9)
    return made.values


def best(classes, shares, budgets):
    return table().best((classes, shares, budgets))


def fit(classes, shares, budgets, rewards, to_classes, to_shares, to_budgets):  # noqa: PLR0917
    learnt = table()
    learnt.fit((classes, shares, budgets), rewards, to_classes, to_shares, to_budgets, 0.5, 20)
    return learnt.values


def learn(classes, shares, budgets, actions, rewards):
    learnt = table()
    learnt.update((classes, shares, budgets), actions, rewards, (classes, budgets, shares), 0.1, 0.9)
    return learnt.values


def best_budgets(demand, tasks, start, levels):
    rewards = (50.0, -100.0, 10.0, -0.1)
    try:
        return _native.best_budgets(demand, tasks, start, levels, 0.3, rewards)
    except ConfigurationError as error:  # levels that do not rise
        return str(error)


def native_fair_tasks(demands, capacities, weights, caps):
    return _native.fair_tasks(demands, capacities, weights, caps)


def forecast_usage(usage, first):
    options = {"lead": 0, "length": 24, "level": 0.9, "margin": 0.2, "threads": 1}
    return list(_native.forecast_usage(usage, first, **options).values())


def load(amounts):
    learner = _native.UsageLearner(30, 1, "UTC")
    at = [int(START.timestamp() * 1e6) - 3_600_000_000 * hour for hour in range(6)]
    learner.load("bot", at, amounts, START)
    return learner.usage("bot")


PLACES = {"classes": (INTS, (6,), 0, 2), "shares": (FLOATS, (6,)), "budgets": (FLOATS, (6,))}

NATIVE = {
    "debit_many": (debit_many, {"handles": (HANDLES, (6,)), "units": (INTS, (6,), 0, 10**9)}),
    "reserve_many": (
        of_reservations("reserve_many"),
        {"handles": (HANDLES, (6,)), "units": (INTS, (6,), 0, 10**9)},
    ),
    "settle_many": (
        of_reservations("settle_many"),
        {"handles": (HANDLES, (6,)), "numbers": (NUMBERS, (6,), 0, 3), "units": (INTS, (6,), 0, 10**9)},
    ),
    "release_many": (
        of_reservations("release_many"),
        {"handles": (HANDLES, (6,)), "numbers": (NUMBERS, (6,), 0, 3)},
    ),
    "NextHour.observe": (observe, {"demand": (FLOATS, (6,)), "at_least": (BOOLS, (6,))}),
    "NextHour.replay": (lambda demand: _native.NextHour(3).replay(demand), {"demand": (FLOATS, (3, 5))}),
    "NextHour.retain": (retain, {"keep": (BOOLS, (6,))}),
    "PoolMembers.deal": (
        deal,
        {"needs": (FLOATS, (6,)), "weights": (FLOATS, (6,), 0.1), "fixed": (BOOLS, (6,))},
    ),
    "simulate_allocation": (
        simulate_allocation,
        {"capacities": (FLOATS, (5, 3), 1), "initial_attitudes": (FLOATS, (2, 6, 3), 0, 1)},
    ),
    "AllocationAgents.__new__": (agents_new, {"initial_attitudes": (FLOATS, (6, 3), 0, 1)}),
    "AllocationAgents.choose": (choose, {"capacities": (FLOATS, (3,), 1)}),
    "AllocationAgents.update": (update, {"overloaded": (BOOLS, (3,)), "loads": (INTS, (3,))}),
    "QTable.__new__": (axes, {"shares": ("rising", (3,)), "budgets": ("rising", (3,))}),
    "QTable.__new__ values": (
        lambda values: _native.QTable(3, SHARES, BUDGETS, 2, values).values,
        {"values": (FLOATS, (3, 3, 3, 2))},
    ),
    "QTable.best": (best, PLACES),
    "QTable.fit": (
        fit,
        PLACES
        | {"rewards": (FLOATS, (6, 2)), "to_classes": (INTS, (6,), 0, 2), "to_shares": (FLOATS, (6,))}
        | {"to_budgets": (FLOATS, (6, 2))},
    ),
    "QTable.update": (learn, PLACES | {"actions": (INTS, (6,), 0, 1), "rewards": (FLOATS, (6,))}),
    "best_budgets": (
        best_budgets,
        {"demand": (FLOATS, (3, 4)), "tasks": (FLOATS, (3, 4)), "start": (FLOATS, (3,), 1)}
        | {"levels": ("rising", (2,), 1)},
    ),
    "fair_tasks": (
        native_fair_tasks,
        {"demands": (FLOATS, (4, 3), 1), "capacities": (FLOATS, (3,), 1), "weights": (FLOATS, (12,), 1)}
        | {"caps": (FLOATS, (4,), 1)},
    ),
    "forecast_usage": (forecast_usage, {"usage": (FLOATS, (3, 72)), "first": (INTS, (3,), 0, 9)}),
    "UsageLearner.load": (load, {"amounts": (FLOATS, (6,))}),
}


# Public functions.


def strategy_agents(initial_attitudes):
    return STRATEGY.agents(6, 3, seed=1, initial_attitudes=initial_attitudes).choose([3, 2, 1])


def strategy_update(overloaded, loads):
    here = FlowStrategy().agents(6, 3, seed=1)
    here.choose([3, 2, 1])
    here.update(overloaded, loads)
    return here.choose([3, 2, 1])


def simulated(capacities, initial_attitudes):
    options = {"n_agents": 6, "trials": 2, "allow_scarcity": True, "threads": 1}
    return simulate(capacities, STRATEGY, initial_attitudes=initial_attitudes, **options).loads


def simulated_after(capacities, initial_attitudes):
    options = {"n_agents": 6, "trials": 2, "allow_scarcity": True, "threads": 1}
    return trials_after(2, capacities, STRATEGY, initial_attitudes=initial_attitudes, **options).loads


def swept(capacities):
    return str(sweep({"one": capacities}, {"x": STRATEGY}, n_agents=6, trials=2, allow_scarcity=True))


def tasks(demands, capacities, weights, caps):
    return fair_tasks(demands, capacities, weights, caps=caps)


def pattern_history(timestamps, amounts):
    learner = BudgetPatternLearner(BudgetCoordinator(clock=ManualClock(START)), timezone="UTC")
    learner.load_history("bot", timestamps, amounts)
    return learner._usage.usage("bot")


def rl_history(timestamps, amounts):
    coordinator = BudgetCoordinator(clock=ManualClock(START))
    coordinator.create_budget_pool("team", 10)
    coordinator.register_agent("bot", "team", initial_budget=1)
    optimizer = BudgetRLOptimizer(coordinator)
    optimizer.load_history("bot", timestamps, amounts)
    return optimizer._past._loaded["bot"]


def paced(demand):
    return str(backtest_pacing(np.clip(np.abs(demand), 0.1, None), slots_per_day=24, warm_up_days=1))


def drawn_capacities(capacities):
    figure = plots.plot_capacities({"one": capacities})
    return [line.get_ydata() for line in figure.axes[0].lines]


def drawn_deviations(line):
    figure = plots.plot_deviations("x", [1, 2, 3], {"one": line})
    return figure.axes[0].lines[0].get_ydata()


HISTORY = {"timestamps": ("times", (6,)), "amounts": (FLOATS, (6,))}

PUBLIC = {
    "Strategy.agents": (strategy_agents, {"initial_attitudes": (FLOATS, (6, 3), 0, 1)}),
    "StrategyAgents.choose": (
        lambda capacities: STRATEGY.agents(6, 3, seed=1).choose(capacities),
        {"capacities": (FLOATS, (3,), 1)},
    ),
    "StrategyAgents.update": (strategy_update, {"overloaded": (BOOLS, (3,)), "loads": (INTS, (3,))}),
    "simulate": (
        simulated,
        {"capacities": (FLOATS, (5, 3), 1), "initial_attitudes": (FLOATS, (2, 6, 3), 0, 1)},
    ),
    "trials_after": (
        simulated_after,
        {"capacities": (FLOATS, (5, 3), 1), "initial_attitudes": (FLOATS, (2, 6, 3), 0, 1)},
    ),
    "sweep": (swept, {"capacities": (FLOATS, (5, 3), 1)}),
    "fair_tasks": (
        tasks,
        {"demands": (FLOATS, (4, 3), 1), "capacities": (FLOATS, (3,), 1), "weights": (FLOATS, (4, 3), 1)}
        | {"caps": (FLOATS, (4,), 1)},
    ),
    "BudgetPatternLearner.load_history": (pattern_history, HISTORY),
    "BudgetRLOptimizer.load_history": (rl_history, HISTORY),
    "Demand": (lambda cost: Demand(("a", "b", "c"), cost).cost, {"cost": (FLOATS, (3, 5))}),
    "backtest_pacing": (paced, {"demand": (FLOATS, (2, 96), 1)}),
    "plot_capacities": (drawn_capacities, {"capacities": (FLOATS, (5, 3))}),
    "plot_deviations": (drawn_deviations, {"line": (FLOATS, (3,))}),
}
CASES = {f"_native {name}": case for name, case in NATIVE.items()} | PUBLIC
SLOW = ("backtest_pacing", "plot_capacities", "plot_deviations")


def arguments_of(name, seed):
    rng = np.random.default_rng(seed)
    given = {}
    for argument, (dtype, *bounds) in CASES[name][1].items():
        if dtype == "times":
            hours = rng.integers(0, 500, bounds[0])
            given[argument] = np.datetime64("2026-03-02", "us") - hours.astype("timedelta64[h]")
        else:
            given[argument] = drawn(rng, dtype, *bounds)
    return given


def same(one, other):
    if isinstance(one, np.ndarray):
        one = one.astype(one.dtype.newbyteorder("="))
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("name", CASES)
def test_any_layout_is_read_as_numpy_shows_it(name):
    call, arguments = CASES[name]

    @settings(max_examples=3 if name in SLOW else 30, deadline=None)
    @given(st.integers(0, 2**32), st.tuples(*[st.sampled_from(layouts.ALL)] * len(arguments)))
    def check(seed, chosen):
        plain = arguments_of(name, seed)
        laid_out = {arg: layout(plain[arg]) for layout, arg in zip(chosen, plain, strict=True)}
        for argument, array in laid_out.items():
            assert (array == plain[argument]).all()
        assert same(call(**laid_out), call(**plain))

    check()
    for layout in layouts.ALL if name not in SLOW else ():  # each of them at least once
        plain = arguments_of(name, 1)
        assert same(call(**{arg: layout(array) for arg, array in plain.items()}), call(**plain)), layout


@pytest.mark.parametrize("name", CASES)
def test_stride_zero(name):
    call, arguments = CASES[name]
    for argument in arguments:
        plain = arguments_of(name, 3)
        stretched = layouts.stretched(plain[argument])
        expected = call(**plain | {argument: np.ascontiguousarray(stretched)})
        assert same(call(**plain | {argument: stretched}), expected)


@pytest.mark.parametrize("name", CASES)
def test_a_mask_is_never_dropped(name):
    call, arguments = CASES[name]
    for argument in arguments:
        plain = arguments_of(name, 5)
        masked = np.ma.masked_array(plain[argument], mask=np.zeros(plain[argument].shape, bool))
        masked[(0,) * masked.ndim] = np.ma.masked
        if name == "backtest_pacing":
            continue  # its case computes with the array first
        with pytest.raises(TypeError, match="must have no mask"):
            call(**plain | {argument: masked})


@pytest.mark.parametrize("name", NATIVE)
def test_native_code_refuses_other_types_and_shapes_by_name(name):
    call, arguments = NATIVE[name]
    for argument in arguments:
        plain = arguments_of(f"_native {name}", 7)
        array = plain[argument]
        bad = [None, 1, "1", b"1", object(), array.astype(object)]
        bad += [array.astype(complex)]
        bad += [array.reshape(-1)[0], array.astype("S8"), np.float32(1)]
        bad += [array.astype(np.float32), array.astype(np.int16), np.zeros(2, dtype=[("a", array.dtype)])]
        bad += [np.zeros(2, dtype=[("a", array.dtype)])[0], array.tolist(), memoryview(array)]
        bad += [layouts.big_endian(array)] if array.dtype != bool else []
        if argument not in {"values", "initial_attitudes"}:  # those say of which shape
            bad += [array[..., None], array.reshape(-1)[:1].reshape(())]
        optional = {"at_least", "loads", "initial_attitudes", "values"}
        for value in bad:
            if value is None and argument in optional:
                continue
            if argument == "amounts" and not isinstance(value, np.ndarray):
                continue  # any iterable of amounts
            text = None if argument == "amounts" else f"{argument} must be a numpy array"
            with pytest.raises(TypeError, match=text):
                call(**plain | {argument: value})


@pytest.mark.parametrize("name", PUBLIC)
def test_the_other_byte_order_is_converted_by_the_public_functions(name):
    call, _ = PUBLIC[name]
    plain = arguments_of(name, 9)
    assert same(call(**{arg: layouts.big_endian(array) for arg, array in plain.items()}), call(**plain))


def test_empty_arrays_of_any_layout(coordinator):
    for layout in layouts.ALL:
        handles, units = layout(np.zeros(0, np.uint32)), layout(np.zeros(0, np.int64))
        assert coordinator.debit_many(handles, units).shape == (0,)
        assert _native.NextHour(2).replay(layout(np.zeros((2, 0)))).shape == (2, 0)


def test_numbers_that_a_cast_would_change_are_refused():
    here = FlowStrategy().agents(2, 2)
    here.choose([1, 1])
    for loads in ([1.0, 1.0], [True, False], np.array([2**63, 0], np.uint64), ["1", "1"], [10**30, 0]):
        with pytest.raises(ConfigurationError, match="loads must be"):
            here.update([False, False], loads)
    for capacities in ([True, True], ["1", "1"], [1j, 1], [None, 1], [10**400, 1], [Decimal("sNaN"), 1]):
        with pytest.raises(ConfigurationError, match="capacities must be an array of real numbers"):
            here.choose(capacities)
        with pytest.raises(ConfigurationError, match="capacities must be an array of real numbers"):
            fair_tasks([[1, 1]], capacities)
    with pytest.raises(ConfigurationError, match=r"overloaded must be a \(Q,\) array of bool"):
        here.update([0, 1])
    here.update([False, False], np.array([1, 1], np.uint64))


@pytest.mark.parametrize("load", [pattern_history, rl_history])
@pytest.mark.parametrize("unit", ["D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"])
def test_times_of_every_unit_are_read(load, unit):
    """The finest reach but a few hours from 1970: those that fit are far in the past, and kept by nobody."""
    day = "1970-01-01" if unit in {"ps", "fs", "as"} else "2026-03-01"
    days = np.array([day], f"datetime64[{unit}]")
    expected = load([datetime.fromisoformat(f"{day}T00:00+00:00")], ["1"])
    np.testing.assert_equal(load(days.astype("M8[us]").astype(days.dtype), ["1"]), expected)


@pytest.mark.parametrize("load", [pattern_history, rl_history])
def test_histories_may_come_from_iterators(load):
    times = [START - timedelta(hours=hours) for hours in (3, 2, 1)]
    np.testing.assert_equal(load(iter(times), iter([1, 2, 3])), load(times, [1, 2, 3]))
    for wrong in (7, None, 1.5):
        with pytest.raises(TypeError, match="timestamps must be"):
            load(wrong, [1])
        with pytest.raises(TypeError, match="amounts"):
            load(times[:1], wrong)


@pytest.mark.parametrize("load", [pattern_history, rl_history])
def test_times_that_a_cast_would_change_are_refused(load):
    amounts = np.array([1.0])
    for unit, number in (("Y", 300_000), ("D", 10**9), ("s", 2**60), ("us", 2**62), ("Y", -3000)):
        with pytest.raises(ConfigurationError, match="times of the years 1 to 9999"):
            load(np.array([number], f"datetime64[{unit}]"), amounts)
    with pytest.raises(TypeError, match="each of timestamps must be a datetime, not NaT"):
        load(np.array(["NaT"], "datetime64[s]"), amounts)
    for wrong in (np.array([1.0]), np.array([1]), np.array([True]), np.array(["2026-01-01"])):
        with pytest.raises(TypeError, match="an array of timestamps must be datetime64"):
            load(wrong, amounts)
    with pytest.raises(TypeError, match="an array of timestamps must be datetime64"):
        load([np.float64(3)], amounts)
    day = np.array(["2026-03-01"], "M8[D]")
    assert same(load([day[0]], amounts), load(day, amounts))


def test_an_array_that_changes_meanwhile_is_charged_as_it_was_or_is(coordinator):
    """Another thread writes while the interpreter is let go: each item is one of the two values."""
    coordinator.update_budget("bot", 10)
    handle = coordinator.handle("bot")
    handles, units = np.full(20_000, handle, np.uint32), np.ones(20_000, np.int64)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            units[:] = 3
            units[:] = 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(50):
            before = coordinator.get_agent_metrics("bot").spent
            coordinator.debit_many(handles, units)
            charged = int((coordinator.get_agent_metrics("bot").spent - before).scaleb(9))
            assert 20_000 <= charged <= 60_000
    finally:
        stop.set()
        thread.join()
    assert not coordinator.verify()


# The table is complete.


def is_array(annotation):
    text = ast.unparse(annotation)
    if text.startswith("Callable["):  # what it returns is checked where it is called
        return False
    return re.search(r"NDArray|ArrayLike|_Places|Timestamps|\bAmounts\b", text) is not None


def functions(tree, prefix=""):
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


def with_arrays(path):
    for name, node in functions(ast.parse(path.read_text())):
        args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        found = [arg.arg for arg in args if arg.annotation is not None and is_array(arg.annotation)]
        if found:
            yield name.removeprefix("Ledger."), found


def names(table):
    return {name.split()[0] for name in table}


def test_every_native_function_that_takes_an_array_is_in_the_table():
    stub = dict(with_arrays(ROOT / "python/safeguards/_native.pyi"))
    assert set(stub) == names(NATIVE)
    # The stub says so of each array that Rust reads.
    sources = (ROOT / "rust/safeguards-py/src").rglob("*.rs")
    reads = re.compile(r'\b(?:column|matrix|tensor|flags)(?:::<\w+>)?\(\s*&?\w+,\s*"(\w+)"\s*\)')
    read = {argument for source in sources for argument in reads.findall(source.read_text())}
    assert read == {arg for args in stub.values() for arg in args} - {"at", "to"} | {"classes"}
    tried = {arg for _, arguments in NATIVE.values() for arg in arguments}
    assert tried == read


def test_only_one_file_of_the_binding_reads_arrays():
    for source in (ROOT / "rust/safeguards-py/src").rglob("*.rs"):
        text = source.read_text()
        if source.name != "array.rs":
            assert not re.search(r"\bas_array\b|Py(Readonly|Readwrite)Array|PyArrayLike|as_slice", text), (
                source
            )
    banned = re.findall(r'path = "([\w:]+)"', (ROOT / "clippy.toml").read_text())
    assert {"numpy::PyReadonlyArray::as_array", "numpy::PyArrayMethods::as_array"} <= set(banned)


def test_every_public_function_that_takes_an_array_is_in_the_table():
    found = {"Demand", "plot_deviations"}  # a field; a mapping of sequences. A `Population` is of callers
    for path in (ROOT / "python/safeguards").rglob("*.py"):
        parts = path.relative_to(ROOT / "python/safeguards").parts
        if any(part.startswith("_") and part != "__init__.py" for part in parts):
            continue
        for name, arguments in with_arrays(path):
            if not any(part.startswith("_") or part == "Population" for part in name.split(".")):
                found |= {name} if arguments else set()
    found |= {"BudgetRLOptimizer.load_history"}  # sequences, or arrays
    assert found == set(PUBLIC)


def test_arrays_of_callers_are_read_in_one_place():
    """`np.asarray` drops masks, and with a dtype it casts: `_values.arrays` reads what is given."""
    # The others read what is ours.
    own = {"arrays.py", "pool_size.py", "history.py", "_division.py", "_pool_rules.py", "rewards.py"}
    files = (ROOT / "python/safeguards").rglob("*.py")
    assert {path.name for path in files if "np.asarray(" in path.read_text()} == own
