"""The system refuses to start threads: it is said by name, nothing has changed, and a later try succeeds.

Real limits, in a process of its own: `RLIMIT_NPROC`, which root is exempt from and therefore gives up.
"""

import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits as Linux counts them")

PROLOGUE = """
import faulthandler, json, os, resource, sys, threading, time
from datetime import UTC, datetime, timedelta
import numpy as np
import numpy.ma
import numpy.random
import safeguards.cli.demo as demo  # now: whoever gives up being root may read nothing later
from safeguards import *
from safeguards import _native
from safeguards.allocation import *
from tests.threads.movers import Mover, wait_for

faulthandler.dump_traceback_later(40, exit=True)
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
_, MOST = resource.getrlimit(resource.RLIMIT_NPROC)

def deny():
    resource.setrlimit(resource.RLIMIT_NPROC, (1, MOST))
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return
    print("no limit holds here"); sys.exit(77)

def allow():
    resource.setrlimit(resource.RLIMIT_NPROC, (MOST, MOST))

def refused(call):
    try:
        call()
    except ThreadStartError as error:
        assert isinstance(error, RuntimeError) and isinstance(error, SafeguardsError)
        assert "ulimit -u" in str(error) and "Nothing has changed" in str(error), error
        return True
    raise AssertionError(f"{call} was not refused")

team = BudgetCoordinator()
team.create_budget_pool("team", 10**6)
team.register_agent("bot", "team", initial_budget=100)
"""


def run(program, prologue=PROLOGUE):
    code = prologue + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == 77:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done


def test_calls_that_compute():
    """Each is refused by name, again and again, and does its work as soon as it may."""
    run("""
    ones, two = np.ones((4, 50)), np.array([1.0, 1.3])
    table = _native.QTable(1, np.array([0.0, 1.0]), np.array([0.0, 1.0]), 2)
    here, zero = np.zeros(1), np.zeros(1, np.int64)
    fit = lambda: table.fit((zero, here, here), np.ones((1, 2)), zero, here, np.zeros((1, 2)), 0.5, 100)
    now = datetime.now(UTC)
    learner = BudgetPatternLearner(team, min_data_points=10)
    for agent in ("bot", "other"):
        learner.load_history(agent, [now - timedelta(hours=n) for n in range(400, 0, -1)], np.ones(400))
    calls = {
        "best budgets": lambda: _native.best_budgets(
            ones, ones, np.ones(4), two, 0.3, (50.0, -100.0, 10.0, -0.1)).shape == (4, 50),
        "fit": lambda: fit() and table.values.max() > 1.9,
        "simulate": lambda: simulate(np.ones((20, 3)) * 100, AdaptiveStrategy(adjusting_rate=0.1),
                                     n_agents=100, trials=5).loads.shape[0] == 5,
        "forecast": lambda: _native.forecast_usage(
            np.ones((4, 200)), np.zeros(4, np.int64), lead=0, length=5, level=0.9, margin=1.2, threads=0),
        "needs of all": learner.evaluate,
    }
    for call in calls.values():  # each has had its threads before
        assert call()
    fitted = table.values
    deny()
    for name, call in list(calls.items()) * 2:
        assert refused(call), name
    assert (table.values == fitted).all()
    allow()
    for call in calls.values():
        assert call()
    # Where only a few threads can be had, these do it.
    for n in range(2, 200):
        resource.setrlimit(resource.RLIMIT_NPROC, (n, MOST))
        try:
            calls["best budgets"]()
        except ThreadStartError:
            continue
        break
    """)


def test_a_controller_that_cannot_start_is_stopped_and_others_run():
    run("""
    kinds = (Mover, PriorityBasedReallocator, BudgetTimeScheduler, BudgetPatternLearner, BudgetRLOptimizer)
    controllers = [kind(team) for kind in kinds]
    learner = controllers[3]
    deny()
    for controller in controllers * 2:
        assert refused(controller.start)
        assert not controller.running
        assert team._low_listeners == ()
    assert not learner.collecting and refused(learner.start_collection) and not learner.collecting
    allow()
    quick = [Mover(team, 0.01), Mover(team, 0.01)]
    for mover in quick:
        mover.start()
    for controller in controllers:
        controller.start()
        assert controller.running
    wait_for(lambda: all(mover.runs > 3 for mover in quick))
    assert learner.collecting
    for controller in (*controllers, *quick):
        controller.stop()
    """)


