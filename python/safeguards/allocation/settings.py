"""Capacities over time: the paper's three experiment settings, a random walk, and sudden changes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from safeguards._values.arguments import flag
from safeguards._values.numbers import MAX_SEED, number, whole
from safeguards.allocation._arguments import setting_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    Steps = NDArray[np.float64]

__all__ = ["PUBLISHED_DEVIATIONS", "experiment_setting", "random_walk_setting", "step_change_setting"]

PUBLISHED_DEVIATIONS: Final[Mapping[int, Mapping[str, float]]] = MappingProxyType(
    {
        1: MappingProxyType({"adaptive": 372.2851, "lam-leung": 14233.49, "galstyan": 18220.76}),
        2: MappingProxyType({"adaptive": 431.4749, "lam-leung": 12030.83, "galstyan": 17823.87}),
        3: MappingProxyType({"adaptive": 267.4422, "lam-leung": 13990.60, "galstyan": 32395.81}),
    },
)
"""Table 1 of She & Leung 2009: average deviation by experiment setting and strategy, as printed."""

_PERIOD = 1000.0
_MOST = 1e15


def experiment_setting(n: int, *, as_printed: bool = False, total: float = 1000.0) -> NDArray[np.float64]:
    """Returns the capacities of one of the experiment settings of She & Leung 2009, section 4.1.

    Two of the three have misprints. Both readings are here; the corrected one is the default:

    - Setting 2 as printed jumps at t = 400, C3 from 0 to 398.5, since C2 rises where it should fall.
      Corrected: C2 = 400 - (t - 200) for 200 < t <= 400, so that all three are continuous.
    - Setting 3 as printed lets C1 rise on after t = 950 together with C2, so that C3 is negative from t =
      1051, which no resource can be: `simulate` refuses it as it does every negative capacity. Corrected:
      C1 = 650 - (t - 950) for t > 950, so that C3 stays at 200.

    Setting 1 has no misprint and is the same either way.

    Args:
        n: 1, 2 or 3; of 1000, 600 and 1200 steps.
        as_printed: the paper's formulas to the letter.
        total: sum of the three capacities at each step, in units; the paper's 1000 scaled.

    Returns:
        (T, 3) float64 capacities, row t - 1 for time step t.

    Raises:
        ConfigurationError: no such setting, or a total that is not positive and finite.

    Example:
        >>> experiment_setting(2)[[0, 199, 399, 599]].tolist()
        [[100.5, 798.0, 101.5], [200.0, 400.0, 400.0], [400.0, 200.0, 400.0], [800.0, 100.0, 100.0]]
        >>> float(experiment_setting(3, as_printed=True).min())
        -300.0
    """
    import numpy as np

    maker = {1: _setting_1, 2: _setting_2, 3: _setting_3}[setting_number(n)]
    total = _checked_total(total)
    first, second = maker(total, flag("as_printed", as_printed))
    return np.stack([first, second, total - first - second], axis=1)


def random_walk_setting(
    steps: int = 1000,
    *,
    n_resources: int = 3,
    sigma: float = 5.0,
    least: float = 50.0,
    total: float = 1000.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Returns capacities that each take a normal step at every time step, with a fixed sum.

    The steps are shifted so that they add up to nothing; a capacity below `least` is lifted to it and all are
    scaled back to the total, five times over.

    Args:
        steps: number of time steps, T.
        n_resources: number of resources, Q.
        sigma: standard deviation of a step before the shift, in units.
        least: about the least that a resource keeps, in units.
        total: sum of the capacities at each step, in units.
        seed: where the random numbers come from (numpy's default generator).

    Returns:
        (T, Q) float64 capacities.

    Raises:
        ConfigurationError: an argument out of range.

    Example:
        >>> random_walk_setting(400, n_resources=5).shape
        (400, 5)
    """
    import numpy as np

    steps, n_resources, least, total = _checked_walk(steps, n_resources, least, total)
    sigma = abs(number("sigma", sigma, 0, _MOST))  # of -0 too
    random = np.random.default_rng(whole("seed", seed, 0, MAX_SEED))
    now = np.full(n_resources, total / n_resources)
    rows: list[NDArray[np.float64]] = []
    for _ in range(steps):
        now = now + random.normal(0.0, sigma, n_resources)
        now = now + (total - now.sum()) / n_resources
        for _ in range(5):
            now = np.maximum(now, least)
            now = now * (total / now.sum())
        rows.append(now)
    return np.array(rows)


