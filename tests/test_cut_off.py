"""A `with` block that is cut off may have cost something: it settles what it was told to, whoever cuts it."""

import asyncio
import concurrent.futures
import gc
import signal
import socket
from contextlib import aclosing, closing
from decimal import Decimal

import pytest
import trio

from safeguards import BudgetExceededError, ReservationError

TOLD = {"on_cancel": "0.10", "on_error": "0.20"}


class Greenlets(BaseException):
    """As greenlets are ended, and tasks of other loops: no `Exception`."""


class NoAnswer(Exception):  # noqa: N818 - as a client calls it when it did not wait for the answer
    pass


class NoAnswerInTime(NoAnswer):
    pass


class Liar(type):
    """Of classes that answer for themselves what is one of them: `except` does not ask them."""

    def __instancecheck__(cls, instance):
        return instance.__class__ is not cls


class Lying(Exception, metaclass=Liar):  # noqa: N818 - a failure
    pass


CUTS = [
    *(asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt(), SystemExit(3), Greenlets()),
    *(TimeoutError("late"), asyncio.TimeoutError(), concurrent.futures.TimeoutError(), socket.timeout()),  # noqa: UP041
    BaseExceptionGroup("several", [ValueError(), KeyboardInterrupt()]),
    ExceptionGroup("several", [ValueError(), ExceptionGroup("deeper", [OSError(), TimeoutError()])]),
]
ERRORS = [
    *(ValueError(), ConnectionError(), OSError(), StopIteration(), NoAnswer(), Lying()),
    concurrent.futures.CancelledError(),  # what somebody else has cancelled
    ExceptionGroup("several", [ValueError(), ExceptionGroup("deeper", [OSError()])]),
]
by_class = {"ids": lambda error: type(error).__name__}


class Books:
    """One agent's money, or calls, and what happened to them."""

    def __init__(self, coordinator, resources, unit):
        self.coordinator, self.resources, self.unit = coordinator, resources, unit

    def what(self, amount):
        return amount if self.unit == "money" or amount is None else {"calls": amount}

    def reserve(self, amount="0.50", *, on_cancel=None, on_error=None, **options):
        owner = self.coordinator if self.unit == "money" else self.resources
        left = {"on_cancel": self.what(on_cancel), "on_error": self.what(on_error)}
        return owner.reserve("bot", self.what(amount), **left, **options)

    def settle(self, reservation, amount):
        return reservation.settle(self.what(amount))

    @property
    def spent(self):
        """What was charged; nothing is left set aside."""
        c, r = self.coordinator, self.resources
        metrics = c.get_agent_metrics("bot") if self.unit == "money" else r.get_metrics("bot", "calls")
        assert metrics.reserved == 0
        return metrics.spent

    @property
    def kinds(self):
        c, r = self.coordinator, self.resources
        events = c.get_agent_events("bot") if self.unit == "money" else r.get_events("bot", "calls")
        return [event.kind for event in events][1:]


@pytest.fixture(params=["money", "resources"])
def books(coordinator, resources, request):
    return Books(coordinator, resources, request.param)


def plain(reservation, error):
    with reservation:
        raise error


def asynchronous(reservation, error):
    async def leave():
        async with reservation:
            await asyncio.sleep(0)
            raise error

    try:
        leaving = leave()
        leaving.send(None)
        leaving.send(None)
    except RuntimeError as replaced:  # PEP 479: a coroutine raises no StopIteration
        raise (replaced.__cause__ or replaced) from None


@pytest.fixture(params=[plain, asynchronous])
def leave(request):
    return request.param


def raised_by(leave, reservation, error):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - it is looked at below
        leave(reservation, error)
    assert caught.value is error
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("error", CUTS, **by_class)
def test_what_cuts_a_block_off_settles_on_cancel(books, leave, error):
    reservation = books.reserve(**TOLD)
    raised_by(leave, reservation, error)
    assert (reservation.state, books.spent) == ("settled", Decimal("0.10"))
    assert books.kinds == ["reserve", "default_settle"]


@pytest.mark.parametrize("error", ERRORS, **by_class)
def test_every_other_error_settles_on_error(books, leave, error):
    reservation = books.reserve(**TOLD)
    raised_by(leave, reservation, error)
    assert (reservation.state, books.spent) == ("settled", Decimal("0.20"))
    assert books.kinds == ["reserve", "default_settle"]


@pytest.mark.parametrize("error", [*CUTS, *ERRORS], **by_class)
def test_by_default_nothing_is_charged(books, leave, error):
    for told in ({}, {"on_cancel": 0, "on_error": "0"}):
        reservation = books.reserve(**told)
        raised_by(leave, reservation, error)
        assert (reservation.state, reservation.receipt, books.spent) == ("released", None, 0)
    assert books.kinds == ["reserve", "release"] * 2


