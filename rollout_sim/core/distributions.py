"""Distributions of durations and sizes: inverse transforms of one uniform, so that common random numbers hold."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rollout_sim.core import units
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.fields import Codec, Quantity
from rollout_sim.core.files import FileReader, open_regular, quoted
from rollout_sim.core.normal import quantile
from rollout_sim.core.yaml_io import suggest

MAX_SAMPLES: Final = 10_000_000
MAX_SAMPLE_BYTES: Final = 1 << 30
_Z99: Final = 2.3263478740408408
"""The 99th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution of non-negative values, in seconds or megabytes.

    `kind` is a key of `PARAMETERS`, or `constant` (one parameter, the value), or `empirical`; `parameters` are its numbers
    in that order. An empirical one holds its sorted `samples` and where they came from: `file` has the file's name, its
    column and its unit, as written in the scenario. Raises ValueError for parameters that are no distribution.
    """

    kind: str
    parameters: tuple[float, ...] = ()
    samples: tuple[float, ...] = ()
    file: tuple[str, str, str] = ("", "", "")

    PARAMETERS: ClassVar[dict[str, tuple[str, ...]]] = {
        "exponential": ("mean",),
        "lognormal": ("median", "p99"),
        "gamma": ("mean", "sd"),
        "uniform": ("low", "high"),
    }

    def __post_init__(self) -> None:
        a, b = (*self.parameters, 0.0, 0.0)[:2]
        if self.kind in ("exponential", "lognormal", "gamma") and a <= 0:
            raise ValueError(f"`{self.PARAMETERS[self.kind][0]}` must be above zero, got {a:g}")
        if self.kind == "lognormal" and b <= a:
            raise ValueError(f"`p99` must lie above `median`, got {b:g} and {a:g}")
        if self.kind == "gamma" and b <= 0:
            raise ValueError(f"`sd` must be above zero, got {b:g}")
        if self.kind == "uniform" and b <= a:
            raise ValueError(f"`high` must lie above `low`, got {b:g} and {a:g}")

    @property
    def sigma(self) -> float:
        """The standard deviation of a lognormal's logarithm."""
        return math.log(self.parameters[1] / self.parameters[0]) / _Z99

    @property
    def mean(self) -> float:
        """The expected value."""
        if self.kind == "empirical":
            return float(np.mean(self.samples))
        if self.kind == "lognormal":
            return self.parameters[0] * math.exp(self.sigma**2 / 2)
        if self.kind == "uniform":
            return math.fsum(self.parameters) / 2
        return self.parameters[0]

    def ppf(self, u: FloatArray, normal: Callable[[FloatArray], FloatArray] = quantile) -> FloatArray:
        """The values (s or MB) below which the shares `u` in [0, 1) lie, elementwise; they rise with `u`, but for a last bit.

        `normal` are the quantiles of the standard normal distribution, or another function with the same result.
        """
        result: NDArray[Any]
        p = self.parameters
        if self.kind == "constant":
            return np.full(np.shape(u), p[0])
        if self.kind == "exponential":
            return -p[0] * np.log1p(-u)
        if self.kind == "lognormal":
            result = p[0] * np.exp(self.sigma * normal(u))
        elif self.kind == "gamma":
            from scipy.special import gammaincinv

            result = gammaincinv((p[0] / p[1]) ** 2, u) * (p[1] ** 2 / p[0])
        elif self.kind == "uniform":
            result = p[0] + (p[1] - p[0]) * u
        else:
            result = np.array(self.samples)[(np.asarray(u) * len(self.samples)).astype(int)]
        return np.asarray(result, np.float64)

    def cdf(self, x: FloatArray) -> FloatArray:
        """The shares of values at or below `x` (s or MB), elementwise."""
        from scipy.special import gammainc, ndtr

        x = np.asarray(x, float)
        p = self.parameters
        positive = np.maximum(x, 0.0)
        result: NDArray[Any]
        if self.kind == "constant":
            result = (x >= p[0]).astype(float)
        elif self.kind == "exponential":
            result = -np.expm1(-positive / p[0])
        elif self.kind == "lognormal":
            with np.errstate(divide="ignore"):
                result = ndtr(np.log(positive / p[0]) / self.sigma)
        elif self.kind == "gamma":
            result = gammainc((p[0] / p[1]) ** 2, positive * p[0] / p[1] ** 2)
        elif self.kind == "uniform":
            result = np.clip((x - p[0]) / (p[1] - p[0]), 0.0, 1.0)
        else:
            result = np.searchsorted(np.array(self.samples), x, side="right") / len(self.samples)
        return np.asarray(result, np.float64)

    def with_files(self, folder: Path, unit: str, files: FileReader) -> Distribution:
        """This distribution with its samples, if it is an empirical one, which `files` reads.

        The file's name is relative to `folder`; its numbers are in `unit` unless the scenario names another one.
        Raises ValueError for a file that cannot be read or holds anything but numbers from 0.
        """
        if self.kind != "empirical" or self.samples:
            return self
        name, column, given = self.file
        samples = files.read(read_samples, folder / name, column, given or unit)
        return Distribution("empirical", (), samples, self.file)


class Times(Protocol):
    """What there is to know of how long something takes: a `Distribution` (s), or all that was recorded together."""

    @property
    def mean(self) -> float:
        """As `Distribution.mean`."""
        ...

    def ppf(self, u: FloatArray) -> FloatArray:
        """As `Distribution.ppf`."""
        ...

    def cdf(self, x: FloatArray) -> FloatArray:
        """As `Distribution.cdf`."""
        ...


