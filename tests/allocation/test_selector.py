"""`ResourceSelector`: the paper's agents one by one, live behaviour, races, limits."""

import threading

import numpy as np
import pytest

from safeguards.allocation import (
    AdaptiveStrategy,
    FlowStrategy,
    GalstyanStrategy,
    LamLeungStrategy,
    PreviousCapacityStrategy,
    RandomStrategy,
    ResourceSelector,
    WinStayStrategy,
    experiment_setting,
)
from safeguards.exceptions import ConfigurationError, UnknownAgentError

NAMES = ("a", "b", "c")


def drive(selector, capacities, agents):
    """Loads (T, Q) of agents that all choose and report in every step."""
    loads = np.zeros(capacities.shape, dtype=int)
    for t, row in enumerate(capacities):
        choices = {agent: selector.choose(agent) for agent in agents}
        counts = {name: list(choices.values()).count(name) for name in NAMES}
        for agent, resource in choices.items():
            assert selector.report(agent, resource, overloaded=counts[resource] > row[NAMES.index(resource)])
        for name, capacity in zip(NAMES, row, strict=True):
            selector.observe_capacity(name, capacity)
        assert selector.advance() == counts
        loads[t] = [counts[name] for name in NAMES]
    return loads


@pytest.mark.parametrize(
    ("strategy", "most"),
    [(WinStayStrategy(), 5), (FlowStrategy(), 2), (AdaptiveStrategy(0.02, 4), 300), (RandomStrategy(), 250)],
)
def test_loads_follow_capacity_as_in_a_simulation(strategy, most):
    capacities = experiment_setting(1)[::4]
    capacities = np.vstack([capacities[:1], capacities])
    selector = ResourceSelector(NAMES, strategy, seed=1)
    loads = drive(selector, capacities, [f"agent-{n}" for n in range(1000)])
    # Steps are four times as large here as in the paper, and so are their surprises.
    assert ((loads - capacities)[30:] ** 2).mean() < most * 4
    assert selector.n_agents == 1000
    assert selector.step == len(capacities) + 1


def test_the_same_calls_make_the_same_choices():
    runs = []
    for seed in (1, 1, 2):
        selector = ResourceSelector(NAMES, WinStayStrategy(), seed=seed)
        runs.append(drive(selector, experiment_setting(1)[:20], [str(n) for n in range(300)]))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_a_choice_holds_for_the_whole_step():
    selector = ResourceSelector(NAMES, RandomStrategy())
    for _ in range(50):
        assert len({selector.choose("x") for _ in range(20)}) == 1
        selector.advance()


def test_capacities_are_seen_at_once_in_the_first_two_steps_and_one_step_later_then():
    selector = ResourceSelector(NAMES, AdaptiveStrategy(0.0, 1.0))
    selector.observe_capacity("c", 100)
    selector.observe_capacity("a", 1)
    selector.observe_capacity("b", 1)
    assert {selector.choose(str(n)) for n in range(50)} <= {"a", "b", "c"}
    assert sum(selector.choose(str(n)) == "c" for n in range(50)) > 25
    selector = ResourceSelector(NAMES, RandomStrategy())
    for name, capacity in zip(NAMES, (0, 0, 7), strict=True):
        selector.observe_capacity(name, capacity)
    selector.advance()
    assert {selector.choose(str(n)) for n in range(50)} == {"c"}


def test_a_newcomer_is_dealt_out_by_the_forecast():
    selector = ResourceSelector(NAMES, FlowStrategy())
    for _ in range(5):
        for name, capacity in zip(NAMES, (0, 30, 70), strict=True):
            selector.observe_capacity(name, capacity)
        selector.advance()
    choices = [selector.choose(f"late {n}") for n in range(2000)]
    assert choices.count("a") == 0
    assert choices.count("c") == pytest.approx(1400, rel=0.1)


def test_reports_that_come_late_or_twice():
    selector = ResourceSelector(NAMES, RandomStrategy())
    first = selector.choose("x")
    assert selector.report("x", first, overloaded=True)
    assert selector.report("x", first, overloaded=False)
    assert not any(selector.report("x", name, overloaded=True) for name in NAMES if name != first)
    selector.advance()
    assert selector.report("x", first, overloaded=False)
    while selector.choose("x") == first:
        selector.advance()
    assert not selector.report("x", first, overloaded=False)


