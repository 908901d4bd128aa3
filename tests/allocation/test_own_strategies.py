"""Rules of one's own and mixed populations: in `simulate`, in `sweep`, in one's own loop."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from safeguards.allocation import (
    AdaptiveStrategy,
    CustomStrategy,
    FlowStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    MixedStrategy,
    PreviousCapacityStrategy,
    RandomStrategy,
    ResourceSelector,
    WinStayStrategy,
    experiment_setting,
    simulate,
    sweep,
)
from safeguards.exceptions import ArgumentTypeError, ConfigurationError

CAPACITIES = experiment_setting(1)[:120]


class Recorder:
    """Goes where its number says, and notes all that it is told."""

    def __init__(self, n_agents, n_resources, random):
        self.n_agents, self.n_resources = n_agents, n_resources
        self.seen, self.told = [], []
        self.luck = random.random()

    def choose(self, agents, public):
        self.seen.append((agents.copy(), public))
        return agents % self.n_resources

    def update(self, agents, choices, overloaded):
        self.told.append((agents.copy(), choices.copy(), overloaded.copy()))


def recorded(**options):
    made = []

    def start(*arguments):
        made.append(Recorder(*arguments))
        return made[-1]

    return CustomStrategy("recorder", start), made, options


def test_a_rule_sees_what_is_public_and_learns_how_its_choice_went():
    strategy, made, _ = recorded()
    result = simulate(CAPACITIES, strategy, n_agents=900, trials=2, threads=1)
    assert len(made) == 2
    assert made[0].luck != made[1].luck
    assert (result.loads == 300).all()
    one = made[0]
    assert [public.step for _, public in one.seen] == list(range(1, 121))
    np.testing.assert_array_equal(one.seen[0][1].capacities, CAPACITIES[0])
    np.testing.assert_array_equal(one.seen[5][1].capacities, CAPACITIES[4])
    np.testing.assert_array_equal(one.seen[5][1].loads, [300, 300, 300])
    assert not one.seen[0][1].loads.any()
    assert len(one.told) == 119
    for step, (agents, choices, overloaded) in enumerate(one.told):
        np.testing.assert_array_equal(agents, np.arange(900))
        np.testing.assert_array_equal(choices, np.arange(900) % 3)
        np.testing.assert_array_equal(overloaded, (CAPACITIES[step] < 300)[choices])


def test_tasks_of_several_steps_ask_only_those_who_are_free():
    strategy, (one,), _ = (found := recorded())[0], found[1] or [None], None
    simulate(CAPACITIES, strategy, n_agents=100, trials=1, task_steps=4)
    one = found[1][0]
    sizes = [len(agents) for agents, _ in one.seen]
    assert sizes == [25] * (4 + 119)
    assert [agents[0] for agents, _ in one.seen[:8]] == [0, 25, 50, 75, 0, 25, 50, 75]


class ByCapacity:
    """What `RandomStrategy` does at its best, in numpy."""

    def __init__(self, n_agents, n_resources, random):
        self.n_resources, self.random = n_resources, random

    def choose(self, agents, public):
        shares = public.capacities / public.capacities.sum()
        return self.random.choice(self.n_resources, size=len(agents), p=shares)

    def update(self, agents, choices, overloaded):
        pass


def test_a_rule_in_numpy_does_what_the_same_rule_does_natively():
    own = simulate(CAPACITIES, CustomStrategy("own", ByCapacity), trials=20)
    native = simulate(CAPACITIES, RandomStrategy(), trials=20)
    assert own.average_deviation == pytest.approx(native.average_deviation, rel=0.05)
    again = simulate(CAPACITIES, CustomStrategy("own", ByCapacity), trials=20, threads=2)
    np.testing.assert_array_equal(own.loads, again.loads)


def test_a_sweep_takes_rules_and_mixtures_also_in_other_processes():
    strategies = {
        "own": CustomStrategy("own", ByCapacity),
        "mixed": MixedStrategy({FlowStrategy(): 1, CustomStrategy("own", ByCapacity): 1}),
        "flow": FlowStrategy(),
    }
    here = sweep(CAPACITIES, strategies, trials=3, warm_up=5)
    assert here["capacities", "flow"].average_deviation < here["capacities", "mixed"].average_deviation
    assert here["capacities", "mixed"].average_deviation < here["capacities", "own"].average_deviation
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert sweep(CAPACITIES, strategies, executor=processes, trials=3, warm_up=5) == here


NATIVE = [
    AdaptiveStrategy(0.02, 4),
    LamLeungStrategy(),
    GalstyanStrategy(),
    WinStayStrategy(),
    FlowStrategy(),
    RandomStrategy(),
    PreviousCapacityStrategy(),
]


@pytest.mark.parametrize("strategy", NATIVE, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("options", [{}, {"observation_noise": 0.05, "task_units": 2}])
def test_a_mixture_of_one_is_that_one(strategy, options):
    options = {"trials": 2, "n_agents": 500, "seed": 3, "allow_scarcity": True, **options}
    alone = simulate(CAPACITIES, strategy, **options)
    np.testing.assert_array_equal(
        simulate(CAPACITIES, MixedStrategy({strategy: 2}), **options).loads, alone.loads
    )


@pytest.mark.parametrize("options", [{}, {"task_steps": 3}, {"careless_fraction": 0.25}])
def test_each_strategy_has_its_part_of_the_agents(options):
    made = []

    def start(n_agents, n_resources, random):
        made.append(n_agents)
        return Recorder(n_agents, n_resources, random)

    parts = {WinStayStrategy(): 0.5, CustomStrategy("a", start): 0.3, CustomStrategy("b", start): 0.2}
    result = simulate(CAPACITIES, MixedStrategy(parts), n_agents=1000, trials=1, **options)
    careful = 750 if "careless_fraction" in options else 1000
    assert made == pytest.approx([0.3 * careful, 0.2 * careful], abs=2)
    assert (result.loads.sum(axis=2) == 1000).all()
    assert MixedStrategy(parts).name == "win-stay 50% + a 30% + b 20%"


def test_one_s_own_loop_takes_them_too():
    agents = CustomStrategy("own", ByCapacity).agents(1000, 3, seed=1)
    for now in CAPACITIES[:5]:
        choices = agents.choose(now)
        agents.update(np.bincount(choices, minlength=3) > now)
    assert choices.shape == (1000,)
    with pytest.raises(ConfigurationError, match="custom and mixed strategies run in simulations"):
        ResourceSelector(["a", "b"], CustomStrategy("own", ByCapacity))


class Broken(ByCapacity):
    def choose(self, agents, public):
        if public.step == 7:
            raise ZeroDivisionError("at step seven")
        return super().choose(agents, public)


class Wrong(ByCapacity):
    answer = None

    def choose(self, agents, public):
        return self.answer(agents)


def wrong(answer):
    return CustomStrategy("w", type("W", (Wrong,), {"answer": staticmethod(answer)}))


@pytest.mark.parametrize(
    ("strategy", "error", "message"),
    [
        (CustomStrategy("b", Broken), ZeroDivisionError, "at step seven"),
        (CustomStrategy("s", lambda *_: 1 / 0), ZeroDivisionError, "division"),
        (
            wrong(lambda agents: agents[:-1] * 0),
            ConfigurationError,
            "w: choose must return 1000 whole numbers",
        ),
        (wrong(lambda agents: [[0], [0, 1]]), ConfigurationError, "w: what choose returns must be a rectang"),
        (wrong(lambda agents: np.ma.array(agents * 0, mask=True)), TypeError, "must have no mask"),
        (wrong(lambda agents: agents * 0.5), ConfigurationError, "not shape .1000,. of float64"),
        (wrong(lambda agents: agents * 0 + 3), ConfigurationError, "resources from 0 to 2, not 3 to 3"),
        (wrong(lambda agents: agents * 0 - 1), ConfigurationError, "resources from 0 to 2, not -1 to -1"),
    ],
)
def test_what_goes_wrong_in_a_rule_is_raised_where_it_was_called(strategy, error, message):
    with pytest.raises(error, match=message):
        simulate(CAPACITIES, strategy, trials=3)
    with pytest.raises(error, match=message):
        simulate(CAPACITIES, MixedStrategy({FlowStrategy(): 1e-9, strategy: 1}), trials=3)
    agents = FlowStrategy().agents(10, 3)
    assert agents.choose([5, 5, 5]).shape == (10,), "others are not harmed"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CustomStrategy("", ByCapacity), ConfigurationError, "label must be a name"),
        (lambda: CustomStrategy("x", 3), ConfigurationError, "start must be callable, not 3"),
        (lambda: MixedStrategy({}), ConfigurationError, "a strategy at least"),
        (lambda: MixedStrategy({FlowStrategy(): 0}), ConfigurationError, "a part of parts must be"),
        (lambda: MixedStrategy(3), ArgumentTypeError, "parts must be parts by strategy"),
        (lambda: MixedStrategy([[1], [2, 3]]), ArgumentTypeError, "parts must be parts by strategy"),
        (lambda: MixedStrategy({"flow": 1}), ArgumentTypeError, "a strategy of parts must be"),
    ],
)
def test_strategies_that_make_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make()
