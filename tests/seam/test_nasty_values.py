"""Every public call with a nasty value for each argument, and for each leaf of an argument with parts.

Out comes an error of the tree or a TypeError, soon, and after a refusal nothing has changed. What is accepted
must not stop a clock: it is advanced afterwards. The seed is printed, and `SAFEGUARDS_SEED` repeats it;
`SAFEGUARDS_TORTURE=1` tries every value for every argument, otherwise a sample is tried.
"""

# ruff: noqa: FBT003, DTZ901, T201, PT017 - nasty on purpose; the seed is printed

import contextlib
import copy
import importlib
import inspect
import os
import pkgutil
import random
import signal
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal

import numpy as np
import pytest

import safeguards
from safeguards import (
    AdaptivePoolSizer,
    BudgetCoordinator,
    BudgetPatternLearner,
    BudgetRateLimiter,
    BudgetRLOptimizer,
    BudgetTimeScheduler,
    Controller,
    CostBenefitAllocator,
    Decision,
    ManualClock,
    MultiResourceBudget,
    NotificationManager,
    PriorityBasedReallocator,
    SafeguardsError,
)
from safeguards.alerts import LogSink, SlackSink, WebhookSink
from safeguards.allocation import AdaptiveStrategy, FlowStrategy, ResourceSelector, simulate
from safeguards.records import Demand, read
from safeguards.testing import Limits, Price, Trace
from safeguards.types.decisions import Adjust, Allot, Deal, Draw, Resize, SetBudget

IS_LONG = os.environ.get("SAFEGUARDS_TORTURE") == "1"
SEED = int(os.environ.get("SAFEGUARDS_SEED", random.SystemRandom().randrange(10**6)))
SECONDS_PER_CALL = 10.0
SAMPLE, SOME, MANY = 6, 8, 40
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Anything:
    def __call__(self, *args, **kwargs):
        return None


NASTY = [
    *(
        None,
        True,
        False,
        float("nan"),
        float("inf"),
        float("-inf"),
        -1,
        0,
        -0.0,
        0.5,
        1e308,
        -1e308,
        1e-308,
        5e-324,
    ),
    *(1e-12, 1e18, 2**31, -(2**31), 2**63 - 1, 2**63, 2**64, -(2**63), 10**400, -(10**400), 1j),
    *(Decimal("sNaN"), Decimal("NaN"), Decimal("Infinity"), Decimal("1E+999999"), Decimal("-1E+999999")),
    *(
        Decimal("1E-999999"),
        "",
        "x" * 10**5,
        "\ud800",
        "a\x00b",
        "NaN",
        "1e400",
        b"",
        b"\xff",
        bytearray(b"x"),
    ),
    *([], {}, (), set(), [None], {"x": float("nan")}, {1: 2}, {None: None}, [float("inf")], [[1], [2, 3]]),
    *(
        np.array([1, 2]),
        np.array(1.0),
        np.array(True),
        np.array([]),
        np.float32(1.5),
        np.float64("nan"),
        np.int64(-1),
    ),
    *(np.bool_(True), np.datetime64("NaT", "s"), np.str_("x"), np.array([None]), np.array("x")),
    *(object(), print, bool, ValueError("x"), Anything(), iter([])),  # a class: called, a TypeError
    *(datetime.max, datetime.min, datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)),
    *(
        timedelta.max,
        timedelta.min,
        timedelta(-1),
        timedelta(0),
        timedelta(microseconds=1),
        time_of_day(1),
        UTC,
    ),
]


# A world: everything that calls are made on, from the same small books.


