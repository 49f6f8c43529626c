"""Schedules: EventBridge's `rate(...)` and `cron(...)` as the beat with which events come."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

_RATE: Final = re.compile(r"rate\(\s*(\d{1,9})\s+(minute|hour|day)s?\s*\)")
_CRON: Final = re.compile(r"cron\(\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)(?:\s+(\S+))?\s*\)")
_UNITS: Final = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_MONTHS: Final = [name.upper() for name in calendar.month_abbr]
_DAYS: Final = ["", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_DAY: Final = 86400
_FIRST: Final = date(2026, 1, 1)
_YEAR: Final = 365


def beat(expression: str) -> tuple[float, bool]:
    """The seconds between two events of a schedule, and whether they come as evenly as that.

    Raises ValueError for what is no schedule, for one that never comes, and for `at(...)`, which comes once.
    """
    match = _RATE.fullmatch(expression.strip())
    if match is not None:
        every = int(match[1]) * _UNITS[match[2]]
        if every == 0:
            raise ValueError(f"got {expression!r}; a rate is at least 1")
        return every, True
    cron = _CRON.fullmatch(expression.strip())
    if cron is None:
        raise ValueError(f"got {expression!r}; allowed rate(...) and cron(...)")
    try:
        minutes, hours = _values(cron[1], 0, 59, []), _values(cron[2], 0, 23, [])
        months = _values(cron[4], 1, 12, _MONTHS)
        days = [day for day in _days_of_the_year() if day.month in months and _comes(day, cron[3], cron[5])]
    except ValueError:
        raise ValueError(f"got {expression!r}, whose fields cannot be read") from None
    instants = [hour * 3600 + minute * 60 for hour in sorted(hours) for minute in sorted(minutes)]
    if not instants or not days:
        raise ValueError(f"got {expression!r}, which never comes")
    within = {later - earlier for earlier, later in pairwise([*instants, instants[0] + _DAY])}
    even = len(days) == _YEAR and len(within) == 1
    return (within.pop() if even else _YEAR * _DAY / (len(days) * len(instants))), even


def _days_of_the_year() -> list[date]:
    return [_FIRST + timedelta(days=day) for day in range(_YEAR)]


def _values(field: str, low: int, high: int, names: list[str]) -> set[int]:
    """The numbers that one field of a cron expression allows. Raises ValueError."""

    def number(text: str) -> int:
        value = names.index(text.upper()) if text.upper() in names else int(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    result: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span in ("*", "?", ""):
            first, last = low, high
        elif "-" in span:
            first, last = (number(end) for end in span.split("-"))
        else:
            first = number(span)
            last = high if step else first
        every = int(step) if step else 1
        result.update(
            range(first, last + 1, every) if first <= last else (*range(first, high + 1), *range(low, last + 1))
        )
    return result


def _comes(day: date, of_month: str, of_week: str) -> bool:
    """Whether a day fits both fields; `L`, `W` and `#` pick one day of a month."""
    last = calendar.monthrange(day.year, day.month)[1]
    number = day.isoweekday() % 7 + 1
    if of_week not in ("*", "?"):
        nth = re.fullmatch(r"(\w+)#([1-5])", of_week)
        final = re.fullmatch(r"(\w+)L", of_week.upper())
        if nth is not None:
            return number in _values(nth[1], 1, 7, _DAYS) and (day.day - 1) // 7 + 1 == int(nth[2])
        if final is not None:
            return number in _values(final[1], 1, 7, _DAYS) and day.day > last - 7
        return number in (_values(of_week, 1, 7, _DAYS) if of_week.upper() != "L" else {7})
    if of_month.upper().startswith("L"):
        return day.day == last
    if of_month.upper().endswith("W"):
        return day.day == int(of_month[:-1])
    return day.day in _values(of_month, 1, 31, [])
