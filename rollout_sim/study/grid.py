"""Axes: what a sweep varies. Any field of a scenario file by its path; percentages, intervals and severities by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Final

from rollout_sim.core import units
from rollout_sim.core.yaml_io import Where, YamlDocument, dotted, suggest
from rollout_sim.errors import ScenarioError

NEW_CANARY: Final = {"type": "canary", "percent": 10, "interval": "10 min"}
"""The strategy that percentages and intervals vary where the scenario has none that takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One dimension of a sweep: a name, the field that it sets, and the values, as the scenario file would write them.

    `removes` is a value that takes the field's list item away: a severity of 0% is no fault.
    """

    name: str
    path: Where
    values: tuple[Any, ...]
    removes: str | None = None

    def applied(self, data: dict[str, Any], value: Any) -> None:
        """Sets the field in `data`, in place."""
        place: Any = data
        *way, last = self.path
        for part in way:
            place = place[part]
        if self.removes is not None and units.parse(value, "share") == 0:
            owner: Any = data
            for part in way[:-1]:
                owner = owner[part]
            del owner[way[-1]]
        else:
            place[last] = value


def chosen_axes(
    document: YamlDocument,
    *,
    percent: str | None = None,
    interval: str | None = None,
    severity: str | None = None,
    axes: Sequence[str] = (),
    strategies: Sequence[str] = (),
) -> tuple[YamlDocument, tuple[Axis, ...]]:
    """The axes that the command line's words stand for, and the document that they apply to.

    With percentages or intervals only the strategy that they vary is left (see `swept_strategy`).
    Raises ScenarioError naming what is wrong.
    """
    found = []
    if percent or interval:
        document, strategy = swept_strategy(document, strategies)
        found += [percentages(strategy, percent)] if percent else []
        found += [intervals(strategy, interval)] if interval else []
    if severity:
        document, one = severities(document, severity)
        found.append(one)
    found += [axis(document, text) for text in axes]
    return document, tuple(found)


def written_axes(
    document: YamlDocument, texts: Sequence[str], strategies: Sequence[str] = ()
) -> tuple[YamlDocument, tuple[Axis, ...]]:
    """`chosen_axes` of texts such as `percent=1,5,10`, `interval=5m,10m`, `severity=0%,1%` and `path.to.field=...`."""
    named: dict[str, str] = {}
    others = []
    for text in texts:
        name, _, values = text.partition("=")
        if name.strip() in ("percent", "interval", "severity"):
            named[name.strip()] = values
        else:
            others.append(text)
    return chosen_axes(document, **named, axes=others, strategies=strategies)


def axis(document: YamlDocument, text: str) -> Axis:
    """An axis written as `path.to.field=value,value,...`. Raises ScenarioError for a path that leads nowhere."""
    path, equals, values = text.partition("=")
    if not equals or not path.strip() or not values.strip():
        raise ScenarioError([f"--axis: got {text!r}; allowed PATH=VALUE,VALUE,... such as horizon=30 min,60 min"])
    return Axis(name=path.strip(), path=_resolve(document, path.strip()), values=read_values(values))


def read_values(text: str) -> tuple[Any, ...]:
    """The values between commas: numbers, true and false, and everything else as text."""
    written = dict.fromkeys(part.strip() for part in text.split(",") if part.strip())
    return tuple(_scalar(part) for part in written)


def swept_strategy(document: YamlDocument, wanted: Sequence[str] = ()) -> tuple[YamlDocument, str]:
    """The strategy that percentages and intervals vary, and the document with that strategy alone, called by its type.

    The one that is `wanted`, else the first canary or linear one, else a new canary.
    Raises ScenarioError for one that takes no percentage.
    """
    strategies = document.data.get("strategies") or {}
    takes = [
        name for name, one in strategies.items() if isinstance(one, Mapping) and {"percent", "interval"} <= set(one)
    ]
    if len(wanted) > 1:
        raise ScenarioError([f"--strategy: percentages and intervals vary one strategy, got {len(wanted)}"])
    for name in wanted:
        if name not in takes:
            raise ScenarioError(
                [
                    f"--strategy: {name!r} has no percent and interval to vary; allowed {', '.join(takes) or 'a canary or linear one'}"
                ]
            )
    name = wanted[0] if wanted else (takes[0] if takes else "canary")
    data = deepcopy(document.data)
    varied = deepcopy(strategies[name]) if name in takes else dict(NEW_CANARY)
    # Not under its name, which may tell a percentage that is no longer true.
    kind = str(varied.get("type", name))
    data["strategies"] = {kind: varied}
    return YamlDocument(data=data, lines=document.lines, path=document.path), kind


def percentages(strategy: str, text: str) -> Axis:
    """Percentages of a strategy: `1,2,5` or `1%,2%,5%`."""
    values = tuple(_scalar(part.strip().removesuffix("%")) for part in text.split(",") if part.strip())
    return Axis(name="percent", path=("strategies", strategy, "percent"), values=values)


def intervals(strategy: str, text: str) -> Axis:
    """Intervals of a strategy: `5m,10m`."""
    return Axis(name="interval", path=("strategies", strategy, "interval"), values=read_values(text))


def severities(document: YamlDocument, text: str) -> tuple[YamlDocument, Axis]:
    """Error rates of the new version's fault: its first `errors` fault, or one that is added to `document`; 0% is none."""
    data = deepcopy(document.data)
    new = str((data.get("rollout") or {}).get("to", ""))
    versions = (data.get("function") or {}).get("versions") or {}
    if new not in versions:
        raise ScenarioError([f"{document.path}: rollout.to: --severity needs a new version, got {new or 'none'}"])
    values = tuple(part.strip() for part in text.split(",") if part.strip())
    for value in values:
        try:
            units.parse(value, "share")
        except ValueError as error:
            raise ScenarioError([f"--severity: {error}"]) from None
    faults = versions[new].setdefault("faults", [])
    if isinstance(faults, Mapping):
        faults = versions[new]["faults"] = [faults]
    place = next((i for i, fault in enumerate(faults) if "errors" in fault), len(faults))
    if place == len(faults):
        faults.append({"errors": "1%"})
    where: Where = ("function", "versions", new, "faults", place, "errors")
    changed = YamlDocument(data=data, lines=document.lines, path=document.path)
    return changed, Axis(name="severity", path=where, values=values, removes="0%")