class World:
    def __init__(self):
        self.clock = ManualClock(START)
        self.manager = NotificationManager()
        self.coordinator = BudgetCoordinator(self.manager, clock=self.clock)
        self.coordinator.create_budget_pool("team", 100, pool_id="team", budget_period="daily")
        self.coordinator.create_budget_pool("spare", 100, pool_id="spare")
        for agent in ("bot", "other"):
            self.coordinator.register_agent(agent, "team", initial_budget=10)
        self.coordinator.debit("bot", "0.5", operation_type="call")
        self.limiter = BudgetRateLimiter(self.coordinator)
        self.limiter.set_rate_limit("bot", 5, timedelta(minutes=1))

    def resources(self):
        budget = MultiResourceBudget(self.coordinator)
        budget.set_capacity("gpu", 100)
        budget.initialize_budgets("bot", {"gpu": 10, "cpu": 5})
        return budget

    def sizer(self):
        sizer = AdaptivePoolSizer(self.coordinator, 60)
        sizer.configure_pool("team", min_agents_for_adjustment=0)
        return self.started(sizer)

    def scheduler(self):
        scheduler = BudgetTimeScheduler(self.coordinator, timezone="UTC", pacing="forecast")
        scheduler.add_time_profile("team", good("schedule"))
        return self.started(scheduler)

    def learner(self):
        learner = BudgetPatternLearner(self.coordinator, timezone="UTC")
        learner.load_history("bot", [START - timedelta(hours=n) for n in range(200)], [1] * 200)
        return learner

    def optimizer(self):
        return self.started(BudgetRLOptimizer(self.coordinator))

    def allocator(self):
        allocator = CostBenefitAllocator(self.coordinator)
        allocator.register_operation("bot", "call", 1, 2, 0.1)
        return allocator

    def agents(self):
        agents = FlowStrategy().agents(4, 2)
        agents.choose([2, 2])
        return agents

    def agents_that_wait(self):
        return FlowStrategy().agents(4, 2)

    def selector(self):
        selector = ResourceSelector(["a", "b"], AdaptiveStrategy())
        selector.observe_capacity("a", 1.0)
        selector.observe_capacity("b", 1.0)
        selector.choose("bot")
        return selector

    def env(self):
        from safeguards.integrations.gymnasium import BudgetEnv

        env = BudgetEnv(demand(), episode_hours=24)
        env.reset(seed=1)
        return env

    def started(self, controller):
        controller.start()
        return controller


def demand():
    hours = np.random.default_rng(1).uniform(1, 5, (2, 24 * 30))
    return Demand(("a", "b"), hours)


class Shared:
    """What is slow to make, and not changed by calls."""

    def __init__(self):
        self._made = {}

    def __call__(self, name):
        if name not in self._made:
            self._made[name] = getattr(self, name)()
        return self._made[name]

    def simulation(self):
        return simulate([[2, 2], [3, 1]], AdaptiveStrategy(), n_agents=4, trials=2)

    def prediction(self):
        return World().learner().predict_budget_needs("bot", START)

    def patterns(self):
        return World().learner().analyze_patterns("bot")

    def demand(self):
        return demand()

    def allocation(self):
        return World().allocator().optimize_allocation(10)

    def fair(self):
        return safeguards.fair_shares(good("demands"), good("capacities"))

    def policy(self):
        return BudgetRLOptimizer(World().coordinator).get_policy()

    def trained(self):
        world = World()
        optimizer = BudgetRLOptimizer(world.coordinator, 0.01)
        hours = [START - timedelta(hours=n) for n in range(300)]
        for agent in ("bot", "other"):
            optimizer.load_history(agent, hours, [float(1 + hour.hour % 8) for hour in hours])
        return optimizer.train()

    def state(self):
        world = World()
        scheduler = world.scheduler()
        for _ in range(50):
            world.clock.advance(1800)
            world.coordinator.try_debit("bot", "0.01")
        return scheduler.state()


shared = Shared()


def good(name):
    return copy.deepcopy(GOOD[name])


