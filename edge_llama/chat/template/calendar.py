"""Calendar: which day it is, as models are told."""

from __future__ import annotations

import datetime
from collections.abc import Callable

FIXED = datetime.date(2024, 7, 26)
"""The date of Llama 3.1's own template."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Calendar:
    """Which day it is, as models are told. It changes at most once a day, so that prompts share
    their beginning.

    Args:
        date: as in `PromptSettings`.
        today: the day that it really is, here.
    """

    def __init__(
        self, date: str = "auto", today: Callable[[], datetime.date] = datetime.date.today
    ) -> None:
        self._date = date
        self._today = today

    def day(self, *, asked: bool) -> datetime.date:
        """
        Args:
            asked: the template asks for today's date, where it is told none.
        """
        if self._date == "today" or (self._date == "auto" and asked):
            return self._today()
        if self._date in ("auto", "fixed"):
            return FIXED
        return datetime.date.fromisoformat(self._date)


def written(day: datetime.date) -> str:
    """As Llama 3's templates write it: `26 Jul 2024`."""
    return f"{day.day:02} {_MONTHS[day.month - 1]} {day.year}"
