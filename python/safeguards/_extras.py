"""Optional dependencies: a missing one is a named error that says what to install."""

from __future__ import annotations

import importlib

from safeguards.exceptions import MissingExtraError


def require(module: str, extra: str) -> None:
    """Imports an optional dependency.

    Args:
        module: what to import.
        extra: the extra of this distribution that brings it.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is not installed: run pip install 'budget-safeguards[{extra}]'",
            extra=extra,
            module=module,
        ) from error
