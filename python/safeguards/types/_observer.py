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

    def on_low(self, agent_id: str) -> None:
        """An agent has less left than its pool is watched for."""