GOOD = {
    **dict.fromkeys(("agent_id", "from_agent_id", "account_id", "account"), "bot"),
    **dict.fromkeys(("pool_id", "name", "subject"), "team"),
    **dict.fromkeys(("operation_type", "idempotency_key", "key", "title", "message", "controller"), "text"),
    **dict.fromkeys(
        ("amount", "budget", "change", "initial_budget", "capacity", "max_budget", "on_cancel", "on_error"), 1
    ),
    **dict.fromkeys(("cost", "benefit", "average_cost", "average_benefit", "total_budget"), 1),
    **dict.fromkeys(
        ("at", "start", "end", "after", "time", "future_time", "to", "start_time", "end_time"), START
    ),
    **dict.fromkeys(("budget_coordinator", "coordinator"), lambda world: world.coordinator),
    "to_agent_id": "other",
    "also": ("other",),
    "parent_id": "team",
    "notification_manager": lambda world: world.manager,
    "clock": lambda world: world.clock,
    "currency": "USD",
    "exist_ok": False,
    "expires_at": START + timedelta(days=3_650),
    "with_pools": False,
    "include_ended": False,
    "reservation_id": lambda world: world.coordinator.reserve("bot", 1).id,
    "min_pool_budget": 0,
    "max_pool_budget": 1000,
    "emergency_threshold": 1,
    "pool_ids": ["team"],
    "priority": 5,
    "budget_period": "daily",
    "timezone": "UTC",
    "anchor_day": 1,
    "anchor_hour": 6,
    "rollover": "none",
    "overdraft": "carry",
    "overdraft_limit": 1,
    "limit": 5,
    "enforcement": "warn",
    "actor": "ops",
    "of": lambda world: world.coordinator.debit("bot", 1),
    "refunded": Decimal(1),
    "remaining": Decimal(1),
    "sequence": 1,
    "cut_off": (ConnectionError,),
    "history_events": 64,
    "history_sums": 512,
    "history_size": 100,
    "history_outcomes": 100,
    "prior_outcomes": 10,
    "period_days": 1.0,
    "seed": 0,
    "patience": 1.0,
    "timeout": 5.0,
    "ttl_seconds": 900.0,
    "overage": "reject",
    "by": 1.0,
    "time_window": timedelta(minutes=1),
    "exact": False,
    "resource_type": "gpu",
    "amounts": {"gpu": 1},
    "budgets": {"gpu": 1},
    "demands": {"bot": {"gpu": 1}},
    "capacities": {"gpu": 10},
    "weights": {"bot": 1.0},
    "caps": {"bot": 5},
    "handler": lambda _: print,
    "loop": None,
    "logger": "text",
    "url": "https://host/path",
    "headers": {"X-Key": "text"},
    "delay_seconds": 1.0,
    "timeout_seconds": 0.01,
    "max_queued": 10,
    "max_attempts": 2,
    "transport": None,
    "wait": None,
    "random": None,
    "callback": lambda _: Anything(),
    "severity": safeguards.AlertSeverity.INFO,
    "min_severity": safeguards.AlertSeverity.INFO,
    "alert": "text",
    "refusals_per_minute": 60,
    "thresholds": (0.5, 1.0),
    "max_alerts": 100,
    **dict.fromkeys(("interval_seconds", "adjustment_interval_seconds", "reallocation_interval_seconds"), 60),
    "max_change": 0.1,
    "utilization_target": 0.7,
    "growth_rate": 0.2,
    "shrink_rate": 0.1,
    "min_agents_for_adjustment": 0,
    "policy": "auto",
    "exhaustion_rate": 0.05,
    "probability": 0.9,
    "min_budget_percentage": 0.1,
    "reserve_percentage": 0.2,
    "priority_weights": {1: 1.0, 10: 2.0},
    "learning_period_days": 14,
    "prediction_confidence": 0.8,
    "min_data_points": 10,
    "time_bucket_minutes": 60,
    "prediction_window_hours": 24,
    "timestamps": [START],
    "learning_rate": 0.01,
    "discount_factor": 0.9,
    "exploration_rate": 0.1,
    "state_features": ("time_of_day",),
    "custom_features": {},
    "max_agents_features": 1,
    "reward_function": None,
    "training_episodes": 10,
    "max_budget_change_percentage": 0.3,
    "update_interval_minutes": 60,
    "vectorized": False,
    "days_mean": "current",
    "pacing": "even",
    "schedule": {
        "day": {"budget": 50, "start_time": time_of_day(8), "end_time": time_of_day(17), "days": [0, 1]},
        "night": {"budget": 5, "start_time": time_of_day(17), "end_time": time_of_day(8), "each_day": True},
    },
    "state": lambda _: copy.deepcopy(shared("state")),
    "min_allocation_percentage": 0.1,
    "risk_tolerance": 0.5,
    "benefit_variability": 0.1,
    "max_volume": 10,
    "lookback_days": 7,
    "metric": "roi",
    "kind": "agent",
    "old": Decimal(1),
    "new": Decimal(2),
    "reason": "because",
    "inputs": {"a": 1.0},
    "status": "applied",
    "error": None,
    "details": {},
    "utilization": 50.0,
    "exhaustion": -100.0,
    "completed_task": 10.0,
    "n_agents": 4,
    "n_resources": 2,
    "initial_attitudes": None,
    "n": 1,
    "choice": "max",
    "attitude": "resource",
    "adjusting_rate": 0.01,
    "scaling_factor": 4.0,
    "neighbours": 2,
    "tables": 2,
    "history": 5,
    "increase": 0.02,
    "decrease": 0.02,
    "resources": ["a", "b"],
    "strategy": lambda _: AdaptiveStrategy(),
    "max_agents": 100,
    "resource": "a",
    "overloaded": False,
    "warm_up": 0,
    "as_printed": False,
    "total": 1000.0,
    "steps": 20,
    "sigma": 5.0,
    "least": 50.0,
    "every": 10,
    "trials": 2,
    "observation_noise": 0.0,
    "careless_fraction": 0.0,
    "task_units": 1,
    "task_steps": 1,
    "allow_scarcity": True,
    "threads": 1,
    "progress": None,
    "executor": None,
    "strategies": lambda _: [AdaptiveStrategy()],
    "demand": lambda _: shared("demand"),
    "horizon": 24,
    "lead": 0,
    "window_days": 14,
    "min_activity": 0.3,
    "level": 0.8,
    "margin": 1.2,
    "budget_share": 0.7,
    "slots_per_day": 24,
    "warm_up_days": 8,
    "keep_loads": True,
    "label": "own",
    "parts": lambda _: {AdaptiveStrategy(): 1.0},
    "target": 0.8,
    "reserve": 0.2,
    "interval": 3600,
    "order": "as it comes",
    "policies": None,
    "warm_up_hours": 200,
    "priorities": [1, 5],
    "emergency_percentage": 0.05,
    "steps_per_hour": 1,
    "reward": None,
    "training_hours": 400,
    "episode_hours": 24,
    "action": 3,
    "options": None,
    "agents": ("a", "b"),
    "agent_budget": Decimal("0.95"),
    "pool_budget": Decimal("21.00"),
    "platform_budget": Decimal("83.00"),
    "pools": 4,
    "rate_limit": Decimal("0.06"),
    "rate_window": timedelta(seconds=60),
    "input_tokens": 1,
    "output_tokens": 1,
    "requests": (),
    "price": Price(Decimal(1), Decimal(2)),
    "limits": Limits(),
    "on_progress": None,
    "trace": Trace("empty", ()),
    "index": 1,
    "handles": np.zeros(1, np.uint32),
    "numbers": np.ones(1, np.uint64),
    "units": np.ones(1, np.int64),
    "plain": lambda _: copy.deepcopy(shared("trained").to_dict()),
    "budgets_column": 1,
    "library": "pandas",
    "step_rule": None,
}

