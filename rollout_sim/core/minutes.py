"""Recorded minutes: what CloudWatch measured of a function, an alias or a version, a row for each minute (`minutes.csv`)."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import numpy as np

from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.files import open_regular, quoted
from rollout_sim.core.streams import Streams
from rollout_sim.core.yaml_io import listed, suggest

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0
COLUMNS: Final = (
    "invocations", "errors", "throttles", "duration_average_ms", "duration_p50_ms", "duration_p90_ms", "duration_p99_ms",
    "duration_max_ms", "concurrent_executions",
)  # fmt: skip
"""What is measured, as the file's columns are called; beside them stand `time`, `of` and `period_s`."""
_COUNTS: Final = ("invocations", "errors", "throttles")
_MAX_BYTES: Final = 1 << 29
_MAX_MINUTES: Final = 2 * 366 * 1440


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Minutes:
    """What was measured of one scope (`function`, `alias:prod`, `version:7`), minute by minute without a gap.

    The k-th minute begins `k * period` seconds after `start` (s since 1970, UTC). `columns` has an array of shape (minutes,)
    for each of `COLUMNS`, NaN where nothing was measured. `coarser` is how many rows of other periods were passed over.
    """

    of: str
    start: float
    period: float
    columns: dict[str, FloatArray]
    coarser: int = 0

    def __post_init__(self) -> None:
        for column in self.columns.values():
            column.flags.writeable = False  # every replication of every strategy reads the same ones

    @property
    def size(self) -> int:
        """How many minutes there are from the first to the last, the missing ones included."""
        return self.columns["invocations"].size

    @property
    def invocations(self) -> FloatArray:
        """Invocations of each minute: shape (minutes,); a minute without a datapoint had none."""
        return np.nan_to_num(self.columns["invocations"])

    @property
    def errors(self) -> FloatArray:
        """Errors of each minute: shape (minutes,), at most its invocations."""
        return np.minimum(np.nan_to_num(self.columns["errors"]), self.invocations)

    @property
    def error_share(self) -> float:
        """The share of all invocations that ended in an error."""
        total = float(self.invocations.sum())
        return float(self.errors.sum()) / total if total else 0.0

    @property
    def error_shares(self) -> FloatArray:
        """The share of each minute's invocations that ended in an error: shape (minutes,); `error_share` where there were none."""
        invocations = self.invocations
        return np.where(invocations > 0, self.errors / np.maximum(invocations, 1.0), self.error_share)

    @property
    def throttles(self) -> FloatArray:
        """Throttled attempts of each minute: shape (minutes,)."""
        return np.nan_to_num(self.columns["throttles"])

    @property
    def throttle_shares(self) -> FloatArray:
        """The share of each minute's attempts that was throttled: shape (minutes,); 0 where nobody called."""
        return self.throttles / np.maximum(self.invocations + self.throttles, 1.0)

    def index(self, moment: float) -> int:
        """The minute that holds a moment (s since 1970). Raises ValueError for one outside of the recording."""
        k = math.floor((moment - self.start) / self.period)
        if not 0 <= k < self.size:
            last = stamp_of(self.start + self.size * self.period)
            raise ValueError(f"{stamp_of(moment)} is not recorded; allowed {stamp_of(self.start)} to {last}")
        return k

    def between(self, first: int, stop: int) -> Minutes:
        """The minutes [first, stop) alone."""
        columns = {name: column[first:stop].copy() for name, column in self.columns.items()}
        return Minutes(of=self.of, start=self.start + first * self.period, period=self.period, columns=columns)