def test_one_overload_in_a_step_outweighs_any_success():
    """With rate 1 an overload takes the attitude to 0; there are no hits yet, so another is taken."""
    agents = []
    for reports in ([True], [True, False], [False, True], [False]):
        selector = ResourceSelector(NAMES, AdaptiveStrategy(1.0, 1.0))
        first = selector.choose("x")
        for overloaded in reports:
            selector.report("x", first, overloaded=overloaded)
        selector.advance()
        agents.append(selector.choose("x") == first)
    assert agents == [False, False, False, True]


def test_no_agent_is_dropped_in_silence():
    selector = ResourceSelector(NAMES, FlowStrategy(), max_agents=3)
    for agent in "xyz":
        selector.choose(agent)
    with pytest.raises(ConfigurationError, match="the selector is full: it holds max_agents=3"):
        selector.choose("w")
    assert selector.n_agents == 3
    selector.choose("x")
    selector.forget("y")
    selector.choose("w")
    assert selector.n_agents == 3
    with pytest.raises(UnknownAgentError, match="y"):
        selector.report("y", "a", overloaded=True)


def test_a_forgotten_agent_starts_anew():
    selector = ResourceSelector(NAMES, AdaptiveStrategy())
    chosen = selector.choose("x")
    selector.report("x", chosen, overloaded=False)
    selector.forget("x")
    with pytest.raises(UnknownAgentError, match="x"):
        selector.forget("x")
    assert selector.choose("x") == chosen  # the same slot and seed, so the same start
    assert selector.n_agents == 1


def test_races_lose_nobody():
    """Agents choose and report from eight threads while steps end and capacities change."""
    selector = ResourceSelector(NAMES, WinStayStrategy(), max_agents=4000)
    chosen, stop, errors = [0] * 8, threading.Event(), []
    total = []

    def work(worker):
        try:
            while not stop.is_set():
                for n in range(500):
                    agent = f"{worker}-{n}"
                    resource = selector.choose(agent)
                    assert resource in NAMES
                    selector.report(agent, resource, overloaded=n % 3 == 0)
                chosen[worker] += 1
        except Exception as error:
            errors.append(error)

    def advance():
        try:
            while not stop.is_set():
                selector.observe_capacity("a", 1000 + len(total) % 7)
                total.append(sum(selector.advance().values()))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)] + [
        threading.Thread(target=advance)
    ]
    for thread in threads:
        thread.start()
    stop.wait(1.5)
    stop.set()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert errors == []
    assert all(chosen)
    assert selector.n_agents == 4000
    # A step counts an agent once, however often it asked.
    assert max(total) <= 4000
    assert selector.step == len(total) + 1


def test_bad_input_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="resources must have different names"):
        ResourceSelector(["a", "a"], FlowStrategy())
    with pytest.raises(ConfigurationError, match="1 to 65535 resources"):
        ResourceSelector([], FlowStrategy())
    for strategy in (GalstyanStrategy(), PreviousCapacityStrategy()):
        with pytest.raises(ConfigurationError, match="strategy: this one must know all agents"):
            ResourceSelector(NAMES, strategy)
    with pytest.raises(ConfigurationError, match="max_agents must be from 1"):
        ResourceSelector(NAMES, FlowStrategy(), max_agents=0)
    selector = ResourceSelector(NAMES, LamLeungStrategy())
    for capacity in (-1.0, float("nan"), float("inf"), 1e17):
        with pytest.raises(ConfigurationError, match="capacity must be a number from 0"):
            selector.observe_capacity("a", capacity)
    with pytest.raises(ConfigurationError, match="resource 'z' is not one of 'a', 'b', 'c'"):
        selector.observe_capacity("z", 1.0)
    selector.choose("x")
    with pytest.raises(ConfigurationError, match="resource 'z'"):
        selector.report("x", "z", overloaded=True)
    with pytest.raises(UnknownAgentError, match='"nobody" has not chosen'):
        selector.report("nobody", "a", overloaded=True)
    with pytest.raises(TypeError):
        selector.choose(7)
    assert "LamLeungStrategy" in repr(selector)
    assert selector.resources == NAMES


def test_memory_of_an_agent_is_stated():
    assert ResourceSelector(NAMES, FlowStrategy()).bytes_per_agent <= 64
    assert ResourceSelector(NAMES, AdaptiveStrategy()).bytes_per_agent <= 128
