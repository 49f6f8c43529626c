"""Clock: time stamps of other tools as seconds since 1970, those without a zone by the zone that the user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

_MILLISECONDS: Final = 1e11
"""Numbers above it are milliseconds since 1970, not seconds."""
_SECONDS: Final = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+]?\d+)?")
_FORMS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y, %I:%M:%S %p",
    "%b %d %Y %H:%M:%S",
)


def zone_of(name: str) -> tzinfo:
    """The zone of a name such as `Europe/Berlin`. Raises ValueError for one that there is not."""
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"got {name!r}; allowed UTC or a zone's name such as Europe/Berlin") from None


@dataclass(slots=True, kw_only=True)
class Clock:
    """Reads the time stamps of one file; `remarks` is what had to be assumed."""

    zone: tzinfo
    named: bool
    """Whether the user named the zone, or it is a guess."""
    remarks: list[str]
    source: str

    def read(self, texts: Sequence[object]) -> list[int]:
        """The seconds since 1970 of time stamps in the order of the file. Raises ValueError with the first that is none.

        An hour that a clock shows twice (the end of summer time) is the first one at first, and the second one when a local
        time of it comes again.
        """
        times, seen = [], set()
        for text in texts:
            value, local = self._one(text)
            if local is not None:
                if local in seen and _ambiguous(local, self.zone):
                    value = _utc(local.replace(fold=1), self.zone)
                seen.add(local)
            times.append(value)
        return times

    def _one(self, text: object) -> tuple[int, datetime | None]:
        """A time stamp's seconds, and its local time where it names no zone."""
        if isinstance(text, int | float) and not isinstance(text, bool):
            return _epoch(float(text)), None
        written = str(text).strip()
        if _SECONDS.fullmatch(written):
            return _epoch(float(written)), None
        moment = _parsed(written)
        if moment is None:
            raise ValueError(f"{written[:40]!r} is no time; allowed ISO 8601 or seconds or milliseconds since 1970")
        if moment.tzinfo is not None:
            return int(moment.timestamp()), None
        if not self.named:
            self._remark("its times name no zone and are taken as UTC; say another one with --timezone")
        value = _utc(moment, self.zone)
        if datetime.fromtimestamp(value, self.zone).replace(tzinfo=None, fold=0) != moment:
            self._remark(
                f"{moment.date()} has times that do not exist in its zone (summer time begins); they are taken an hour later"
            )
        elif _ambiguous(moment, self.zone):
            self._remark(
                "an hour comes twice in its zone (summer time ends); in the file's order the first one is the earlier"
            )
        return value, moment

    def _remark(self, what: str) -> None:
        if f"{self.source}: {what}" not in self.remarks:
            self.remarks.append(f"{self.source}: {what}")


def _epoch(value: float) -> int:
    if not abs(value) < 1e15:
        raise ValueError(f"{value:g} is no time; allowed seconds or milliseconds since 1970")
    return int(value / 1000 if value > _MILLISECONDS else value)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is put on by whoever reads it
        except ValueError:
            continue
    return None


def _utc(local: datetime, zone: tzinfo) -> int:
    return int(local.replace(tzinfo=zone).timestamp())


def _ambiguous(local: datetime, zone: tzinfo) -> bool:
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    first = local.replace(tzinfo=zone, fold=0).utcoffset()
    return first is not None and second is not None and first - second > timedelta(0)
