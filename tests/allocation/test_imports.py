"""What an import costs."""

import subprocess
import sys


def test_numpy_is_imported_when_it_is_needed_and_not_before():
    program = "import sys, safeguards.allocation; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
