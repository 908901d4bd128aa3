"""`safeguards demo`: fifty callers at once, one small budget."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from safeguards._values.decimals import NOTHING, add, subtract, times
from safeguards.cli._screen import Cell, Column, Screen
from safeguards.core._threads import start_thread
from safeguards.core.budget_coordination import BudgetCoordinator
from safeguards.exceptions import ThreadStartError

CALLERS = 50
COST = Decimal("0.10")
BUDGET = Decimal("1.00")


def command(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; amounts are strings.")
    ] = False,
) -> None:
    """Let 50 callers with 0.10 each loose on a budget of 1.00.

    Threads, then asyncio tasks; each through a hand-written check-then-charge and through a reservation. The
    bill counts the calls that the model really answered.

    Exit codes: 0 the reservations admitted exactly 10 calls, 1 they did not.
    """
    scenes = [
        Scene("threads", "hand-written: check, charge", _threads(_HandWritten)),
        Scene("threads", "safeguards: reserve, settle", _threads(_Reserving)),
        Scene("asyncio", "hand-written: check, charge", _tasks(_HandWritten)),
        Scene("asyncio", "safeguards: reserve, settle", _tasks(_Reserving)),
    ]
    if as_json:
        for scene in scenes:
            scene.play()
        typer.echo(
            json.dumps({"budget": str(BUDGET), "scenes": [scene.to_dict() for scene in scenes]}, indent=2)
        )
    else:
        screen = Screen()
        with Live(
            get_renderable=lambda: _table(screen, scenes),
            console=screen.console,
            refresh_per_second=20,
            transient=True,
            vertical_overflow="visible",
        ):
            for scene in scenes:
                scene.play()
        screen.show(_table(screen, scenes))
    raise typer.Exit(0 if all(scene.is_exact for scene in scenes if scene.is_ours) else 1)


@dataclass
class Scene:
    """One way to guard a budget, under one kind of concurrency."""

    concurrency: str
    guard: str
    stage: "Callable[[Scene], None]"
    answered: int = 0
    refused: int = 0
    books: Decimal = NOTHING
    lock: threading.Lock = field(default_factory=threading.Lock)

    def play(self) -> None:
        """Runs it, in a third of a second."""
        self.stage(self)

    def count(self, *, is_answered: bool) -> None:
        """Counts one caller that is done."""
        with self.lock:
            self.answered += is_answered
            self.refused += not is_answered

    @property
    def is_ours(self) -> bool:
        """Whether the library guards the budget."""
        return self.guard.startswith("safeguards")

    @property
    def bill(self) -> Decimal:
        """What the answered calls cost, whatever any books say."""
        return times(COST, self.answered)

    @property
    def overspent(self) -> Decimal:
        """How much more that is than the budget."""
        return max(subtract(self.bill, BUDGET), Decimal("0.00"))

    @property
    def is_exact(self) -> bool:
        """Whether as many calls were answered as the budget pays for, and the books say so."""
        return self.bill == BUDGET == self.books and self.answered + self.refused == CALLERS

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "concurrency": self.concurrency,
            "guard": self.guard,
            "answered": self.answered,
            "refused": self.refused,
            "bill": str(self.bill),
            "overspent": str(self.overspent),
        }


class _HandWritten:
    """What people write: look whether there is money, do the work, charge it. Each step is atomic."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.spent = NOTHING

    def admit(self) -> bool:
        with self.lock:
            return add(self.spent, COST) <= BUDGET

    def charge(self, _admission: bool) -> None:
        with self.lock:
            self.spent = add(self.spent, COST)


class _Reserving:
    """Set the money aside, do the work, settle."""

    def __init__(self) -> None:
        self.coordinator = BudgetCoordinator()
        pool = self.coordinator.create_budget_pool("demo", BUDGET)
        self.agent = self.coordinator.register_agent("agent", pool, initial_budget=BUDGET)

    @property
    def spent(self) -> Decimal:
        return self.coordinator.get_agent_metrics(self.agent).spent

    def admit(self) -> Any:
        return self.coordinator.try_reserve(self.agent, COST)

    def charge(self, admission: Any) -> None:
        admission.settle(COST)


def _model_seconds(number: int) -> float:
    """How long the model takes to answer a caller."""
    return 0.05 + 0.005 * number


def _threads(guard_type: Callable[[], Any]) -> Callable[[Scene], None]:
    def stage(scene: Scene) -> None:
        guard = guard_type()
        start = threading.Barrier(CALLERS)

        def caller(number: int) -> None:
            try:
                start.wait()
            except threading.BrokenBarrierError:
                return
            admission = guard.admit()
            if admission:
                time.sleep(_model_seconds(number))
                guard.charge(admission)
            scene.count(is_answered=bool(admission))

        threads: list[threading.Thread] = []
        try:
            threads.extend(start_thread(f"caller-{number}", caller, number) for number in range(CALLERS))
        except ThreadStartError:
            start.abort()  # the others wait for all
            raise
        for thread in threads:
            thread.join()
        scene.books = guard.spent

    return stage


def _tasks(guard_type: Callable[[], Any]) -> Callable[[Scene], None]:
    async def all_callers(scene: Scene) -> None:
        guard = guard_type()

        async def caller(number: int) -> None:
            admission = guard.admit()
            if admission:
                await asyncio.sleep(_model_seconds(number))
                guard.charge(admission)
            scene.count(is_answered=bool(admission))

        await asyncio.gather(*(caller(number) for number in range(CALLERS)))
        scene.books = guard.spent

    return lambda scene: asyncio.run(all_callers(scene))


def _table(screen: Screen, scenes: list[Scene]) -> RenderableType:
    columns = [Column(""), Column("guard")]
    columns += [Column(name, is_figure=True) for name in ("answered", "refused", "bill", "overspent")]
    rows: list[list[Cell | str]] = []
    for scene in scenes:
        colour = "bold red" if scene.overspent else "green" if scene.is_exact else "dim"
        figures = (str(scene.answered), str(scene.refused), str(scene.bill), str(scene.overspent))
        rows.append([scene.concurrency, scene.guard, *(Cell(figure, colour) for figure in figures)])
    title = f"{CALLERS} callers at once, {COST} each, a budget of {BUDGET}"
    return screen.laid_out(columns, rows, title)
