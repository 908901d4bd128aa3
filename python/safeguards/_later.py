"""Names and submodules that a package imports when they are first asked for: importing it stays cheap."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

_NOTHING: Mapping[str, str] = {}


def later(
    package: str, modules: Mapping[str, str] = _NOTHING
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a package.

    Args:
        package: the package's name.
        modules: the module that each name comes from. The package's public submodules need not be named.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - what it is for
        if name in modules:
            found = getattr(import_module(modules[name]), name)
            setattr(sys.modules[package], name, found)
            return found
        if name in _submodules(sys.modules[package]):
            return import_module(f"{package}.{name}")  # which sets the attribute
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:  # noqa: N807 - likewise
        module = sys.modules[package]
        return sorted({*getattr(module, "__all__", ()), *_submodules(module)})

    return __getattr__, __dir__


def _submodules(package: ModuleType) -> set[str]:
    """Names of the public modules and packages that lie in a package."""
    from pkgutil import iter_modules

    return {found.name for found in iter_modules(package.__path__) if not found.name.startswith("_")}
