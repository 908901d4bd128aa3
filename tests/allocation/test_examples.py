"""Every example in a docstring runs, and says what it shows."""

import doctest
import importlib
import subprocess
import sys

import pytest

MODULES = ["", ".selector", ".settings", ".simulation", ".strategies", ".sweeps"]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(f"safeguards.allocation{name}")
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0


def test_numpy_is_imported_when_it_is_needed_and_not_before():
    program = "import sys, safeguards.allocation; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
