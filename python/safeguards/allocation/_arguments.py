"""The number of one of the paper's experiment settings."""

from __future__ import annotations

from numbers import Integral

from safeguards._values.arguments import shown
from safeguards.exceptions import ArgumentTypeError, ConfigurationError


def setting_number(n: object) -> int:
    """The number of one of the paper's experiment settings.

    Raises:
        ArgumentTypeError: it is no whole number.
        ConfigurationError: there is no such setting.
    """
    text = f"n must be 1, 2 or 3, the paper's experiment settings, not {shown(n)}"
    if isinstance(n, bool) or not isinstance(n, Integral):
        raise ArgumentTypeError(text)
    if n not in {1, 2, 3}:
        raise ConfigurationError(text)
    return int(n)