@pytest.mark.parametrize(
    ("cut_off", "error", "spent"),
    [
        (NoAnswer, NoAnswer(), "0.10"),
        (NoAnswer, NoAnswerInTime(), "0.10"),
        (NoAnswerInTime, NoAnswer(), "0.20"),
        ((OSError, NoAnswer), ConnectionResetError(), "0.10"),
        ((OSError, NoAnswer), ValueError(), "0.20"),
        ((OSError, NoAnswer), TimeoutError(), "0.10"),
        ((), NoAnswer(), "0.20"),
        ((), KeyboardInterrupt(), "0.10"),
        (NoAnswer, ExceptionGroup("several", [ValueError(), NoAnswer()]), "0.10"),
        (ExceptionGroup, ExceptionGroup("several", [ValueError()]), "0.10"),
        (BaseException, ValueError(), "0.10"),
        (Lying, ValueError(), "0.20"),
        (Lying, Lying(), "0.10"),
    ],
)
def test_classes_that_cut_off_as_well(books, leave, cut_off, error, spent):
    raised_by(leave, books.reserve(**TOLD, cut_off=cut_off), error)
    assert books.spent == Decimal(spent)


@pytest.mark.parametrize(
    "wrong",
    ["OSError", OSError(), int, object, [OSError], {OSError}, (OSError, int), (OSError, (OSError,)), 5],
)
def test_what_is_no_class_of_exceptions_is_refused_before_anything_is_done(coordinator, resources, wrong):
    account = coordinator.account("bot")
    message = "cut_off must be a class of exceptions, or a tuple of them, not "
    for reserve in (coordinator.reserve, coordinator.try_reserve):
        with pytest.raises(TypeError, match=message):
            reserve("bot", "0.5", cut_off=wrong)
    for reserve in (account.reserve, account.try_reserve):
        with pytest.raises(TypeError, match=message):
            reserve("0.5", cut_off=wrong)
    for reserve in (resources.reserve, resources.try_reserve):
        with pytest.raises(TypeError, match=message):
            reserve("bot", {"calls": 1}, cut_off=wrong)
    assert coordinator.get_agent_metrics("bot").reserved == 0
    assert resources.get_metrics("bot", "calls").reserved == 0


def test_every_door_takes_what_a_block_is_told(coordinator, resources):
    account = coordinator.account("bot")
    doors = [
        *(
            lambda f=f, **told: f("bot", "0.5", **told)
            for f in (coordinator.reserve, coordinator.try_reserve)
        ),
        *(lambda f=f, **told: f("0.5", **told) for f in (account.reserve, account.try_reserve)),
    ]
    for number, reserve in enumerate(doors, 1):
        with pytest.raises(NoAnswer), reserve(on_cancel="0.01", on_error="0.02", cut_off=NoAnswer):
            raise NoAnswer
        with pytest.raises(ValueError, match="body"), reserve(on_cancel="0.01", on_error="0.02"):
            raise ValueError("body")
        assert coordinator.get_agent_metrics("bot").spent == number * Decimal("0.03")
    told = {"on_cancel": {"calls": 1}, "on_error": {"seconds": 2}, "cut_off": NoAnswer}
    for reserve in (resources.reserve, resources.try_reserve):
        with pytest.raises(NoAnswer), reserve("bot", {"calls": 5, "seconds": 3}, **told):
            raise NoAnswer
        with pytest.raises(ValueError, match="body"), reserve("bot", {"calls": 5, "seconds": 3}, **told):
            raise ValueError("body")
    assert resources.get_budgets("bot") == {"calls": 98, "seconds": 6}


# ---------------------------------------------------------------------------------------------- by whom


def stream(books, **options):
    with books.reserve(**TOLD, **options) as reservation:
        yield from range(3)
        books.settle(reservation, "0.30")


async def async_stream(books):
    async with books.reserve(**TOLD) as reservation:
        for token in range(3):
            yield token
        books.settle(reservation, "0.30")


def test_a_stream_that_is_read_to_its_end(books):
    assert list(stream(books)) == [0, 1, 2]
    assert (books.spent, books.kinds) == (Decimal("0.30"), ["reserve", "settle"])


def test_a_stream_that_is_closed(books):
    with closing(stream(books)) as tokens:
        assert next(tokens) == 0
    assert (books.spent, books.kinds) == (Decimal("0.10"), ["reserve", "default_settle"])


def test_a_stream_that_is_dropped(books):
    tokens = stream(books)
    assert next(tokens) == 0
    del tokens
    gc.collect()
    assert books.spent == Decimal("0.10")


def test_a_stream_that_never_began_reserves_nothing(books):
    stream(books).close()
    assert (books.spent, books.kinds) == (0, [])


def test_a_stream_whose_reader_fails(books):
    """The generator is closed when nobody holds it any more."""

    def read():
        for _ in stream(books):
            raise ValueError("the reader")

    with pytest.raises(ValueError, match="the reader"):
        read()
    gc.collect()
    assert books.spent == Decimal("0.10")
    tokens = stream(books)
    next(tokens)
    with pytest.raises(ValueError, match="thrown"):
        tokens.throw(ValueError("thrown"))
    assert books.spent == Decimal("0.30")


def test_an_async_stream_that_is_closed(books):
    async def main():
        async with aclosing(async_stream(books)) as tokens:
            async for token in tokens:
                assert token == 0
                break

    asyncio.run(main())
    assert (books.spent, books.kinds) == (Decimal("0.10"), ["reserve", "default_settle"])


