"""Fields of the scenario file's dataclasses: quantities with units, and counts with bounds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, dataclass_transform

from rollout_sim.core.units import _ARTICLES, _EXAMPLES, MAXIMA, TICK, UNITS, parse, text

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


Section = TypeVar("Section")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def section(cls: type[Section]) -> type[Section]:
    """Makes a class a section of the scenario file: a frozen, slotted, keyword-only dataclass.

    A field that the class does not have is an error where the file is read.
    """
    cls.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


class Codec:
    """Marks a field that has a text of its own in the file: how it is read, written back, and described to editors.

    A subclass says these three things; `Annotated[float, SomeCodec()]` is a field that obeys them.
    """

    __slots__ = ()

    def read(self, value: object) -> Any:
        """The value of the field for what stands in the file, or for a value that was read. Raises ValueError."""
        raise NotImplementedError

    def write(self, value: Any) -> object:
        """What `read` turns back into the same; never called for None."""
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what stands in the file."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """How pydantic reads and writes the field; None stands for a field that is not given."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: None if value is None else self.write(value)
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What editors are told."""
        return self.schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity(Codec):
    """Marks a float field of a dataclass as a quantity written with its unit.

    `low` and `high` bound the value in the package's own unit; `above` is an open lower end.
    `bare` lets numbers without a unit through: `percent: 10` (taken as hundredths).
    """

    kind: str
    low: float = 0.0
    high: float = math.inf
    above: float | None = None
    bare: bool = False

    def read(self, value: object) -> float:
        """`value` (text, or a number where `bare`) as a float within the bounds, in the package's own unit.

        Raises ValueError for anything else, saying what is allowed.
        """
        if self.bare and isinstance(value, int | float) and not isinstance(value, bool):
            number = float(value) / 100 if self.kind == "share" else float(value)
            if not math.isfinite(number):
                raise ValueError(f"needs a finite number, got {value!r}")
        else:
            number = parse(value, self.kind)
        if self.above is not None and number <= self.above:
            raise ValueError(f"must be more than {text(self.above, self.kind)}, got {value!r}")
        if not self.low <= number <= self.high:
            ends = (
                f"at least {text(self.low, self.kind)}"
                if number < self.low
                else f"at most {text(self.high, self.kind)}"
            )
            raise ValueError(f"must be {ends}, got {value!r}")
        return number

    @property
    def range(self) -> str:
        """What is allowed, for people: `a share: %; more than 0%, at most 100%`."""
        units = ", ".join(unit for unit in UNITS[self.kind] if unit != "m")
        high = min(self.high, MAXIMA[self.kind])
        if self.above is not None:
            low = f"; more than {text(self.above, self.kind)}"
        else:
            low = "; may be negative" if self.low == -math.inf else f"; at least {text(self.low, self.kind)}"
        end = f", at most {text(high, self.kind)}" if high < MAXIMA[self.kind] else ""
        return f"{_ARTICLES[self.kind]} in {units}{low if self.low or self.above is not None else ''}{end}"

    def write(self, value: float) -> str:
        """The shortest text with a unit that `read` turns back into `value`."""
        return text(value, self.kind)

    def schema(self) -> dict[str, Any]:
        """A text with a unit, or a bare number where that is taken."""
        units = "|".join(re.escape(u) for u in UNITS[self.kind])
        text_schema: dict[str, Any] = {
            "title": self.kind,
            "description": self.range,
            "type": "string",
            "pattern": rf"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*({units})\s*$",
            "examples": [_EXAMPLES[self.kind]],
        }
        number: dict[str, Any] = {"type": "number"} if self.bare else {"const": 0}
        return {"anyOf": [text_schema, number]}


Seconds = Annotated[float, Quantity(kind="duration")]
PositiveSeconds = Annotated[float, Quantity(kind="duration", low=TICK)]
Instant = Annotated[float, Quantity(kind="duration", low=-math.inf)]
PerSecond = Annotated[float, Quantity(kind="rate")]
PositiveRate = Annotated[float, Quantity(kind="rate", above=0.0)]
Share = Annotated[float, Quantity(kind="share", high=1.0)]
PositiveShare = Annotated[float, Quantity(kind="share", above=0.0, high=1.0)]
Percent = Annotated[float, Quantity(kind="share", above=0.0, high=1.0, bare=True)]
Factor = Annotated[float, Quantity(kind="factor")]


def check_count(name: str, value: int, low: int, high: int) -> None:
    """Raises ValueError unless `value` lies in [low, high]."""
    if not low <= value <= high:
        raise ValueError(f"`{name}` must be {low} to {high}, got {value}")
