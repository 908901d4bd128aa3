"""A controller for tests, and ways to wait."""

import time

from safeguards import Controller, Decision


class Mover(Controller):
    """Moves every agent's budget by one, up and down in turn."""

    def __init__(self, coordinator, interval_seconds=60.0, **options):
        super().__init__(coordinator, interval_seconds, **options)
        self.runs = 0

    def observe(self, now):
        coordinator = self.budget_coordinator
        return {agent: coordinator.get_budget(agent) for agent in sorted(coordinator.get_all_agent_ids())}

    def propose(self, view):
        self.runs += 1
        return [
            Decision("agent", agent, old, old + 1 if old < 5 else old - 1, "a test")
            for agent, old in view.items()
        ]


def wait_for(condition, seconds=30):
    """Waits until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)
