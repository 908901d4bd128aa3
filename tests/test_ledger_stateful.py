"""The ledger against a model of forty lines in fractions, through random programs."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from safeguards import (
    BudgetCoordinator,
    BudgetExceededError,
    BudgetRateLimiter,
    IdempotencyConflictError,
    ManualClock,
    RateLimitExceededError,
    ReservationError,
)


class Refused(Exception):  # noqa: N818 - an outcome
    pass


class Model:
    """Balances as `[remaining, reserved, spent]`; a path is the agent and the pools above it."""

    def __init__(self):
        self.books, self.parents, self.now = {}, {}, 0
        self.windows, self.charges, self.holds, self.keys = {}, {}, {}, {}

    def path(self, name):
        return [name, *(self.path(self.parents[name]) if self.parents[name] else [])]

    def move(self, agent, needs, remaining, reserved, spent):
        if any(needs is not None and self.books[name][0] < needs for name in self.path(agent)):
            raise Refused
        for name in self.path(agent):
            self.books[name] = [
                b + d for b, d in zip(self.books[name], (remaining, reserved, spent), strict=True)
            ]

    def fits(self, agent, x):
        for length, limit in self.windows.get(agent, {}).items():
            recent = sum(y for at, y in self.charges[agent] if at + length > self.now)
            if x and recent + self.books[agent][1] + x > limit:
                raise Refused

    def debit(self, agent, x):
        self.fits(agent, x)
        self.move(agent, x or None, -x, 0, x)
        self.charges[agent].append((self.now, x))

    def reserve(self, agent, x, ttl, overage):
        self.fits(agent, x)
        self.move(agent, x, -x, x, 0)
        hold = {"agent": agent, "x": x, "until": self.now + ttl, "overage": overage, "state": "active"}
        self.holds[len(self.holds)] = hold
        return hold

    def settle(self, hold, c):
        if hold["state"] in ("settled", "released"):
            if hold["state"] == "settled" and hold["charged"] == c:
                return
            raise ReservationError
        active, x = hold["state"] == "active", hold["x"]
        if hold["overage"] == "reject" and c > x:
            raise Refused
        held, beyond = (x, max(c - x, 0)) if active else (0, c)
        forced = hold["overage"] == "allow_with_overdraft"
        if not forced:
            self.fits(hold["agent"], beyond)
        self.move(hold["agent"], None if forced or not beyond else beyond, held - c, -held, c)
        self.charges[hold["agent"]].append((self.now, c))
        hold.update(state="settled", charged=c)

    def give_back(self, hold, state):
        self.move(hold["agent"], None, hold["x"], -hold["x"], 0)
        hold["state"] = state

    def advance(self, by):
        self.now += by
        for hold in self.holds.values():
            if hold["state"] == "active" and hold["until"] <= self.now:
                self.give_back(hold, "expired")


amounts = st.one_of(
    st.sampled_from(["0", "0.1", "0.3", "1", "2.5", "1E-9"]),
    st.decimals(0, 4, places=9, allow_nan=False),
    st.decimals(0, 4, places=12, allow_nan=False),
).map(Decimal)
# Few times, so that deadlines, edges of windows and the clock meet.
grants = st.integers(0, 20).map(Decimal) | amounts
seconds = st.sampled_from([10, 20, 60])
overages = st.sampled_from(["allow_with_overdraft", "allow_if_available", "reject"])
REFUSALS = BudgetExceededError, RateLimitExceededError
NANO = 10**9


def up(amount):
    return Fraction(-(-Fraction(amount) * NANO // 1), NANO)


def down(amount):
    return Fraction(Fraction(amount) * NANO // 1, NANO)


class Programs(RuleBasedStateMachine):
    pools, agents, reservations = Bundle("pools"), Bundle("agents"), Bundle("reservations")

    def __init__(self):
        super().__init__()
        self.clock, self.model = ManualClock(), Model()
        self.coordinator = BudgetCoordinator(clock=self.clock, history_events=4, history_sums=8)
        self.limiter = BudgetRateLimiter(self.coordinator)

    def both(self, ours, modelled):
        """Does one thing in the ledger and in the model: both do it or both refuse."""
        try:
            expected = modelled()
        except (Refused, ReservationError) as refused:
            error = ReservationError if isinstance(refused, ReservationError) else REFUSALS
            try:
                ours()
            except error:
                return None
            raise AssertionError("the model refuses") from None
        return ours(), expected

    def open_account(self, name, parent, budget):
        self.model.books[name], self.model.parents[name] = [down(budget), 0, 0], parent
        self.model.charges[name] = []

    @initialize(target=pools, budgets=st.tuples(grants, grants, grants))
    def three_pools(self, budgets):
        """Two below one."""
        return multiple(*(self.pool("pool" if i else None, budget) for i, budget in enumerate(budgets)))

    @initialize(target=agents, budgets=st.tuples(grants, grants, grants))
    def three_agents(self, budgets):
        """Initializers run in any order: these have a pool of their own."""
        pool = self.pool(None, 15)
        return multiple(*(self.register(pool, budget) for budget in budgets))

    @rule(target=pools, parent=pools, budget=grants)
    def create_pool(self, parent, budget):
        return self.pool(parent, budget)

    def pool(self, parent, budget):
        name = f"pool {len(self.model.books)}" if "pool" in self.model.books else "pool"
        self.coordinator.create_budget_pool("pool", budget, parent_id=parent, pool_id=name)
        self.open_account(name, parent, budget)
        return name

    @rule(target=agents, pool=pools, budget=grants)
    def register_agent(self, pool, budget):
        return self.register(pool, budget)

    def register(self, pool, budget):
        name = f"agent {len(self.model.books)}"
        self.open_account(name, pool, budget)
        return self.coordinator.register_agent(name, pool, initial_budget=budget)

    @rule(agent=agents, amount=amounts)
    def debit(self, agent, amount):
        self.both(lambda: self.coordinator.debit(agent, amount), lambda: self.model.debit(agent, up(amount)))

    @rule(agent=agents, amount=amounts)
    def try_debit(self, agent, amount):
        try:
            self.model.debit(agent, up(amount))
            admitted = True
        except Refused:
            admitted = False
        assert self.coordinator.account(agent).try_debit(amount) is admitted

    @rule(agent=agents, amount=amounts, key=st.sampled_from("abc"))
    def debit_with_key(self, agent, amount, key):
        def ours():
            return self.coordinator.debit(agent, amount, idempotency_key=key)

        if key in self.model.keys:
            payload, receipt = self.model.keys[key]
            if payload == (agent, up(amount)):
                assert ours() == receipt
            else:
                try:
                    ours()
                except IdempotencyConflictError:
                    return
                raise AssertionError("another payload under the same key")
        elif done := self.both(ours, lambda: self.model.debit(agent, up(amount))):
            self.model.keys[key] = ((agent, up(amount)), done[0])

    @rule(target=reservations, agent=agents, amount=amounts, ttl=seconds, overage=overages)
    def reserve(self, agent, amount, ttl, overage):
        return self.both(
            lambda: self.coordinator.reserve(agent, amount, ttl_seconds=ttl, overage=overage),
            lambda: self.model.reserve(agent, up(amount), ttl, overage),
        )

    @rule(reserved=reservations, amount=amounts)
    def settle(self, reserved, amount):
        if reserved is not None:
            ours, hold = reserved
            self.both(lambda: ours.settle(amount), lambda: self.model.settle(hold, up(amount)))

    @rule(reserved=reservations)
    def settle_again(self, reserved):
        if reserved is not None and reserved[0].receipt is not None:
            assert reserved[0].settle(reserved[0].receipt.amount) == reserved[0].receipt

    @rule(reserved=reservations)
    def release(self, reserved):
        if reserved is None:
            return
        ours, hold = reserved
        if hold["state"] == "active":
            self.model.give_back(hold, "released")
        if hold["state"] == "settled":
            self.both(ours.release, lambda: (_ for _ in ()).throw(ReservationError))
        else:
            ours.release()

    @rule(agent=agents, budget=grants)
    def update_budget(self, agent, budget):
        self.coordinator.update_budget(agent, budget)
        self.model.books[agent][0] = down(budget)

    @rule(pool=pools, budget=grants)
    def update_pool_budget(self, pool, budget):
        self.coordinator.update_pool_budget(pool, budget)
        self.model.books[pool][0] = down(budget)

    @rule(giver=agents, taker=agents, amount=amounts)
    def transfer(self, giver, taker, amount):
        def modelled():
            if self.model.books[giver][0] < down(amount):
                raise Refused
            self.model.books[giver][0] -= down(amount)
            self.model.books[taker][0] += down(amount)

        if giver != taker:
            self.both(lambda: self.coordinator.transfer(giver, taker, amount), modelled)

    @rule(agent=agents, limit=grants, length=st.sampled_from([10, 60]))
    def set_rate_limit(self, agent, limit, length):
        """An exact window: the model has no buckets. Neither knows of charges from before it."""
        self.limiter.set_rate_limit(agent, limit, timedelta(seconds=length), exact=True)
        windows = self.model.windows.setdefault(agent, {})
        if length in windows or not windows:
            if not windows:
                self.model.charges[agent].clear()
            windows[length] = down(limit)
        else:
            self.limiter.remove_rate_limit(agent, timedelta(seconds=length))

    @rule(agent=agents, amount=amounts)
    def record_usage(self, agent, amount):
        self.limiter.record_usage(agent, amount)
        self.model.charges[agent].append((self.model.now, up(amount)))

    @rule(agent=agents, amount=amounts)
    def acquire(self, agent, amount):
        def modelled():
            self.model.fits(agent, up(amount))
            self.model.charges[agent].append((self.model.now, up(amount)))

        self.both(lambda: self.limiter.acquire(agent, amount), modelled)

    @rule(by=seconds)
    def advance(self, by):
        self.clock.advance(by)
        self.model.advance(by)

    @invariant()
    def every_balance_is_the_models(self):
        for name, (remaining, reserved, spent) in self.model.books.items():
            is_pool = name.startswith("pool")
            look = self.coordinator.get_pool_metrics if is_pool else self.coordinator.get_agent_metrics
            metrics = look(name)
            assert (metrics.remaining, metrics.reserved, metrics.spent) == (remaining, reserved, spent), name
            assert metrics.granted == remaining + reserved + spent
            if not is_pool:
                held = [h for h in self.model.holds.values() if h["agent"] == name and h["state"] == "active"]
                assert metrics.active_reservations == len(held)
                least = min(self.model.books[above][0] for above in self.model.path(name))
                assert self.coordinator.get_available(name) == least

    @invariant()
    def the_books_hold(self):
        self.coordinator.verify()

    def teardown(self):
        for hold in self.model.holds.values():
            hold["state"] = "over"
        self.clock.advance(10_000)
        self.coordinator.expire()
        self.coordinator.verify()


TestLedger = Programs.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
