"""Instructions per call, counted by callgrind: the same on every run, whatever else the machine does.

Each operation runs in a child process under valgrind, once with few calls and once with many; the difference,
less that of an empty loop, is what the calls take, interpreter included.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FEW, MANY = 200, 10_200

SETUP = """
import sys
from decimal import Decimal
from safeguards import BudgetCoordinator, BudgetRateLimiter, _native
from datetime import timedelta
c = BudgetCoordinator()
c.create_budget_pool("p", 10**12)
c.register_agent("a", "p", initial_budget=10**12)
c.register_agent("w", "p", initial_budget=10**12)
account, empty, amount = c.account("a"), _native.Empty(), Decimal("0.10")
limiter = BudgetRateLimiter(c)
limiter.set_rate_limit("w", 10**9, timedelta(minutes=1))
def loop(n):
    for _ in range(n):
        {call}
loop(int(sys.argv[1]))
"""

CALLS = {
    "empty native method (id, amount)": "empty.try_debit('a', amount)",
    "empty native method (amount)": "empty.account_try_debit(amount)",
    "try_debit": "c.try_debit('a', amount)",
    "Account.try_debit": "account.try_debit(amount)",
    "debit, with its receipt": "c.debit('a', amount)",
    "reserve + settle": "c.reserve('a', amount).settle(amount)",
    "reserve + release": "c.reserve('a', amount).release()",
    "try_acquire": "limiter.try_acquire('w', amount)",
}


def count(call: str, calls: int) -> int:
    """Instructions of a process that makes so many calls."""
    with tempfile.TemporaryDirectory() as folder:
        program, out = Path(folder) / "program.py", Path(folder) / "out"
        program.write_text(SETUP.replace("{call}", call))
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
        command = [*valgrind, sys.executable, str(program), str(calls)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "0"}
        )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"valgrind counted nothing: {done.stderr}")
    return int(found[1])


def table() -> dict[str, float]:
    """Instructions of each call, less those of an empty loop."""
    count("pass", FEW)  # the first process compiles Python's modules
    spent = {name: per_call(call) for name, call in {"": "pass", **CALLS}.items()}
    loop = spent.pop("")
    return {name: instructions - loop for name, instructions in spent.items()}


def per_call(call: str) -> float:
    return (count(call, MANY) - count(call, FEW)) / (MANY - FEW)


def main() -> None:
    """Prints instructions per call."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: on Debian, apt-get install valgrind")
    for name, instructions in table().items():
        print(f"{name:36s}{instructions:8.0f} instructions")


if __name__ == "__main__":
    main()
