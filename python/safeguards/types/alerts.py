"""What a notification says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from safeguards._values.plain import plain
from safeguards.types.enums import AlertSeverity

__all__ = ["Alert"]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know.

    Attributes:
        title: one line.
        message: what happened, and what to do.
        severity: how soon somebody should look.
        time: when, aware, in UTC; `None` until it was sent.
        account: id of the agent or pool that it is about, if any.
        details: facts for programs.
    """

    title: str
    message: str = ""
    severity: AlertSeverity = AlertSeverity.WARNING
    time: datetime | None = None
    account: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def to_dict(self) -> dict[str, Any]:
        """Its fields as plain values, ready for JSON: amounts as decimal text, the time as ISO 8601.

        Example:
            >>> Alert("Prices", severity=AlertSeverity.INFO, details={"model": "x"}).to_dict()
            {'title': 'Prices', 'message': '', 'severity': 'INFO', 'time': None, 'account': None, \
'details': {'model': 'x'}}
        """
        return {name: plain(getattr(self, name)) for name in self.__slots__}
