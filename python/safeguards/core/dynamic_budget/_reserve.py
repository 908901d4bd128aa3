"""What a pool keeps back for agents that run low."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal

from safeguards.core._amounts import plain

__all__ = ["Reserve"]

_EXACT = Context(prec=60, rounding=ROUND_DOWN)
_PLACES = Decimal("1e-9")
_NOTHING = Decimal(0)


class Reserve:
    """The reserve of one pool between two reallocations. Not safe without a lock.

    Attributes:
        size: what was kept back at the last reallocation.
        left: what of it is not granted yet.
        given: all that was granted from it so far, at any time.
        is_told_empty: somebody was told since then that it has nothing for an agent.
    """

    __slots__ = ("_drawn", "_heaviest", "given", "is_told_empty", "left", "size")

    def __init__(self) -> None:
        self.size = self.left = self.given = _NOTHING
        self._drawn: dict[str, Decimal] = {}
        self._heaviest = 0.0
        self.is_told_empty = False

    def begin(self, size: Decimal, given_before: Decimal, heaviest: float) -> None:
        """Keeps `size` back from now on, less what was granted since `given` was `given_before`."""
        meanwhile = _EXACT.subtract(self.given, given_before)
        self.size = self.left = max(_EXACT.subtract(size, meanwhile), _NOTHING)
        self._drawn = {}
        self._heaviest = heaviest
        self.is_told_empty = False

    def draw(self, agent_id: str, weight: float, wanted: Decimal) -> Decimal:
        """Takes as much of `wanted` as an agent may have. Returns how much.

        The heaviest may have all there is; a lighter one the part of the reserve that its weight is of the
        heaviest weight, so that light agents that run low first leave something to heavy ones.
        """
        share = Decimal(str(min(weight / self._heaviest, 1.0))) if self.size else _NOTHING
        most = _EXACT.multiply(self.size, share).quantize(_PLACES, context=_EXACT)
        drawn = self._drawn.get(agent_id, _NOTHING)
        taken = plain(max(min(wanted, self.left, _EXACT.subtract(most, drawn)), _NOTHING))
        self._move(agent_id, taken)
        return taken

    def put_back(self, agent_id: str, amount: Decimal) -> None:
        """Undoes a draw that was not granted after all."""
        self._move(agent_id, amount.copy_negate())

    def has_drawn(self, agent_id: str) -> bool:
        """Whether an agent was granted anything since the last reallocation."""
        return self._drawn.get(agent_id, _NOTHING) > 0

    def _move(self, agent_id: str, amount: Decimal) -> None:
        self._drawn[agent_id] = _EXACT.add(self._drawn.get(agent_id, _NOTHING), amount)
        self.left = plain(_EXACT.subtract(self.left, amount))
        self.given = _EXACT.add(self.given, amount)
