"""Who is told what the books have come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Observer"]


class Observer(Protocol):
    """What a ledger calls after its books are written.

    An `Exception` that it raises never fails an operation.
    """

    def on_crossing(
        self,
        *,
        kind: str,
        account: str | None,
        resource: str | None,
        threshold: float,
        granted: Decimal,
        spent: Decimal,
    ) -> None:
        """A charge has crossed a threshold.

        Args:
            kind: `"agent"`, `"pool"`, or `"capacity"` of a resource.
            account: id of the agent or pool; None for a capacity, which all agents share.
            resource: the resource type; None for money.
            threshold: the share of the period's budget that was crossed, such as 0.8.
            granted: what was granted in the period.
            spent: what is spent of it by now.
        """

    def on_refusing(
        self, *, kind: str, account: str, refusals: int, asked_by: str, operation_type: str | None
    ) -> None:
        """An account refuses more often than it may without a word.

        Args:
            kind: `"agent"` or `"pool"`.
            account: its id.
            refusals: how many there were in the last minute.
            asked_by: the agent that was refused last.
            operation_type: what for, if it was told.
        """

    def on_low(self, agent_id: str) -> None:
        """An agent has less left than its pool is watched for."""