def drawn_rows(streams: Streams, spans: int, size: int, period: float, replications: int = 1) -> IntArray:
    """Which of `size` recorded periods (s) each of the first `spans` simulated ones is: shape (replications, spans).

    An hour is recorded periods one after the other, from any of them on; after the last one comes the first. Whatever draws from a
    recording (traffic, errors, durations, throttles) does it by the same draws, so that what was recorded together stays together.
    """
    together, places = max(round(HOUR / period), 1), np.arange(spans)
    hours = streams.generator("recorded hours").random(((spans - 1) // together + 1, replications)).T
    begins = (hours * size).astype(np.int64)
    return np.asarray((begins[:, places // together] + places % together) % size)


def stamp_of(moment: float) -> str:
    """A moment (s since 1970) as people write it, in UTC: `2026-11-24 14:00`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def iso_of(moment: float) -> str:
    """A moment (s since 1970) as `moment_of` reads it, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")


def moment_of(text: str) -> float:
    """The seconds since 1970 of an ISO 8601 time stamp such as `2026-11-24 14:00`, in UTC where it names no zone.

    Raises ValueError for anything else.
    """
    try:
        stamp = datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        raise ValueError(
            f"needs a moment in ISO 8601, in UTC unless it names a zone (2026-11-24 14:00), got {text!r}"
        ) from None
    return (stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)).timestamp()


def read_minutes(path: Path, of: str) -> Minutes:
    """The rows of `minutes.csv` that are about one scope, in the order of time; minutes without a row are missing.

    Where rows are of several periods, those of the shortest one that has invocations are read. Raises ValueError with file and line.
    """
    rows: dict[float, dict[float, list[float]]] = {}
    scopes: dict[str, None] = {}
    try:
        with TextIOWrapper(open_regular(path, _MAX_BYTES), encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            missing = [name for name in ("time", "of", "invocations", "errors") if name not in header]
            if missing:
                got = f"{len(header)} others" if header else "an empty file"
                raise ValueError(f"{path}:1: no column {', '.join(missing)}; got {got}{suggest(missing[0], header)}")
            places = [header.index(name) if name in header else -1 for name in COLUMNS]
            time, scope = header.index("time"), header.index("of")
            lasting = header.index("period_s") if "period_s" in header else -1
            for row in reader:
                if not row:
                    continue
                where = f"{path}:{reader.line_num}"
                if len(row) != len(header):
                    raise ValueError(f"{where}: has {len(row)} columns; the header has {len(header)}")
                scopes[row[scope].strip()] = None
                if row[scope].strip() != of:
                    continue
                try:
                    moment = moment_of(row[time])
                except ValueError as error:
                    raise ValueError(f"{where}: time: {error}") from None
                period = MINUTE if lasting < 0 else _figure(row[lasting], where, "period_s")
                period = MINUTE if math.isnan(period) else period
                if period < 1 or moment % period:
                    raise ValueError(f"{where}: time: needs a whole multiple of {period:g} s, got {quoted(row[time])}")
                held = rows.setdefault(period, {})
                if moment in held:
                    raise ValueError(f"{where}: a second row of {of!r} at {row[time].strip()}")
                held[moment] = [
                    math.nan if place < 0 else _figure(row[place], where, name)
                    for name, place in zip(COLUMNS, places, strict=True)
                ]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{path}: is not a CSV file of UTF-8 text") from None
    if not rows:
        has = f"; allowed {listed(scopes)}{suggest(of, list(scopes))}" if scopes else ""
        raise ValueError(f"{path}: holds no row of {of!r}{has}")
    return _gathered(path, of, rows)


def _gathered(path: Path, of: str, rows: dict[float, dict[float, list[float]]]) -> Minutes:
    """The rows of the shortest period with invocations, by their place in time; `rows` has them by period and moment (s)."""
    place = COLUMNS.index("invocations")
    counted = [lasting for lasting, some in rows.items() if not all(math.isnan(row[place]) for row in some.values())]
    period = min(counted or rows)
    held = rows[period]
    moments = np.array(sorted(held))
    places = np.round((moments - moments[0]) / period).astype(np.int64)
    if places[-1] >= _MAX_MINUTES:
        raise ValueError(f"{path}: spans {places[-1] + 1:,} periods; allowed {_MAX_MINUTES:,}")
    table = np.full((int(places[-1]) + 1, len(COLUMNS)), math.nan)
    table[places] = [held[moment] for moment in moments.tolist()]
    columns = {name: table[:, k].copy() for k, name in enumerate(COLUMNS)}
    return Minutes(
        of=of, start=float(moments[0]), period=period, columns=columns,
        coarser=sum(len(others) for lasting, others in rows.items() if lasting != period),
    )  # fmt: skip


def _figure(text: str, where: str, name: str) -> float:
    """A cell as a number from 0, NaN where it is empty. Raises ValueError for anything else."""
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0) or (name in _COUNTS and value != math.floor(value)):
        kind = "a whole number" if name in _COUNTS else "a number"
        raise ValueError(f"{where}: {name}: needs {kind} from 0, got {quoted(text)}")
    return value
