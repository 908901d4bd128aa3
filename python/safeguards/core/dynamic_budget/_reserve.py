"""What a pool keeps back for agents that run low."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from safeguards._values.decimals import NOTHING, ROUND_DOWN, add, of_float, plain, rounded, subtract, times
from safeguards.core._cell import Cell

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reserve"]


@dataclass(frozen=True, slots=True)
class _State:
    """A reserve at one instant. `taken` is what the step that led here took out of it."""

    size: Decimal = NOTHING
    left: Decimal = NOTHING
    given: Decimal = NOTHING
    heaviest: float = 0.0
    drawn: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    taken: Decimal = NOTHING
    is_told_empty: bool = False

    def begun(self, size: Decimal, given_before: Decimal, heaviest: float) -> _State:
        meanwhile = subtract(self.given, given_before)
        left = max(subtract(size, meanwhile), NOTHING)
        return _State(size=left, left=left, given=self.given, heaviest=heaviest)

    def admits(self, agent_id: str, weight: float) -> Decimal:
        """The most that an agent may draw now."""
        share = of_float(min(weight / self.heaviest, 1.0)) if self.size else NOTHING
        most = rounded(times(self.size, share), ROUND_DOWN)
        return min(self.left, subtract(most, self.drawn.get(agent_id, NOTHING)))

    def moved(self, agent_id: str, amount: Decimal) -> _State:
        if not amount:
            return replace(self, taken=NOTHING)
        drawn = add(self.drawn.get(agent_id, NOTHING), amount)
        return replace(
            self,
            drawn={**self.drawn, agent_id: drawn},
            left=plain(subtract(self.left, amount)),
            given=add(self.given, amount),
            taken=amount,
        )


class Reserve:
    """The reserve of one pool between two reallocations. Any thread may draw at any time."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = Cell(_State())

    @property
    def size(self) -> Decimal:
        """What was kept back at the last reallocation."""
        return self._state.value.size

    @property
    def left(self) -> Decimal:
        """What of it is not granted yet."""
        return self._state.value.left

    @property
    def given(self) -> Decimal:
        """All that was granted from it so far, at any time."""
        return self._state.value.given

    def begin(self, size: Decimal, given_before: Decimal, heaviest: float) -> None:
        """Keeps `size` back from now on, less what was granted since `given` was `given_before`."""
        self._state.update(lambda state: state.begun(size, given_before, heaviest))

    def draw(self, agent_id: str, weight: float, wanted: Decimal) -> Decimal:
        """Takes as much of `wanted` as an agent may have. Returns how much.

        The heaviest may have all there is; a lighter one the part of the reserve that its weight is of the
        heaviest weight, so that light agents that run low first leave something to heavy ones.
        """

        def step(state: _State) -> _State:
            taken = plain(max(min(wanted, state.admits(agent_id, weight)), NOTHING))
            return state.moved(agent_id, taken)

        return self._state.update(step).taken

    def put_back(self, agent_id: str, amount: Decimal) -> None:
        """Undoes a draw that was not granted after all."""
        self._state.update(lambda state: state.moved(agent_id, amount.copy_negate()))

    def has_for(self, agent_id: str, weight: float) -> bool:
        """Whether an agent could draw anything now."""
        return self._state.value.admits(agent_id, weight) > 0

    def has_drawn(self, agent_id: str) -> bool:
        """Whether an agent was granted anything since the last reallocation."""
        return self._state.value.drawn.get(agent_id, NOTHING) > 0

    def is_news(self) -> bool:
        """Notes that somebody is told that it has nothing for an agent; whether that is the first time."""
        return not self._state.exchange_by(lambda state: replace(state, is_told_empty=True)).is_told_empty
