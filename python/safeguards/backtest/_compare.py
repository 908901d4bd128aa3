"""Which policy was best on this record, and whether that may be chance."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves parts of its annotations open.

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Table = NDArray[np.float64]

__all__ = ["Comparison", "compare"]

_DAY = 24
_FEWEST_BLOCKS = 7
_LEAST_BLOCKS = 4
_RESAMPLES = 1000
_WITHIN = (2.5, 97.5)
_TINY = 1e-12


@dataclass(frozen=True)
class Comparison:
    """The policies by their loss, the best first, and ours against the best of the others.

    Losses are compared on the same demand at the same money. The interval holds 95 of 100 resamples of the
    record: blocks of consecutive hours, whole days where there are enough, drawn with replacement.

    Attributes:
        losses: each policy's loss; less is better.
        best: the policy with the least.
        ours: the policy of this library that the others are compared with.
        rival: the best of the others.
        change: how much more ours loses than the rival, as a share of what the rival loses: 0.27 is 27 %
            more; None if the rival loses nothing.
        low: lower end of the interval of `change`; None if the record is too short to tell, or the rival
            loses nothing.
        high: upper end.
        block_hours: hours of a block.
    """

    losses: Mapping[str, float]
    best: str
    ours: str
    rival: str
    change: float | None
    low: float | None
    high: float | None
    block_hours: int

    @property
    def may_be_chance(self) -> bool:
        """Whether the interval reaches from better to worse, or the record is too short for one."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high

    def sentence(self, what: str) -> str:
        """The verdict, on `what` is lost, such as "demand unmet"."""
        ours, rival = self.losses[self.ours], self.losses[self.rival]
        if abs(ours - rival) <= _TINY * max(ours, rival, 1e-300) or max(ours, rival) <= _TINY:
            return f"no difference here: {self.rival} and ours ({self.ours}) leave the same {what}"
        head = f"best here: {self.best}"
        if self.change is None:
            return f"{head}; it leaves no {what}, ours ({self.ours}) {ours:.2%}"
        size = abs(self.change)
        if self.best == self.ours:
            text = f"{head} (ours), {size:.0%} less {what} than {self.rival}, the next best"
        else:
            text = f"{head}; ours ({self.ours}) leaves {size:.0%} more {what}"
        return text + self._interval()

    def _interval(self) -> str:
        if self.low is None or self.high is None:
            return "; the record is too short to tell whether that is chance"
        sign = -1 if self.change is not None and self.change < 0 else 1
        ends = sorted((sign * self.low, sign * self.high))
        days = "days" if self.block_hours == _DAY else f"blocks of {self.block_hours} hours"
        interval = f"{round(100 * ends[0])}% to {round(100 * ends[1])}% in 95 of 100 resamples of {days}"
        return f"; that may be chance ({interval})" if self.may_be_chance else f" ({interval})"


def compare(
    losses: Mapping[str, Table],
    weights: Table,
    *,
    ours: str,
    apart: frozenset[str] = frozenset(),
    seed: int = 0,
    block_hours: int = _DAY,
) -> Comparison:
    """Compares policies on a record.

    A policy's loss is the mean over units of (sum of losses) / (sum of weights).

    Args:
        losses: of each policy, (units, hours).
        weights: what they are a share of, (units, hours).
        ours: the policy that the others are compared with.
        apart: policies that nobody could follow, such as hindsight: they are in `losses`, never the best.
        seed: of the resamples.
        block_hours: columns of a block where there are enough.

    Example:
        >>> import numpy as np
        >>> wanted = np.ones((1, 240))
        >>> found = compare({"static": 0.1 * wanted, "ours": 0.127 * wanted}, wanted, ours="ours")
        >>> print(found.sentence("demand unmet").partition(" (27% to")[0])
        best here: static; ours (ours) leaves 27% more demand unmet
    """
    import numpy as np

    columns = weights.shape[1]
    block = max(1, min(block_hours, columns // _FEWEST_BLOCKS))
    starts = np.arange(0, columns, block)
    denominators = np.add.reduceat(weights, starts, axis=1)
    blocks = {name: np.add.reduceat(loss, starts, axis=1) for name, loss in losses.items()}
    once = np.ones((1, len(starts)))
    scores = {name: float(_scores(loss, denominators, once)[0]) for name, loss in blocks.items()}
    judged = sorted((name for name in scores if name not in apart), key=lambda name: scores[name])
    others = [name for name in judged if name != ours]
    # One that loses the same in every block is ours by another name, unless neither loses anything.
    is_free = not blocks[ours].any()
    unlike = [name for name in others if is_free or not np.array_equal(blocks[name], blocks[ours])]
    rival = next(iter([*unlike, *others]), ours)
    best = rival if scores[rival] < scores[ours] else ours
    base = scores[rival]
    low = high = change = None
    if base > _TINY:
        change = scores[ours] / base - 1
        if len(starts) >= _LEAST_BLOCKS:
            drawn = np.random.default_rng(seed).multinomial(
                len(starts), np.full(len(starts), 1 / len(starts)), _RESAMPLES
            )
            mine, theirs = (_scores(blocks[name], denominators, drawn) for name in (ours, rival))
            low, high = (float(end) for end in np.percentile((mine - theirs) / base, _WITHIN))
    return Comparison(scores, best, ours, rival, change, low, high, block * (_DAY // block_hours or 1))


def _scores(losses: Table, weights: Table, drawn: NDArray[Any]) -> Table:
    """The score of each resample: `drawn` says how often each block is in it."""
    import numpy as np

    lost, wanted = losses @ drawn.T, weights @ drawn.T
    shares = np.divide(lost, wanted, out=np.zeros_like(lost), where=wanted > 0)
    counts = np.maximum((wanted > 0).sum(axis=0), 1)
    scores: Table = shares.sum(axis=0) / counts
    return scores
