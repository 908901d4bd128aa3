"""Handlers that are coroutine functions run, or are refused by name: none is silently never awaited."""

import asyncio
import functools
import gc
import logging
import threading
import warnings

import pytest

from safeguards import Alert, BudgetCoordinator, ConfigurationError, NotificationManager


@pytest.fixture(autouse=True)
def _no_coroutine_is_forgotten():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


async def settled(done, seconds=10):
    for _ in range(int(seconds / 0.005)):
        if done():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


class Awaited:
    def __init__(self):
        self.seen = []

    async def __call__(self, alert):
        await asyncio.sleep(0)
        self.seen.append((alert.title, threading.get_ident()))

    async def method(self, alert):
        await self(alert)


def forms():
    """Every form in which a coroutine function comes, with what it saw."""
    for form in ("function", "method", "partial", "object", "returned", "returned by a lambda"):
        own = Awaited()

        async def function(alert, own=own):
            await own(alert)

        def returned(alert, own=own):
            return own.method(alert)

        handlers = {
            "function": function,
            "method": own.method,
            "partial": functools.partial(function, own=own),
            "object": own,
            "returned": returned,
            "returned by a lambda": lambda alert, own=own: own.method(alert),
        }
        yield form, handlers[form], own.seen


@pytest.mark.parametrize(("handler", "seen"), [f[1:] for f in forms()], ids=[f[0] for f in forms()])
def test_it_runs_on_the_loop_that_ran_where_it_was_added(handler, seen):
    async def main():
        manager = NotificationManager(thresholds=[0.5])
        manager.add_handler(handler, loop=asyncio.get_running_loop())
        coordinator = BudgetCoordinator(manager)
        coordinator.create_budget_pool("team", 100)
        coordinator.register_agent("bot", "team", initial_budget=10)
        coordinator.debit("bot", 6)
        assert seen == []  # nobody waits for it
        await settled(lambda: seen)
        # From another thread, on which no loop runs.
        await asyncio.to_thread(manager.send_alert, "from a thread")
        await settled(lambda: len(seen) == 2)
        assert manager.failures == []

    asyncio.run(main())
    here = threading.get_ident()
    assert seen == [("agent 'bot' has spent 50% of its budget", here), ("from a thread", here)]


def test_without_a_loop_it_is_refused():
    manager = NotificationManager()
    for form, handler, seen in forms():
        if form.startswith("returned"):
            continue
        with pytest.raises(
            ConfigurationError, match="is a coroutine function and no event loop runs here: add it"
        ):
            manager.add_handler(handler)
        assert manager.send_alert("title") and seen == []
    assert repr(manager).endswith("0 handlers)")


def test_without_a_loop_what_is_returned_is_a_failure(caplog):
    manager, seen = NotificationManager(), []
    for form, handler, _ in forms():
        if form.startswith("returned"):
            manager.add_handler(handler)
    manager.add_handler(seen.append)
    with caplog.at_level(logging.ERROR, "safeguards.alerts"):
        manager.send_alert("title")
    assert len(seen) == 1 and len(manager.failures) == 2
    assert "returned an awaitable and no event loop runs here" in str(manager.failures[0].error)


def test_a_loop_of_its_own_thread():
    loop, seen = asyncio.new_event_loop(), []
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def handler(alert):
        seen.append((alert.title, threading.get_ident()))

    manager = NotificationManager()
    manager.add_handler(handler, loop=loop)
    for i in range(100):
        manager.send_alert(str(i))
    asyncio.run_coroutine_threadsafe(settled(lambda: len(seen) == 100), loop).result(20)
    assert seen == [(str(i), thread.ident) for i in range(100)]
    manager.remove_handler(handler)
    manager.send_alert("to nobody")
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert len(seen) == 100 and manager.failures == []
    manager.add_handler(seen.append, loop=None)
    with pytest.raises(ConfigurationError, match="it is closed"):
        manager.add_handler(handler, loop=loop)


def test_what_it_raises_is_kept(caplog):
    async def main():
        manager = NotificationManager()

        async def broken(alert):
            raise RuntimeError(alert.title)

        manager.add_handler(broken)
        manager.send_alert("title")
        await settled(lambda: manager.failures)
        [failure] = manager.failures
        assert failure.alert.title == "title" and isinstance(failure.error, RuntimeError)

    with caplog.at_level(logging.ERROR, "safeguards.alerts"):
        asyncio.run(main())
    assert "a handler failed on the alert 'title'" in caplog.text


@pytest.mark.filterwarnings("ignore")
def test_a_loop_that_ended_is_a_failure_and_no_silence(caplog):
    manager = NotificationManager()
    begun = []

    async def never(alert):
        begun.append(alert.title)
        await asyncio.sleep(1_000)

    async def main():
        manager.add_handler(never)
        manager.send_alert("under way")
        await settled(lambda: begun)

    with caplog.at_level(logging.ERROR, "safeguards.alerts"):
        asyncio.run(main())
        manager.send_alert("too late")
    told = [(failure.alert.title, str(failure.error)) for failure in manager.failures]
    assert told == [
        ("under way", "the handler was ended before it was done"),
        ("too late", "Event loop is closed"),
    ]


def test_what_waits_for_a_loop_is_bounded(caplog):
    async def main():
        manager, seen = NotificationManager(), []

        async def handler(alert):
            seen.append(alert.title)

        manager.add_handler(handler)
        with caplog.at_level(logging.CRITICAL, "safeguards.alerts"):
            for i in range(1_010):
                manager.send_alert(str(i))  # the loop has no turn
        assert len(manager.failures) == 10
        assert "1,000 alerts wait for this handler's event loop" in str(manager.failures[0].error)
        await settled(lambda: len(seen) == 1_000)
        manager.send_alert("again")
        await settled(lambda: seen[-1] == "again")

    asyncio.run(main())


def test_a_task_that_the_handler_started_itself_is_left_alone():
    async def main():
        manager, seen, tasks = NotificationManager(), [], []

        async def work(alert):
            seen.append(alert.title)

        def handler(alert):
            tasks.append(asyncio.ensure_future(work(alert)))
            return tasks[-1]

        manager.add_handler(handler)
        manager.send_alert("title")
        await asyncio.gather(*tasks)
        assert seen == ["title"] and manager.failures == []

    asyncio.run(main())


def test_a_loop_that_begins_tasks_at_once():
    if not hasattr(asyncio, "eager_task_factory"):
        pytest.skip("since CPython 3.12")

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        manager, seen = NotificationManager(), []

        async def handler(alert):
            seen.append(alert.title)

        manager.add_handler(handler)
        manager.send_alert("title")
        await settled(lambda: seen)
        [entry] = manager._handlers.value
        assert not entry.waiting

    asyncio.run(main())


def test_generator_functions_do_nothing_and_are_refused():
    def generator(alert):
        yield alert

    async def async_generator(alert):
        yield alert

    class Called:
        def __init__(self, alert=None):
            """A class is called to make one."""

        def __call__(self, alert):
            yield alert

    manager = NotificationManager()
    for handler in (generator, async_generator, Called()):
        with pytest.raises(ConfigurationError, match="is a generator function, of which a call does nothing"):
            manager.add_handler(handler)
    manager.add_handler(Called)
    assert manager.send_alert(Alert("title")) and manager.failures == []


@pytest.mark.parametrize("loop", [5, "loop", asyncio, object()])
def test_what_is_no_loop(loop):
    with pytest.raises(TypeError, match="loop must be an event loop of asyncio"):
        NotificationManager().add_handler(print, loop=loop)
