"""What a pool keeps back for agents that run low."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal

__all__ = ["Reserve"]

_EXACT = Context(prec=60, rounding=ROUND_DOWN)
_PLACES = Decimal("1e-9")
_SHARE = Decimal("0.5")
"""What the heaviest agent may draw between two reallocations; a lighter one less, by its weight. So who runs
low first, or most, leaves something to the others, and light agents leave more to heavy ones."""


class Reserve:
    """The reserve of one pool between two reallocations. Not safe without a lock.

    Attributes:
        size: what was kept back at the last reallocation.
        left: what of it is not granted yet.
        given: all that was granted from it so far, at any time.
    """

    __slots__ = ("_drawn", "_heaviest", "given", "left", "size")

    def __init__(self) -> None:
        self.size = self.left = self.given = Decimal(0)
        self._drawn: dict[str, Decimal] = {}
        self._heaviest = 0.0

    def begin(self, size: Decimal, given_before: Decimal, heaviest: float) -> None:
        """Keeps `size` back from now on, less what was granted since `given` was `given_before`."""
        meanwhile = _EXACT.subtract(self.given, given_before)
        self.size = self.left = max(_EXACT.subtract(size, meanwhile), Decimal(0))
        self._drawn = {}
        self._heaviest = heaviest

    def draw(self, agent_id: str, weight: float, wanted: Decimal) -> Decimal:
        """Takes as much of `wanted` as an agent may have. Returns how much."""
        share = _EXACT.multiply(_SHARE, Decimal(str(min(weight / self._heaviest, 1.0)))) if self.size else 0
        most = _EXACT.multiply(self.size, Decimal(share)).quantize(_PLACES, context=_EXACT)
        drawn = self._drawn.get(agent_id, Decimal(0))
        taken = max(min(wanted, self.left, _EXACT.subtract(most, drawn)), Decimal(0))
        self._move(agent_id, taken)
        return taken

    def put_back(self, agent_id: str, amount: Decimal) -> None:
        """Undoes a draw that was not granted after all."""
        self._move(agent_id, amount.copy_negate())

    def has_drawn(self, agent_id: str) -> bool:
        """Whether an agent was granted anything since the last reallocation."""
        return self._drawn.get(agent_id, Decimal(0)) > 0

    def _move(self, agent_id: str, amount: Decimal) -> None:
        self._drawn[agent_id] = _EXACT.add(self._drawn.get(agent_id, Decimal(0)), amount)
        self.left = _EXACT.subtract(self.left, amount)
        self.given = _EXACT.add(self.given, amount)