# Arguments that mean something else in one place: (of what, argument) -> value.
HERE = {
    ("BudgetCoordinator.execute", "decision"): Decision("agent", "bot", Decimal(1), Decimal(2), "because"),
    **{(change, "by"): Decimal(1) for change in ("Adjust", "Allot", "Deal", "Draw", "Resize")},
    **{(change, "pool"): "team" for change in ("Deal", "Draw")},
    ("Draw", "weight"): 1.0,
    ("Resize", "later_periods"): Decimal(1),
    ("SetBudget", "budget"): Decimal(1),
    ("SetBudget", "once"): ("day", START),
    ("Decision", "change"): Adjust(Decimal(1)),
    ("CustomStrategy", "start"): lambda _: Anything(),
    ("Demand", "cost"): np.ones((2, 48)),
    ("Price", "input_tokens"): Decimal(1),
    ("Price", "output_tokens"): Decimal(1),
    ("Price.cost", "input_tokens"): 1,
    ("RewardWeights", "change"): -0.1,
    ("Trace", "name"): "empty",
    ("Trace.azure_conversations", "agents"): 10,
    ("agent_of", "agents"): 10,
    ("BudgetCoordinator.create_budget_pool", "pool_id"): "another",
    ("BudgetCoordinator.update_period_budget", "account_id"): "team",
    ("BudgetCoordinator.set_overdraft_limit", "limit"): 1,
    ("BudgetCoordinator.move_pool", "parent_id"): None,
    **{
        (f"BudgetRateLimiter.{call}", "resource"): None
        for call in (
            "acquire",
            "check_rate_limit",
            "get_rate_limits",
            "record_usage",
            "remove_rate_limit",
            "get_retry_after",
            "set_rate_limit",
            "try_acquire",
        )
    },
    ("BudgetCoordinator.move_agent", "pool_id"): "spare",
    ("BudgetCoordinator.close_pool", "pool_id"): "spare",
    ("BudgetCoordinator.resume", "account_id"): "bot",
    ("BudgetCoordinator.register_agent", "agent_id"): "new",
    ("BudgetRLOptimizer", "policy"): None,
    ("BudgetRLOptimizer.use_policy", "policy"): lambda _: shared("trained"),
    ("BudgetRLOptimizer.load_history", "amounts"): [1.0],
    ("BudgetPatternLearner.load_history", "amounts"): [1],
    ("BudgetTimeScheduler.remove_time_profile", "name"): "day",
    ("ResourceSelector.observe_capacity", "capacity"): 1.0,
    ("ResourceReservation.settle", "amounts"): {"gpu": 1},
    ("MultiResourceBudget.reserve", "on_cancel"): {"gpu": 1},
    ("MultiResourceBudget.reserve", "on_error"): {"gpu": 1},
    ("MultiResourceBudget.try_reserve", "on_cancel"): {"gpu": 1},
    ("MultiResourceBudget.try_reserve", "on_error"): {"gpu": 1},
    ("StrategyAgents.choose", "capacities"): [2.0, 2.0],
    ("StrategyAgents.update", "overloaded"): [True, False],
    ("StrategyAgents.update", "loads"): [2, 2],
    ("simulate", "capacities"): [[2.0, 2.0], [3.0, 1.0]],
    ("trials_after", "capacities"): [[2.0, 2.0], [3.0, 1.0]],
    ("sweep", "capacities"): [[600.0, 600.0], [900.0, 300.0]],
    ("BudgetPatternLearner", "interval_seconds"): 3600,
    ("CostBenefitAllocator.record_outcome", "operation_type"): "call",
    ("fair_tasks", "capacities"): [1.0, 2.0],
    ("fair_tasks", "demands"): [[1.0, 2.0]],
    ("fair_tasks", "weights"): [1.0],
    ("fair_tasks", "caps"): [1.0],
    ("max_min_shares", "weights"): [1.0],
    ("BudgetEnv", "max_change"): 0.3,
    ("backtest_rl", "max_change"): 0.3,
    ("BudgetEnv.reset", "seed"): 1,
}