def step_change_setting(
    steps: int = 1000,
    *,
    every: int = 100,
    n_resources: int = 3,
    least: float = 50.0,
    total: float = 1000.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Returns capacities that stay for a while and then all change at once, with a fixed sum.

    Each level is a draw of the Dirichlet distribution with all parameters 2, above `least`.

    Args:
        steps: number of time steps, T.
        every: time steps from one change to the next.
        n_resources: number of resources, Q.
        least: what every resource keeps, in units.
        total: sum of the capacities at each step, in units.
        seed: where the random numbers come from (numpy's default generator).

    Returns:
        (T, Q) float64 capacities.

    Raises:
        ConfigurationError: an argument out of range.

    Example:
        >>> levels = step_change_setting(300, every=100)
        >>> bool((levels[0] == levels[99]).all()), bool((levels[99] == levels[100]).any())
        (True, False)
    """
    import numpy as np

    steps, n_resources, least, total = _checked_walk(steps, n_resources, least, total)
    every = whole("every", every, 1, 2**30)
    random = np.random.default_rng(whole("seed", seed, 0, MAX_SEED))
    levels = random.dirichlet(np.full(n_resources, 2.0), -(-steps // every))
    return np.repeat(levels * (total - n_resources * least) + least, every, axis=0)[:steps]


def _setting_1(total: float, _as_printed: bool) -> tuple[Steps, Steps]:
    import numpy as np

    wave = np.sin(2 * np.pi * np.arange(1, 1001.0) / _PERIOD)
    return (1 / 3 + 1 / 6 * wave) * total, (1 / 3 - 1 / 12 * wave) * total


def _setting_2(total: float, as_printed: bool) -> tuple[Steps, Steps]:
    import numpy as np

    t = np.arange(1, 601.0)
    sign = 1 if as_printed else -1
    first = [100 + 0.5 * t, 200 + (t - 200), 400 + 2 * (t - 400)]
    second = [800 - 2 * t, 400 + sign * (t - 200), 200 - 0.5 * (t - 400)]
    return _pieces(t, (200, 400), first, total / 1000), _pieces(t, (200, 400), second, total / 1000)


def _setting_3(total: float, as_printed: bool) -> tuple[Steps, Steps]:
    import numpy as np

    t = np.arange(1, 1201.0)
    sign = 1 if as_printed else -1
    wave = np.sin(2 * np.pi * t / _PERIOD)
    flat = np.full(len(t), 400.0)
    first = [(2 / 5 + 1 / 12 * wave) * 1000, flat, 400 + (t - 700), 650 + sign * (t - 950)]
    second = [(2 / 5 - 1 / 12 * wave) * 1000, flat, 400 - (t - 700), 150 + (t - 950)]
    borders = (500, 700, 950)
    return _pieces(t, borders, first, total / 1000), _pieces(t, borders, second, total / 1000)


def _pieces(t: Steps, borders: tuple[int, ...], pieces: list[Steps], scale: float) -> Steps:
    """Piece k up to border k, the last one after."""
    import numpy as np

    return np.select([t <= border for border in borders], pieces[:-1], pieces[-1]) * scale


def _checked_total(total: float) -> float:
    return number("total", total, 0, _MOST, above=True)


def _checked_walk(steps: int, n_resources: int, least: float, total: float) -> tuple[int, int, float, float]:
    steps, n_resources = whole("steps", steps, 1, 2**30), whole("n_resources", n_resources, 1, 65_535)
    total = _checked_total(total)
    least = number("least", least, 0, total / n_resources)
    return steps, n_resources, least, total
