"""Calls in threads of their own, and how to know that they wait."""

import threading
import time


class Call:
    """A function that runs in a thread of its own."""

    def __init__(self, function, *arguments, **named):
        self._outcome = {}
        self._thread = threading.Thread(target=self._run, args=(function, arguments, named), daemon=True)
        self._thread.start()

    def _run(self, function, arguments, named):
        try:
            self._outcome["result"] = function(*arguments, **named)
        except BaseException as error:
            self._outcome["error"] = error

    def result(self):
        """What it returned; raises what it raised."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "it hangs"
        if "error" in self._outcome:
            raise self._outcome["error"]
        return self._outcome["result"]

    def is_over(self):
        return not self._thread.is_alive()


def until(is_so):
    """Waits until something is so."""
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.001)


def waiting(coordinator, function, *arguments, **named):
    """A call in a thread, once it waits."""
    before = coordinator._waiting_count()
    call = Call(function, *arguments, **named)
    until(lambda: coordinator._waiting_count() > before or call.is_over())
    return call
