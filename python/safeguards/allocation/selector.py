"""`ResourceSelector`: the agents of a running program choose among real resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeguards import _native
from safeguards._values.arguments import flag, instance, items, shown, text
from safeguards._values.numbers import MAX_AGENTS, MAX_SEED, real, whole
from safeguards.allocation.strategies import Strategy
from safeguards.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["ResourceSelector"]


class ResourceSelector:
    """Lets agents choose among resources whose capacity changes: model endpoints, queues, GPUs.

    Time goes in steps, which you end with `advance()`: once a second, a minute, a batch. In a step each agent
    has one choice; it reports whether that was overloaded (refused, throttled, late), and you tell the
    capacities that you know, in choices per step. The strategy is the same as in a simulation, one agent at a
    time: what holds there holds here as far as the agents take part in most steps. An agent that reports
    nothing learns nothing from the step.

    Thread-safe: an agent's call takes one lock of sixteen, `advance` all of them for a moment. State is
    native and
    bounded: at most `max_agents` times `bytes_per_agent` plus the names; agents beyond are refused, none is
        dropped in
    silence; `forget` makes room.

    Args:
        resources: names of the resources, different from each other.
        strategy: any but those that must know all agents from the start (`GalstyanStrategy`,
            `PreviousCapacityStrategy`). `FlowStrategy` reads the loads of the step before by itself.
        max_agents: most agents that are held.
        seed: where random numbers come from. The same calls in the same order make the same choices.

    Raises:
        ConfigurationError: no resources, a name twice, or a strategy that cannot be used live.

    Example:
        >>> from safeguards.allocation import WinStayStrategy
        >>> selector = ResourceSelector(["fast", "cheap"], WinStayStrategy())
        >>> selector.observe_capacity("fast", 30)
        >>> selector.observe_capacity("cheap", 70)
        >>> _ = selector.advance()
        >>> resource = selector.choose("agent-1")
        >>> selector.report("agent-1", resource, overloaded=False)
        True
        >>> selector.advance()[resource]
        1
    """

    def __init__(
        self,
        resources: Iterable[str],
        strategy: Strategy,
        *,
        max_agents: int = 1_000_000,
        seed: int = 0,
    ) -> None:
        names = items("resources", resources, "names")
        self._resources = tuple(text("a name of resources", name) for name in names)
        self._strategy = instance("strategy", strategy, Strategy)  # type: ignore[type-abstract]
        self._index = {name: n for n, name in enumerate(self._resources)}
        if len(self._index) < len(self._resources):
            raise ConfigurationError("resources must have different names")
        self._native = _native.AllocationSelector(
            strategy._native(),  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            len(self._resources),
            whole("max_agents", max_agents, 1, MAX_AGENTS),
            whole("seed", seed, 0, MAX_SEED),
        )

    def __repr__(self) -> str:
        return (
            f"<ResourceSelector of {self._strategy!r}: {len(self._resources)} resources, "
            f"{self.n_agents} agents, step {self.step}>"
        )

    @property
    def resources(self) -> tuple[str, ...]:
        """Names of the resources."""
        return self._resources

    @property
    def n_agents(self) -> int:
        """Agents that have chosen at least once and were not forgotten."""
        return self._native.n_agents

    @property
    def step(self) -> int:
        """The step that is open, from 1."""
        return self._native.step

    @property
    def bytes_per_agent(self) -> int:
        """About how many bytes of native state an agent takes, besides its name."""
        return self._native.bytes_per_agent

    def choose(self, agent_id: str) -> str:
        """Returns the agent's resource in this step: the same one if it asks again.

        An agent not seen before is admitted.

        Raises:
            ConfigurationError: `max_agents` are known already.
        """
        return self._resources[self._native.choose(agent_id)]

    def report(self, agent_id: str, resource: str, overloaded: bool) -> bool:
        """Tells an agent what became of its last choice.

        Of several reports on one choice, one overload is enough.

        Args:
            agent_id: who.
            resource: what it had chosen.
            overloaded: whether the resource had too little for it.

        Returns:
            Whether it was noted: False if the agent has meanwhile chosen another resource.

        Raises:
            UnknownAgentError: the agent has never chosen.
            ConfigurationError: no such resource.
        """
        return self._native.report(agent_id, self._resource(resource), flag("overloaded", overloaded))

    def observe_capacity(self, resource: str, capacity: float) -> None:
        """Sets what is known of a resource's capacity, in choices per step, until it is set again.

        A resource never observed counts as an average one. As in the paper, agents read a capacity from the
        next step on, but in steps 1 and 2 at once.

        Raises:
            ConfigurationError: no such resource, or no capacity: negative, NaN, infinite, above 2**53.
        """
        self._native.observe_capacity(self._resource(resource), real("capacity", capacity))

    def advance(self) -> dict[str, int]:
        """Ends the step: every agent may choose anew. Returns how many chose each resource in it."""
        loads: list[int] = self._native.advance().tolist()
        return dict(zip(self._resources, loads, strict=True))

    def forget(self, agent_id: str) -> None:
        """Forgets an agent and what it has learnt.

        Raises:
            UnknownAgentError: there is no such agent.
        """
        self._native.forget(agent_id)

    def _resource(self, name: str) -> int:
        try:
            return self._index[name]
        except KeyError:
            known = ", ".join(map(repr, self._resources[:10]))
            raise ConfigurationError(f"resource {shown(name)} is not one of {known}") from None