# Classes whose objects callers make or get: how to get one. Others hold what the library found.
OBJECTS = {
    "ManualClock": lambda world: world.clock,
    "NotificationManager": lambda world: world.manager,
    "BudgetCoordinator": lambda world: world.coordinator,
    "Account": lambda world: world.coordinator.account("bot"),
    "Reservation": lambda world: world.coordinator.reserve("bot", 1),
    "BudgetRateLimiter": lambda world: world.limiter,
    "MultiResourceBudget": World.resources,
    "ResourceReservation": lambda world: world.resources().reserve("bot", {"gpu": 1}),
    "AdaptivePoolSizer": World.sizer,
    "PriorityBasedReallocator": lambda world: world.started(PriorityBasedReallocator(world.coordinator, 60)),
    "BudgetTimeScheduler": World.scheduler,
    "BudgetPatternLearner": World.learner,
    "BudgetRLOptimizer": World.optimizer,
    "CostBenefitAllocator": World.allocator,
    "Alert": lambda _: safeguards.Alert("text"),
    "LogSink": lambda _: LogSink(),
    "SlackSink": lambda _: SlackSink("https://host/path"),
    "WebhookSink": lambda _: WebhookSink("https://host/path"),
    "Decision": lambda _: Decision("agent", "bot", Decimal(1), Decimal(2), "because"),
    "Adjust": lambda _: Adjust(Decimal(1)),
    "Allot": lambda _: Allot(Decimal(1)),
    "Deal": lambda _: Deal(Decimal(1), "team"),
    "Draw": lambda _: Draw(Decimal(1), "team"),
    "Resize": lambda _: Resize(Decimal(1)),
    "SetBudget": lambda _: SetBudget(Decimal(1)),
    "AdaptiveStrategy": lambda _: AdaptiveStrategy(),
    "StrategyAgents": World.agents,
    "StrategyAgents.choose": World.agents_that_wait,
    "ResourceSelector": World.selector,
    "SimulationResult": lambda _: shared("simulation"),
    "BudgetEnv": World.env,
    "Price": lambda _: Price(Decimal(1), Decimal(2)),
    "Trace": lambda _: Trace("empty", ()),
    "BudgetPolicy": lambda _: shared("policy"),
    "Demand": lambda _: shared("demand"),
    "Records": lambda _: read({"time": [0], "agent": ["a"], "cost": [1]}),
    "Limits": lambda _: Limits(),
    "FairShares": lambda _: shared("fair"),
    "Allocation": lambda _: shared("allocation"),
    "UsagePatterns": lambda _: shared("patterns"),
    "BudgetPrediction": lambda _: shared("prediction"),
}