def Constant(value: float) -> Distribution:  # noqa: N802 - reads like the other distributions
    """The distribution that is always `value` (s or MB)."""
    return Distribution("constant", (value,))


def read_samples(path: Path, column: str, unit: str) -> tuple[float, ...]:
    """The sorted samples (s or MB) in one column of a CSV file, the first one where `column` is empty.

    Raises ValueError with file and line.
    """
    kind = "size" if unit in units.UNITS["size"] else "duration"
    if unit not in units.UNITS[kind]:
        raise ValueError(f"{path}: unknown unit {unit!r}; allowed {', '.join(units.UNITS['duration'])}")
    scale = float(units.UNITS[kind][unit])
    samples = []
    try:
        with TextIOWrapper(open_regular(path, MAX_SAMPLE_BYTES), encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            place = 0
            if column:
                header = [name.strip() for name in next(rows, [])]
                if column not in header:
                    raise ValueError(
                        f"{path}:1: no column {column!r}; got {len(header)} others{suggest(column, header)}"
                    )
                place = header.index(column)
            for row in rows:
                if not row:
                    continue
                text = row[place] if place < len(row) else ""
                try:
                    value = float(text)
                except ValueError:
                    value = math.nan
                if not (math.isfinite(value) and value >= 0):
                    raise ValueError(f"{path}:{rows.line_num}: a sample is a number from 0, got {quoted(text)}")
                samples.append(value * scale)
                if len(samples) > MAX_SAMPLES:
                    raise ValueError(f"{path}: more than {MAX_SAMPLES} samples")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise ValueError(f"{path}: cannot be read: is no CSV file of UTF-8 text") from None
    if not samples:
        raise ValueError(f"{path}: holds no samples")
    return tuple(sorted(samples))


class DistributionCodec(Codec):
    """`350 ms` (always that long) or `{lognormal: {...}}` for a `Distribution`; `kind` is a key of `units.UNITS`."""

    def __init__(self, kind: str, example: str) -> None:
        self.kind = kind
        self.example = example
        self.quantity = Quantity(kind=kind)

    def read(self, value: object) -> Distribution:
        """The distribution that stands in the file. Raises ValueError naming the field that is wrong."""
        if isinstance(value, Distribution):
            return value
        if not isinstance(value, dict):
            return Distribution("constant", (self.quantity.read(value),))
        allowed = (*Distribution.PARAMETERS, "empirical")
        if len(value) != 1 or next(iter(value)) not in allowed:
            got = ", ".join(map(str, value)) or "none"
            if "base" in value:
                raise ValueError(
                    f"`base` takes `per_record` beside it and nothing else, in a version's `duration`, got {got}"
                )
            raise ValueError(f"a distribution is a plain {self.kind} or exactly one of {', '.join(allowed)}, got {got}")
        name, fields = next(iter(value.items()))
        if not isinstance(fields, dict):
            raise ValueError(f"`{name}` takes named values, got {fields!r}")
        if name == "empirical":
            return self._empirical(fields)
        return Distribution(name, self._numbers(name, fields, self.quantity.read))

    def _numbers(self, name: str, fields: dict[Any, Any], check: Callable[[object], float]) -> tuple[float, ...]:
        wanted = Distribution.PARAMETERS[name]
        if set(fields) != set(wanted):
            raise ValueError(f"`{name}` takes {' and '.join(wanted)}, got {', '.join(map(str, fields)) or 'none'}")
        numbers = []
        for key in wanted:
            try:
                numbers.append(check(fields[key]))
            except ValueError as error:
                raise ValueError(f"`{name}.{key}`: {error}") from None
        return tuple(numbers)

    def _empirical(self, fields: dict[Any, Any]) -> Distribution:
        if not set(fields) <= {"file", "column", "unit"} or not isinstance(fields.get("file"), str):
            raise ValueError(f"`empirical` takes file, column and unit, got {', '.join(map(str, fields)) or 'none'}")
        return Distribution(
            "empirical", (), (), (fields["file"], str(fields.get("column", "")), str(fields.get("unit", "")))
        )

    def write(self, value: Distribution) -> object:
        """What `read` turns back into an equal distribution; of an empirical one the file, not its samples."""
        texts = [self.quantity.write(number) for number in value.parameters]
        if value.kind == "constant":
            return texts[0]
        if value.kind == "empirical":
            return {"empirical": {k: v for k, v in zip(("file", "column", "unit"), value.file, strict=True) if v}}
        return {value.kind: dict(zip(Distribution.PARAMETERS[value.kind], texts, strict=True))}

    def schema(self) -> dict[str, Any]:
        """A text, or a mapping with the parameters of one kind of distribution."""
        text = {"type": "string", "examples": [self.example]}
        shapes: list[dict[str, Any]] = [
            {
                "type": "object",
                "additionalProperties": False,
                "required": [name],
                "properties": {
                    name: {
                        "type": "object",
                        "additionalProperties": False,
                        "required": list(fields),
                        "properties": dict.fromkeys(fields, text),
                    }
                },
            }
            for name, fields in Distribution.PARAMETERS.items()
        ]
        file = {
            "type": "object",
            "required": ["file"],
            "properties": {name: {"type": "string"} for name in ("file", "column", "unit")},
        }
        shapes.append({"type": "object", "required": ["empirical"], "properties": {"empirical": file}})
        return {"anyOf": [text, {"const": 0}, *shapes]}


DurationDistribution = Annotated[Distribution, DistributionCodec("duration", "350 ms")]
SizeDistribution = Annotated[Distribution, DistributionCodec("size", "3 MB")]