def at(document: YamlDocument, axes: Sequence[Axis], values: Sequence[Any]) -> YamlDocument:
    """The document with each axis at its value. A field that is taken away goes last, so that places stay."""
    data = deepcopy(document.data)
    for one, value in sorted(zip(axes, values, strict=True), key=lambda pair: pair[0].removes is not None):
        one.applied(data, value)
    return replace(document, data=data)


def _scalar(text: str) -> Any:
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?", text):
        return float(text)
    return {"true": True, "false": False}.get(text, text)


def _resolve(document: YamlDocument, text: str) -> Where:
    """The way to a field: names may hold dots; list items go by their number, `[0]` or `.0`."""
    parts = [part for part in re.split(r"\.|\[(\d+)\]", text) if part]
    place: Any = document.data
    way: list[str | int] = []
    while parts:
        if isinstance(place, list):
            number = int(parts[0]) if parts[0].isdigit() else -1
            if not 0 <= number < len(place):
                _lost(way, parts[0], [str(k) for k in range(len(place))])
            way.append(number)
            place, parts = place[number], parts[1:]
            continue
        if not isinstance(place, Mapping):
            _lost(way, ".".join(parts), [])
        taken = next((k for k in range(len(parts), 0, -1) if ".".join(parts[:k]) in place), 0)
        if not taken:
            if len(parts) > 1:
                _lost(way, parts[0], [str(key) for key in place])
            taken = 1  # a field that the file leaves at its default
        way.append(".".join(parts[:taken]))
        place, parts = place.get(way[-1]), parts[taken:]
    return tuple(way)


def _lost(way: Sequence[str | int], part: str, names: Sequence[str]) -> None:
    where = dotted(tuple(way)) or "the scenario"
    hint = suggest(part, names) or ";"
    raise ScenarioError([f"--axis: {where} has no {part!r}{hint} allowed {', '.join(names) or 'nothing below it'}"])