# Made by the library alone, or abstract: their constructors take what they are given.
RESULTS = {
    *(
        "Account",
        "Reservation",
        "Receipt",
        "ResourceReservation",
        "ResourceReceipt",
        "Strategy",
        "Controller",
    ),
    *(
        "Comparison",
        "Population",
        "Public",
        "Seen",
        "StrategyAgents",
        "SimulationResult",
        "SweepResult",
        "SweepRow",
        "Backtest",
        "HandlerFailure",
        "Allocation",
    ),
    *("FairShares", "RewardFunction", "FairShare", "RateLimit", "UsageEvent", "BudgetEvent", "BudgetMetrics"),
    *("AmountColumn", "MetricsTable", "PoolInfo", "AccountInfo", "AgentInfo", "RefusalCount", "Refund"),
    "Credit",
    *("ResourceMetrics", "BudgetPrediction", "UsagePatterns", "UsageAnomaly", "Occurrence", "ScheduleIssue"),
    *(
        "Transition",
        "TimeProfile",
        "OperationEstimate",
        "OperationShare",
        "Effectiveness",
        "PolicyEvaluation",
    ),
    *("BudgetPolicy", "Report", "Books", "Outcome", "TracedRequest", "Measured", "Simulation"),
    *("Records", "Call", "BadRow"),
    *("SystemClock", "AgentPriority", "AlertSeverity"),
    *("ForecastBacktest", "ForecastRow", "PacingBacktest", "PacingRow", "CalibrationRow", "PoolSizeBacktest"),
    *("PoolSizeRow", "ReallocationBacktest", "ReallocationRow", "RlBacktest", "RlRow", "Kinds", "QTable"),
}

# Not tried, and why.
LEFT_OUT = {
    "BudgetPolicy.best": "takes columns that the library made",
    "BudgetPolicy.save": "a path: what the system says of one is an OSError",
    "BudgetPolicy.load": "a path",
    "Demand.read_csv": "a path",
    "Trace.load": "a path",
    "Demand.read": "a path or a table",
    "Limits.suggested": "tried with its own traces",
    "Records.demand": "tried with its own files",
    "Records.trace": "tried with its own files",
    "Records.is_unknown": "takes what the library made",
    "read": "a path or a table",
    "Trace.azure_conversations": "reads the whole record",
    "replay": "tried with its own traces",
    "BudgetEnv.get_wrapper_attr": "gymnasium's",
    "BudgetEnv.has_wrapper_attr": "gymnasium's",
    "BudgetEnv.set_wrapper_attr": "gymnasium's",
    "BudgetEnv.render": "gymnasium's",
    "backtest_rl": "takes seconds",
    "BudgetRLOptimizer.train": "takes seconds",
}
SLOW = {"backtest_reallocation", "BudgetPolicy.from_dict"}  # only a sample, also in the long form
MODULES_LEFT_OUT = ("cli", "plots", "ray", "capacity_files")
# Called by the base of all controllers, or by a controller of its own, with what they made.
OF_CONTROLLERS = {
    *("observe", "propose", "fall_back", "learn", "carry_out", "begin", "end", "next_delay"),
    *("run_by", "act", "remember", "tell_failure", "tell_of_run"),
}
# Called when a decision is bounded and applied, with what is one.
OF_DECISIONS = {"moved", "shifted", "bounded", "applied"}

OF_BASES = {  # of dict, tuple and Mapping
    *(
        "clear",
        "copy",
        "fromkeys",
        "get",
        "items",
        "keys",
        "pop",
        "popitem",
        "setdefault",
        "update",
        "values",
    ),
    *("count", "index"),
}


@dataclass(frozen=True)
class Target:
    name: str
    bind: object
    parameters: tuple

    def __repr__(self):
        return self.name


