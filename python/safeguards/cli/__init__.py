"""The command line: `safeguards`, or `python -m safeguards`. Needs the extra `cli`."""

import sys
from importlib import import_module

__all__ = ["main"]

_EXTRA = ("rich", "typer")


def main() -> None:
    """Runs the command line and ends the process.

    Exit codes: 0 as promised, 1 a promise was broken (something was overspent), 2 wrong usage or wrong input.
    """
    try:
        for name in _EXTRA:
            import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(
            f"The command line needs {error.name!r}, which is not installed.\n"
            "Install the package with its extra: pip install 'budget-safeguards[cli]'\n"
        )
        sys.exit(2)
    from safeguards.cli._app import run

    run()