def test_an_async_stream_that_its_loop_closes(books):
    async def main():
        tokens = async_stream(books)
        assert await anext(tokens) == 0
        main.kept = tokens  # the loop ends, and closes what is left of its generators

    asyncio.run(main())
    assert books.spent == Decimal("0.10")


async def wait(books, **options):
    async with books.reserve(**TOLD, **options):
        await asyncio.sleep(60)


def test_a_task_that_is_cancelled(books):
    async def main():
        task = asyncio.create_task(wait(books))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert books.spent == Decimal("0.10")


@pytest.mark.parametrize("where", ["outside", "inside", "wait_for"])
def test_a_time_out_of_asyncio(books, where):
    async def main():
        if where == "outside":
            async with asyncio.timeout(0.001):
                await wait(books)
        elif where == "inside":
            async with books.reserve(**TOLD), asyncio.timeout(0.001):
                await asyncio.sleep(60)
        else:
            await asyncio.wait_for(wait(books), 0.001)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert books.spent == Decimal("0.10")


def test_a_group_of_tasks_of_which_one_fails(books):
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("the other")

    async def inside():
        async with books.reserve(**TOLD), asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def outside():
        async with asyncio.TaskGroup() as group:
            group.create_task(wait(books))
            group.create_task(fail())

    with pytest.raises(ExceptionGroup):
        asyncio.run(inside())
    assert books.spent == Decimal("0.20")  # an error of the work
    with pytest.raises(ExceptionGroup):
        asyncio.run(outside())
    assert books.spent == Decimal("0.30")  # cut off because of another


def test_a_task_of_trio_that_is_cancelled(books):
    async def work():
        async with books.reserve(**TOLD):
            await trio.sleep(60)

    async def main():
        with trio.move_on_after(0.001) as scope:
            await work()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert books.spent == Decimal("0.20")


def test_a_time_out_of_trio(books):
    async def main():
        async with books.reserve(**TOLD, cut_off=trio.TooSlowError):
            with trio.fail_after(0.001):
                await trio.sleep(60)

    with pytest.raises(trio.TooSlowError):
        trio.run(main)
    assert books.spent == Decimal("0.10")


def test_ctrl_c(books):
    with pytest.raises(KeyboardInterrupt), books.reserve(**TOLD):
        signal.raise_signal(signal.SIGINT)
    assert books.spent == Decimal("0.10")


# ---------------------------------------------------------------------------------------------- beside it


def throw_into(running):
    next(running)
    running.throw(ValueError("thrown"))


@pytest.mark.parametrize("close", ["settle", "release"])
def test_what_the_body_has_closed_stays_so(books, close):
    def work():
        with books.reserve(**TOLD) as reservation:
            books.settle(reservation, "0.05") if close == "settle" else reservation.release()
            yield

    running = work()
    next(running)
    running.close()
    with pytest.raises(ValueError, match="thrown"):
        throw_into(work())
    expected = ("0.10", ["reserve", "settle"]) if close == "settle" else ("0", ["reserve", "release"])
    assert (books.spent, books.kinds) == (Decimal(expected[0]), expected[1] * 2)


def test_on_error_that_is_refused_is_settled_as_far_as_it_was_reserved(books, leave):
    reservation = books.reserve(overage="allow_if_available", on_error=1000)
    error = ValueError("body")
    with pytest.raises(ValueError, match="body") as caught:
        leave(reservation, error)
    assert "cannot pay 999.5" in caught.value.__notes__[0]
    assert isinstance(caught.value.__context__, BudgetExceededError)
    assert (reservation.state, books.spent) == ("settled", Decimal("0.50"))


def test_on_error_below_a_strict_policy(books, leave):
    raised_by(leave, books.reserve(overage="reject", on_error="0.50", on_cancel="0.50"), ValueError())
    raised_by(leave, books.reserve(overage="reject", on_error="0.50", on_cancel="0.50"), KeyboardInterrupt())
    assert books.spent == 1


def test_on_error_beyond_what_is_there_is_a_fact(coordinator, leave):
    raised_by(leave, coordinator.reserve("bot", "0.5", on_error=3), ValueError())
    assert coordinator.get_budget("bot") == -2


def test_a_settlement_by_default_is_usage_as_any_other(coordinator):
    with (
        pytest.raises(TimeoutError),
        coordinator.reserve("bot", "0.5", operation_type="chat", on_cancel="0.1"),
    ):
        raise TimeoutError
    [usage] = coordinator.get_agent_usage_history("bot")
    assert (usage.amount, usage.operation_type, usage.source) == (Decimal("0.1"), "chat", "ledger")


def test_a_block_may_be_left_twice(coordinator):
    """By an `ExitStack`, or by hand."""
    reservation = coordinator.reserve("bot", "0.5", on_cancel="0.1")
    reservation.__enter__()
    reservation.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    reservation.__exit__(None, None, None)
    assert reservation.receipt.amount == Decimal("0.1")
    with pytest.raises(ReservationError, match="was settled for 0.1"):
        reservation.settle("0.2")