def public():
    """Every public thing by its name."""
    found = {name: getattr(safeguards, name) for name in safeguards.__all__}
    for module in pkgutil.walk_packages(safeguards.__path__, "safeguards."):
        parts = module.name.split(".")[1:]
        if any(part.startswith("_") or part in MODULES_LEFT_OUT for part in parts):
            continue
        loaded = importlib.import_module(module.name)
        found |= {name: getattr(loaded, name) for name in getattr(loaded, "__all__", ())}
    return found


def targets():
    for name, thing in sorted(public().items()):
        if inspect.isclass(thing):
            if not issubclass(thing, BaseException):
                yield from of_class(name, thing)
        elif inspect.isfunction(thing) or inspect.isbuiltin(thing):
            yield from target(name, lambda _, thing=thing: thing, thing)


def of_class(name, cls):
    if name not in RESULTS:
        yield from target(name, lambda _: cls, cls)
    own = [method for method in public_methods(cls) if not is_inherited(cls, method)]
    if name not in OBJECTS:
        assert name in RESULTS or not own, f"say in OBJECTS how to get a {name}"
        return
    for method in own:
        path = f"{name}.{method}"
        yield from target(
            path,
            lambda w, m=method: getattr(OBJECTS.get(f"{name}.{m}", OBJECTS[name])(w), m),
            getattr(cls, method),
            skip_self(cls, method),
        )


def skip_self(cls, method):
    return not isinstance(inspect.getattr_static(cls, method), (staticmethod, classmethod))


def is_inherited(cls, method):
    """Whether it is tried with another class."""
    return (
        cls.__name__ != "AdaptiveStrategy"
        and cls.__mro__[1].__name__ == "Strategy"
        and method not in vars(cls)
    )


def public_methods(cls):
    names = [n for n in dir(cls) if not n.startswith("_") and callable(getattr(cls, n))]
    is_mapping = hasattr(cls, "keys") or issubclass(cls, tuple)
    left_out = OF_BASES if is_mapping else OF_CONTROLLERS if issubclass(cls, Controller) else set()
    if cls.__module__ == Decision.__module__:
        left_out = OF_DECISIONS
    return [name for name in names if name not in left_out]


def target(path, bind, function, skips_self=False):
    if path in LEFT_OUT:
        return
    parameters = list(inspect.signature(function).parameters.values())
    kept = [p for p in parameters[skips_self:] if p.kind not in {p.VAR_KEYWORD, p.VAR_POSITIONAL}]
    if kept:
        yield Target(path, bind, tuple(kept))


def value_of(path, argument, world):
    value = HERE.get((path, argument), GOOD.get(argument, KeyError))
    if value is KeyError:
        pytest.fail(f"give a good value for {argument!r} of {path} in GOOD or HERE")
    if inspect.isfunction(value):
        return value(world)
    return copy.deepcopy(value)


def arguments_of(target, world):
    return {p.name: value_of(target.name, p.name, world) for p in target.parameters}


def split(target, arguments):
    """Arguments that are given by place, and by name."""
    by_place = [p.name for p in target.parameters if p.kind is p.POSITIONAL_ONLY]
    return [arguments[n] for n in by_place], {n: v for n, v in arguments.items() if n not in by_place}


def snapshot(world):
    """All that the books know, and what was told."""
    c = world.coordinator
    agents, pools = sorted(c.get_all_agent_ids()), sorted(c.get_pool_ids())
    return (
        [
            (a, c.get_agent_metrics(a), c.get_agent_events(a), world.limiter.get_rate_limits(a))
            for a in agents
        ],
        [(p, c.get_pool_metrics(p), c.get_pool_events(p), c.get_pool_agents(p)) for p in pools],
        c.pinned,
        len(world.manager.get_alerts()),
        world.clock.monotonic(),
        world.clock.now(),
    )


def settings_of(thing):
    """What an object was told: its own plain values."""
    fields = getattr(thing, "__dict__", {})
    kept = {n: v for n, v in fields.items() if type(v) in {int, float, str, bool, Decimal, tuple, type(None)}}
    listed = {n: sorted(map(str, v)) for n, v in fields.items() if type(v) in {dict, set}}
    return repr(kept), repr(listed), repr(getattr(thing, "history", None))


