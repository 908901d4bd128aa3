"""Two things at once: in threads, or one in the middle of the other."""

import sys
import threading


def at_once(*works):
    """Runs all of them in threads that are switched as often as can be."""
    errors = []

    def run(work):
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "it hangs"
    finally:
        sys.setswitchinterval(before)
    assert errors == []


def at_line(number, files, inject):
    """A trace function that calls `inject` at the line of that number, of those run in these files."""
    lines = []

    def trace(frame, _event, _arg):
        if not frame.f_code.co_filename.endswith(files):
            return None
        lines.append(1)
        if len(lines) == number:
            inject()
        return trace

    return trace, lines
