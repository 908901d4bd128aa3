"""Fixtures of the benches, and what a file of results says of the machine and of what was left out."""

from __future__ import annotations

import os
from typing import Any

import pytest

from harness import is_quick, record, versus

__all__ = ["is_quick", "record", "versus"]


class LeftOut:
    """Lists a bench that is skipped with its reason: nothing is left out in silence."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons.append(str(report.longrepr[2]).removeprefix("Skipped: "))

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        output_json["not_measured"] = self.reasons


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(LeftOut())


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """The names of a host and of its kernel say nothing about speed; how busy it was does."""
    for key in ("node", "release"):
        machine_info.pop(key, None)
    machine_info["load"] = os.getloadavg()[0]


def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    for key in ("project", "branch"):
        commit_info.pop(key, None)