@contextlib.contextmanager
def limited(text):
    """Ends whatever takes too long. Native code cannot be ended so: pytest's own limit ends that."""

    def too_long(*_):
        pytest.fail(f"{text} takes longer than {SECONDS_PER_CALL:g} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_CALL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def short(value):
    text = (
        repr(value)
        if not isinstance(value, int) or abs(value) < 10**30
        else f"10**{len(str(abs(value))) - 1}"
    )
    return text[:60]


def attempt(target, change, text):
    """One call with one bad argument, in a world of its own."""
    world = World()
    arguments = change(arguments_of(target, world))
    call = target.bind(world)
    owner = getattr(call, "__self__", None)
    before, told = snapshot(world), settings_of(owner)
    by_place, by_name = split(target, arguments)
    made = None
    with limited(text), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            made = call(*by_place, **by_name)
        except (SafeguardsError, TypeError) as error:
            assert str(error), f"{text}: no message"
            assert len(str(error)) < 2000, f"{text}: a message of {len(str(error))} characters"
            str(error).encode()
            assert (snapshot(world), settings_of(owner)) == (before, told), f"{text}: refused, but changed"
            return
        except Exception as error:
            raise AssertionError(f"{text} raised {type(error).__name__}: {error}") from error
    with limited(f"advancing the clock after {text}"):
        if hasattr(made, "start") and hasattr(made, "stop"):
            made.start()
        world.clock.advance(1.0)
    for thing in (owner, made):
        if hasattr(thing, "stop"):
            thing.stop()
    assert not world.coordinator._violations()


def leaves(value, path=()):
    """Where the parts of a value with parts are."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield (*path, key)
            yield from leaves(part, (*path, key))
    elif isinstance(value, list):
        for index, part in list(enumerate(value))[:3]:
            yield (*path, index)
            yield from leaves(part, (*path, index))


def with_leaf(value, path, bad):
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = bad
    return changed


TARGETS = list(targets())


pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, caplog):
    caplog.set_level("CRITICAL")


def failures(target, rng, sample, changes):
    """What goes wrong with any of the bad values in any of the places."""
    found = []
    for what, change in changes:
        for bad in NASTY if IS_LONG and target.name not in SLOW else rng.sample(NASTY, sample):
            try:
                attempt(
                    target, lambda good, c=change, b=bad: c(good, b), f"{target.name}({what}={short(bad)})"
                )
            except AssertionError as error:
                found.append(str(error).partition("\n")[0])
            except pytest.fail.Exception as error:  # it takes too long
                found.append(str(error))
    return found


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_nasty_value_is_refused_by_name_or_does_no_harm(target):
    print("seed", SEED)
    changes = [(p.name, lambda good, bad, n=p.name: good | {n: bad}) for p in target.parameters]
    found = failures(target, random.Random(f"{SEED} {target.name}"), SAMPLE, changes)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_nasty_part_of_a_value_is_refused_by_name_or_does_no_harm(target):
    print("seed", SEED)
    rng = random.Random(f"{SEED} parts of {target.name}")
    changes = []
    for parameter in target.parameters:
        name = parameter.name
        places = list(leaves(value_of(target.name, name, World())))
        for path in rng.sample(
            places, min(len(places), MANY if IS_LONG and target.name not in SLOW else SOME)
        ):
            change = lambda good, bad, n=name, p=path: good | {n: with_leaf(good[n], p, bad)}  # noqa: E731
            changes.append((f"{name}{list(path)}", change))
    found = failures(target, rng, SAMPLE // 2, changes)
    assert not found, "\n".join(found)


def test_the_good_values_are_accepted():
    """Otherwise nothing would be tried."""
    refused = []
    for target in TARGETS:
        world = World()
        call = target.bind(world)
        by_place, by_name = split(target, arguments_of(target, world))
        try:
            call(*by_place, **by_name)
        except Exception as error:
            refused.append((target.name, repr(error)))
    assert not refused, "\n".join(map(str, refused))


class Odd:
    """Of no type that any argument takes."""

    __slots__ = ()


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_a_wrong_type_is_told_with_the_name_of_its_argument(target):
    found = []
    for parameter in target.parameters:
        world = World()
        call = target.bind(world)
        by_place, by_name = split(target, arguments_of(target, world) | {parameter.name: Odd()})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(*by_place, **by_name)
        except (SafeguardsError, TypeError) as error:
            if parameter.name not in str(error):
                found.append(f"{target.name}({parameter.name}=Odd()) says {error}")
    assert not found, "\n".join(found)
