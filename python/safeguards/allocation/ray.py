"""Sweeps on a Ray cluster (the extra `ray`): an executor whose calls are Ray tasks."""

from __future__ import annotations

import importlib
from concurrent.futures import Executor, Future
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from safeguards._extras import require

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RayExecutor"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class RayExecutor(Executor):
    """Runs each call as a Ray task; needs `pip install 'budget-safeguards[ray]'`.

    Connects to the cluster that Ray finds, or starts a local one, unless it is connected already. `shutdown`
    waits for the calls but leaves the connection as it is: others may use it. Every node needs this package.

    Args:
        num_cpus: cores that one task takes.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, *, num_cpus: float = 1) -> None:
        require("ray", "ray")
        self._ray: Any = importlib.import_module("ray")
        if not self._ray.is_initialized():
            self._ray.init()
        self._num_cpus = num_cpus
        self._futures: set[Future[Any]] = set()
        self._closed = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Runs one call somewhere in the cluster."""
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        task = self._ray.remote(num_cpus=self._num_cpus)(fn)
        future: Future[_T] = task.remote(*args, **kwargs).future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more calls; waits for those that run, unless told otherwise."""
        self._closed = True
        pending = list(self._futures)
        if cancel_futures:
            for future in pending:
                future.cancel()
        if wait:
            wait_for(pending)
