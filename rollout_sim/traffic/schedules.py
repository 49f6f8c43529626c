"""Schedules: EventBridge's `cron(...)` and `rate(...)`, and the moments at which their events come.

The rules are those of AWS's user guides for EventBridge and EventBridge Scheduler. Moments are seconds since 1970.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

_RATE: Final = re.compile(r"rate\(\s*(\d{1,9})\s+(minute|hour|day)(s?)\s*\)")
_UNITS: Final = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
_MONTHS: Final = ("", *(name.upper() for name in calendar.month_abbr[1:]))
_DAYS: Final = ("", "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = ("minutes", "hours", "day of month", "month", "day of week", "year")
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2199
_FOUR_YEARS: Final = 1461
_DAY: Final = 86400.0


class Schedule(Protocol):
    """When the events of a schedule come."""

    def moments(self, begin: float, zone: ZoneInfo) -> Iterator[float]:
        """The moments from `begin` on, one after the other, by the clocks of a time zone."""
        ...

    def mean_rate(self, begin: float) -> float:
        """Events per second in the four years from `begin` on."""
        ...


def schedule_of(expression: str, *, scheduler: bool = False) -> Schedule:
    """The schedule of `rate(5 minutes)`, of `cron(0 9 ? * MON-FRI *)`, or of the six fields of the latter alone.

    Raises ValueError, with the expression in it, for anything that EventBridge refuses and for what never comes. What is of
    `scheduler`, EventBridge Scheduler, may have the unit of a rate in either number.
    """
    words = expression.strip()
    if words.startswith("rate("):
        return _rate(expression, words, scheduler=scheduler)
    if words.startswith("cron(") and words.endswith(")"):
        words = words.removeprefix("cron(").removesuffix(")")
    fields = words.split()
    if len(fields) != len(_FIELDS) or "(" in words:
        raise ValueError(
            f"needs the six fields of EventBridge's cron ({', '.join(_FIELDS)}; 0 9 ? * MON-FRI *), "
            f"or a rate such as rate(5 minutes), got {expression!r}"
        )
    try:
        cron = _cron(fields)
    except ValueError as error:
        raise ValueError(f"{error}, in {expression!r}") from None
    if next(cron.days(date(_FIRST_YEAR, 1, 1)), None) is None:
        raise ValueError(f"never comes, got {expression!r}")
    return cron


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A schedule that comes `every` so many seconds, whatever the clocks do; the first time as it begins."""

    every: float

    @property
    def expression(self) -> str:
        """As EventBridge writes it, in the largest unit that divides it."""
        unit = next(unit for unit in reversed(_UNITS) if self.every % _UNITS[unit] == 0)
        value = round(self.every / _UNITS[unit])
        return f"rate({value} {_unit(value, unit)})"

    def moments(self, begin: float, zone: ZoneInfo) -> Iterator[float]:
        """The moments from `begin` on."""
        del zone  # a rate knows no clocks
        number = 0
        while True:
            yield begin + number * self.every
            number += 1

    def mean_rate(self, begin: float) -> float:
        """Events per second."""
        del begin  # the same at all times
        return 1 / self.every


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A schedule by the clock: `hours` and `minutes` of each day that `comes` accepts, in some `months` and `years`."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: tuple[int, ...]
    comes: Callable[[date], bool]

    def days(self, first: date) -> Iterator[date]:
        """The days from the `first` on."""
        for year in self.years:
            for month in range(1, 13):
                if (year, month) < (first.year, first.month) or month not in self.months:
                    continue
                for number in range(1, calendar.monthrange(year, month)[1] + 1):
                    day = date(year, month, number)
                    if day >= first and self.comes(day):
                        yield day

    def moments(self, begin: float, zone: ZoneInfo) -> Iterator[float]:
        """The moments from `begin` on; an hour that the clocks leave out is skipped, one that they repeat counts once."""
        for day in self.days(datetime.fromtimestamp(begin, zone).date()):
            for hour in self.hours:
                for minute in self.minutes:
                    shown = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                    moment = shown.timestamp()
                    if moment >= begin and datetime.fromtimestamp(moment, zone).time() == shown.time():
                        yield moment

    def mean_rate(self, begin: float) -> float:
        """Events per second in the four years from `begin` on."""
        first = datetime.fromtimestamp(begin, UTC).date()
        end = first + timedelta(days=_FOUR_YEARS)
        number = 0
        for day in self.days(first):
            if day >= end:
                break
            number += 1
        return number * len(self.hours) * len(self.minutes) / (_FOUR_YEARS * _DAY)