def test_without_a_thread_to_stand_by_controllers_run():
    run("""
    first = Mover(team, 0.01)
    first.start()
    wait_for(lambda: first.runs > 3)
    deny()
    second = Mover(team, 0.01)  # the thread of all runs already: this needs no other
    second.start()
    wait_for(lambda: second.runs > 3)
    allow()
    go_on = threading.Event()
    second.on_decision(lambda decision: go_on.wait(20))
    runs = first.runs
    wait_for(lambda: first.runs > runs + 100)  # somebody stands by, now that somebody can
    go_on.set()
    """)


def test_a_training_that_cannot_begin_is_told_and_begins_at_the_next_run():
    run("""
    optimizer = BudgetRLOptimizer(team)
    now = datetime.now(UTC)
    optimizer.load_history("bot", [now - timedelta(hours=n) for n in range(150, 0, -1)],
                           [float(2 + n % 5) for n in range(150)])
    titles = lambda: [a.title for a in team.notification_manager.get_alerts(AlertSeverity.ERROR)]
    deny()
    optimizer.run_once()
    assert titles() == ["BudgetRLOptimizer could not begin to train, and keeps the policy it had"], titles()
    assert refused(optimizer.train)
    allow()
    optimizer.run_once()
    wait_for(lambda: optimizer._outcome)
    optimizer.run_once()
    assert optimizer.get_policy().is_trained and len(titles()) == 1, titles()
    # One that begins and finds no threads for its work says so at the next run, and does not die in silence.
    optimizer._due = 0
    start = threading.Thread.start
    threading.Thread.start = lambda thread: (start(thread), deny())
    optimizer.run_once()
    threading.Thread.start = start
    wait_for(lambda: optimizer._outcome)
    allow()
    optimizer.run_once()
    """)


def test_memory_for_stacks_that_cannot_be_had():
    """The other way to have no thread: no room for its stack."""
    run("""
    def limit(bytes_more):
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + bytes_more, resource.RLIM_INFINITY))
    mover, ones = Mover(team, 0.01), np.ones((4, 50))
    best = lambda: _native.best_budgets(ones, ones, np.ones(4), np.array([1.0, 1.3]), 0.3, (1.0,) * 4)
    limit(1 << 20)
    assert refused(mover.start) and not mover.running
    assert refused(best)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    with mover:
        wait_for(lambda: mover.runs > 3)
    assert best().shape == (4, 50)
    """)


def test_the_demo_ends():
    """Callers that wait for others, which never come, go home."""
    run("""
    scene = demo.Scene("threads", "ours", demo._threads(demo._Reserving))
    start, started = threading.Thread.start, []
    def ten_at_most(thread):
        started.append(thread)
        resource.setrlimit(resource.RLIMIT_NPROC, (1 if len(started) > 10 else MOST, MOST))
        start(thread)
    deny()  # or skips
    allow()
    threading.Thread.start = ten_at_most
    assert refused(scene.play)
    assert len(started) == 11
    wait_for(lambda: threading.active_count() == 1)
    threading.Thread.start = start
    allow()
    scene.play()
    assert scene.answered == 10
    """)


INTERRUPTED = """
import faulthandler, signal, sys, threading, time
import numpy as np
from safeguards import _native
from safeguards.allocation import *
faulthandler.dump_traceback_later(30, exit=True)
"""


LONG = {
    "best_budgets": """_native.best_budgets(np.ones((64, 20_000)), np.ones((64, 20_000)), np.ones(64),
        np.linspace(1, 9, 300), 0.9, (50.0, -100.0, 10.0, -0.1))""",
    "fit": "table.fit((numbers, places, places), rewards, numbers, places, rewards, 0.999, 10**9)",
    "simulate": """simulate(np.ones((20_000, 5)) * 1000, AdaptiveStrategy(adjusting_rate=0.1),
        n_agents=4000, trials=100)""",
    "forecast": """_native.forecast_usage(np.random.default_rng(0).random((3000, 2000)),
        np.zeros(3000, np.int64), lead=0, length=168, level=0.9, margin=1.2, threads=0)""",
    "replay": "series.replay(np.random.default_rng(0).random((2000, 5000)))",
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_call_is_ended_by_ctrl_c(name):
    run(
        f"""
    series = _native.NextHour(2000)
    table = _native.QTable(50, np.linspace(0, 1, 30), np.linspace(0, 9, 60), 9)
    draws, n = np.random.default_rng(0), 20_000
    numbers, places, rewards = draws.integers(0, 50, n), draws.random(n), draws.random((n, 9)) * 9
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    begun = time.monotonic()
    try:
        {LONG[name]}
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError(f"it ended by itself after {{time.monotonic() - begun:.1f}} s")
    assert time.monotonic() - begun < 8, time.monotonic() - begun
    assert not table.values.any() and np.isnan(series.forecast()).all()
    """,
        INTERRUPTED,
    )
