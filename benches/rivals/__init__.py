"""The libraries people install, one adapter each, every one used as its own documentation tells.

An adapter is a module with

- `NAME`: its name on the package index, or of what is written by hand, which has a `VERSION` too;
- `speed() -> list[Contender]`: its operations, which `rivals.speed` times;
- `overspend() -> list[Usage]`: ways it guards a budget, run by `rivals.overspend`.

Either function may be missing: not every library does both. Adapters are imported only by the interpreter of
the rivals' own environment, each in a process of its own.
"""

ADAPTERS = (
    "token_budget_py",
    "agentbudget",
    "shekel",
    "litellm",
    "budgetgate",
    "agent_safeguards",
    "sqlite_wal",
    "limits",
    "pyrate_limiter",
    "throttled_py",
    "rust_py_rate_limit",
)
"""Module names of the adapters."""

PYTHON_312 = frozenset({"budgetgate"})
"""Adapters of libraries that refuse to install on anything older."""
