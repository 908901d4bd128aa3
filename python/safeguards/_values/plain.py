"""Values as JSON knows them."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

__all__ = ["plain"]


def plain(value: object) -> Any:
    """A value as text, numbers, lists and dicts, ready for JSON.

    Amounts are decimal text and enums their names; times are ISO 8601, and stretches of time seconds. Numbers
    that JSON does not know are `"inf"`, `"-inf"` and `"nan"`. What is none of that is its text.
    """
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _told(value)


def _told(value: object) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _plain_many(value)


def _plain_many(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in list(value)}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list | tuple | AbstractSet):
        return [plain(each) for each in value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    to_list = getattr(value, "tolist", None)
    if callable(to_list) and not isinstance(value, type):  # an array of numpy, or one of its scalars
        return plain(to_list())
    to_dict = getattr(value, "to_dict", None)
    return to_dict() if callable(to_dict) and not isinstance(value, type) else str(value)