def _rate(expression: str, words: str, *, scheduler: bool) -> Rate:
    match = _RATE.fullmatch(words)
    if match is None:
        what = "a rate is a whole number of minutes, hours or days, such as rate(5 minutes)"
        raise ValueError(f"{what}, got {expression!r}")
    value, unit = int(match[1]), match[2]
    if value == 0:
        raise ValueError(f"a rate is at least 1, got {expression!r}")
    if not scheduler and (match[3] == "s") != (value > 1):
        raise ValueError(f"the unit after {value} must be {_unit(value, unit)}, got {expression!r}")
    return Rate(every=value * _UNITS[unit])


def _unit(value: int, unit: str) -> str:
    """The unit in the number that EventBridge's rules take beside a value."""
    return unit if value == 1 else f"{unit}s"


def _cron(fields: list[str]) -> Cron:
    """The schedule of six fields. Raises ValueError with the field that cannot be read."""
    minutes, hours, of_month, month, of_week, year = (field.upper() for field in fields)
    if (of_month == "?") == (of_week == "?"):
        raise ValueError("one of the day of month and the day of week must be ?")
    return Cron(
        minutes=tuple(sorted(_values(_FIELDS[0], minutes, 0, 59))),
        hours=tuple(sorted(_values(_FIELDS[1], hours, 0, 23))),
        months=frozenset(_values(_FIELDS[3], month, 1, 12, _MONTHS)),
        years=tuple(sorted(_values(_FIELDS[5], year, _FIRST_YEAR, _LAST_YEAR))),
        comes=_by_month(of_month) if of_week == "?" else _by_week(of_week),
    )


def _values(name: str, field: str, low: int, high: int, names: tuple[str, ...] = ()) -> set[int]:
    """The numbers that one field allows. Raises ValueError."""

    def refused(part: str) -> ValueError:
        allowed = f"{low} to {high}{f' or {names[1]} to {names[-1]}' if names else ''}"
        return ValueError(f"the {name} must be {allowed}, with , - * and /, got {part!r}")

    def number(text: str) -> int:
        value = names.index(text) if text in names[1:] else int(text) if re.fullmatch(r"\d{1,4}", text) else -1
        if not low <= value <= high:
            raise refused(text)
        return value

    result: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if slash and not (re.fullmatch(r"\d{1,4}", step) and 1 <= int(step) <= high):
            raise refused(part)
        if span == "*":
            begin, end = low, high
        elif dash:
            begin, end = number(first), number(last)
        else:
            begin = number(span)
            end = high if slash else begin
        every = int(step) if slash else 1
        if begin > end:  # SAT-MON, 22-2
            result.update(
                ((value - low) % (high - low + 1)) + low for value in range(begin, end + high - low + 2, every)
            )
        else:
            result.update(range(begin, end + 1, every))
    return result


def _by_month(field: str) -> Callable[[date], bool]:
    """Which days the field of the day of month takes: `L` is the last one, `15W` the weekday nearest to the 15th."""
    if field == "L":
        return lambda day: day.day == calendar.monthrange(day.year, day.month)[1]
    if field == "LW":
        return lambda day: day == _weekday_by(day, calendar.monthrange(day.year, day.month)[1])
    nearest = re.fullmatch(r"(\d{1,2})W", field)
    if nearest is not None:
        (wanted,) = _values(_FIELDS[2], nearest[1], 1, 31)
        return lambda day: day == _weekday_by(day, wanted)
    numbers = _values(_FIELDS[2], field, 1, 31)
    return lambda day: day.day in numbers


def _weekday_by(day: date, number: int) -> date | None:
    """The day from Monday to Friday nearest to the `number`-th of the month of `day`, in that month; None where it has fewer days."""
    last = calendar.monthrange(day.year, day.month)[1]
    if number > last:
        return None
    wanted = day.replace(day=number)
    off = {5: -1 if number > 1 else 2, 6: 1 if number < last else -2}.get(wanted.weekday(), 0)
    return wanted + timedelta(days=off)


def _by_week(field: str) -> Callable[[date], bool]:
    """Which days the field of the day of week takes: `L` is Saturday, `6L` the month's last Friday, `FRI#2` its second one."""
    if field == "L":
        field = "SAT"
    single = re.fullmatch(r"(\w+?)(?:#([1-5])|L)", field)
    if single is not None and "-" not in field:
        numbers, nth = _values(_FIELDS[4], single[1], 1, 7, _DAYS), single[2]
        if nth is None:
            return lambda day: _of_week(day) in numbers and day.day > calendar.monthrange(day.year, day.month)[1] - 7
        return lambda day: _of_week(day) in numbers and (day.day - 1) // 7 + 1 == int(nth)
    numbers = _values(_FIELDS[4], field, 1, 7, _DAYS)
    return lambda day: _of_week(day) in numbers


def _of_week(day: date) -> int:
    """Sunday is 1, Saturday 7."""
    return day.isoweekday() % 7 + 1
