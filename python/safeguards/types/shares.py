"""What a fair division gives to one agent."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

__all__ = ["FairShare"]


@dataclass(frozen=True, slots=True)
class FairShare:
    """What one agent gets in a fair division of several resources.

    Attributes:
        tasks: how many tasks it can do, whole or not; rounded down to 9 decimal places.
        dominant_share: its part of the capacity of its dominant resource, 0 to 1.
        dominant_resource: the resource of which it gets the largest part, by weight; `None` if its tasks take
            nothing of any.
        limited_by: the resource that it needs and that is used up; `None` if it has all the tasks that it can
            use.
        allocation: how much it gets, by resource type: tasks times demand, rounded down to 9 decimal places.
    """

    tasks: Decimal
    dominant_share: float
    dominant_resource: str | None
    limited_by: str | None
    allocation: Mapping[str, Decimal]
