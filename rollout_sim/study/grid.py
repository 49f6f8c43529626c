"""Grid: what a sweep varies. Any field of a scenario file by its path, and the severity of a fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final, Literal

from rollout_sim.core import units
from rollout_sim.core.fields import section
from rollout_sim.core.yaml_io import Where, YamlDocument, dotted, suggest
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import Fault, Slowdown
from rollout_sim.scenario.scenario import Scenario

NEW_CANARY: Final = {"type": "canary", "percent": 10, "interval": "10 min"}
"""The strategy that percentages and intervals vary where the scenario has none that takes them."""
Severity = Literal["errors", "crash", "hang", "responses", "factor", "delay"]
"""What is bad about a fault: the share that it makes fail, how many times longer, or how much longer (s)."""
SEVERITY_UNITS: Final[dict[Severity, str]] = {
    "errors": "share",
    "crash": "share",
    "hang": "share",
    "responses": "share",
    "factor": "factor",
    "delay": "duration",
}
"""The kind of quantity (see `core.units`) that each is."""


@section
class Axis:
    """A dimension of a grid that sets a field of the scenario file."""

    name: str
    path: Where
    """The way to the field: keys, and positions in lists."""
    values: tuple[Any, ...]
    """As the scenario file would write them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as text, as the sweep's table has them."""
        return tuple(map(str, self.values))

    def set_field(self, data: dict[str, Any], value: Any) -> None:
        """Sets the field in `data`, in place. Raises ScenarioError where nothing has such a field, as beside another axis."""
        owner: Any = data
        *way, last = self.path
        try:
            for part in way:
                owner = owner[part]
            fits = isinstance(owner, dict) or (isinstance(owner, list) and isinstance(last, int) and last < len(owner))
        except (LookupError, TypeError):
            fits = False
        if not fits:
            what = f"there is no {dotted(self.path)} to set to {value!r}; another axis may have taken it away"
            raise ScenarioError([f"--axis: {self.name}: {what}"])
        owner[last] = value


@section
class SeverityAxis:
    """A dimension of a grid that makes a fault of a version more or less bad."""

    version: str
    position: int
    """Which of the version's faults is varied; one is added where it has no more than so many."""
    severity: Severity
    values: tuple[float, ...]
    """Fractions, factors or seconds; a share of 0 takes the fault away."""
    labels: tuple[str, ...]
    """The values as text, as the sweep's table has them."""
    name: Literal["severity"] = "severity"

    @property
    def path(self) -> Where:
        """The field of the scenario file that holds what is varied."""
        kind = "latency" if self.severity in ("factor", "delay") else self.severity
        return ("function", "versions", self.version, "faults", self.position, kind)

    def applied(self, scenario: Scenario, value: float) -> Scenario:
        """The scenario with the fault at one of the values; everything else about the fault stays."""
        versions = scenario.function.versions
        if self.version not in versions or self.position > len(versions[self.version].faults):
            what = f"there is no {dotted(self.path)}; another axis may have taken it away"
            raise ScenarioError([f"--severity: {what}"])
        faults = list(versions[self.version].faults)
        if self.position == len(faults):
            faults.append(Fault(errors=1.0))
        if SEVERITY_UNITS[self.severity] == "share" and value == 0:
            del faults[self.position]
        else:
            changed: dict[str, Any]
            if self.severity == "factor":
                changed = {"latency": Slowdown(factor=value)}
            elif self.severity == "delay":
                changed = {"latency": Slowdown(add=value)}
            else:
                changed = {self.severity: value}
            faults[self.position] = replace(faults[self.position], **changed)
        return scenario.with_faults(self.version, faults)


def chosen_axes(
    document: YamlDocument,
    *,
    percent: str | None = None,
    interval: str | None = None,
    severity: str | None = None,
    axes: Sequence[str | tuple[str, Sequence[Any]]] = (),
    strategies: Sequence[str] = (),
) -> tuple[YamlDocument, tuple[Axis | SeverityAxis, ...]]:
    """The axes that the command line's words stand for, and the document that they apply to.

    With percentages or intervals only the strategy that they vary is left (see `swept_strategy`).
    Raises ScenarioError naming what is wrong.
    """
    chosen: list[Axis | SeverityAxis] = []
    if percent or interval:
        document, strategy = swept_strategy(document, strategies)
        chosen += [percentages(strategy, percent)] if percent else []
        chosen += [intervals(strategy, interval)] if interval else []
    if severity:
        document, varied = severities(document, severity)
        chosen.append(varied)
    chosen += [axis(document, text) for text in axes]
    return document, tuple(chosen)


def written_axes(
    document: YamlDocument, axes: Sequence[str] | Mapping[str, Sequence[Any]], strategies: Sequence[str] = ()
) -> tuple[YamlDocument, tuple[Axis | SeverityAxis, ...]]:
    """`chosen_axes` of texts such as `percent=1,5,10`, `interval=5m,10m`, `severity=0%,1%` and `path.to.field=...`.

    Or of a mapping from `percent`, `interval`, `severity` and the paths of fields to their values.
    """
    named: dict[str, str] = {}
    fields: list[str | tuple[str, Sequence[Any]]] = []
    for name, values in axes.items() if isinstance(axes, Mapping) else [_written(text) for text in axes]:
        if name in ("percent", "interval", "severity"):
            named[name] = values if isinstance(values, str) else ",".join(map(str, values))
        else:
            fields.append(f"{name}={values}" if isinstance(values, str) else (name, values))
    return chosen_axes(document, **named, axes=fields, strategies=strategies)


def _written(text: str) -> tuple[str, str]:
    name, _, values = text.partition("=")
    return name.strip(), values


def axis(document: YamlDocument, text: str | tuple[str, Sequence[Any]]) -> Axis:
    """An axis written as `path.to.field=value,value,...`, or a path and its values as a file would write them.

    Raises ScenarioError for a path that leads nowhere.
    """
    if not isinstance(text, str):
        path, given = text
        return Axis(name=path, path=_resolve(document, path), values=tuple(given))
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
        name
        for name, strategy in strategies.items()
        if isinstance(strategy, Mapping) and {"percent", "interval"} <= set(strategy)
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
    return replace(document, data=data), kind


def percentages(strategy: str, text: str) -> Axis:
    """Percentages of a strategy: `1,2,5` or `1%,2%,5%`."""
    values = tuple(_scalar(part.strip().removesuffix("%")) for part in text.split(",") if part.strip())
    return Axis(name="percent", path=("strategies", strategy, "percent"), values=values)


def intervals(strategy: str, text: str) -> Axis:
    """Intervals of a strategy: `5m,10m`."""
    return Axis(name="interval", path=("strategies", strategy, "interval"), values=read_values(text))


def severities(document: YamlDocument, text: str) -> tuple[YamlDocument, SeverityAxis]:
    """Error rates of the new version's fault, `0%,1%,5%`, and the document in which it has that fault; 0% is none.

    The fault is the version's first one of errors, or one that is added. Raises ScenarioError without a new version and
    for what is no share.
    """
    data = deepcopy(document.data)
    new = str((data.get("rollout") or {}).get("to", ""))
    versions = (data.get("function") or {}).get("versions") or {}
    if new not in versions:
        raise ScenarioError([f"{document.path}: rollout.to: --severity needs a new version, got {new or 'none'}"])
    labels = tuple(part.strip() for part in text.split(",") if part.strip())
    values = []
    for label in labels:
        try:
            values.append(units.parse(label, "share"))
        except ValueError as error:
            raise ScenarioError([f"--severity: {error}"]) from None
        if not 0 <= values[-1] <= 1:
            raise ScenarioError([f"--severity: an error rate is from 0% to 100%, got {label}"])
    faults = versions[new].setdefault("faults", [])
    if isinstance(faults, Mapping):
        faults = versions[new]["faults"] = [faults]
    position = next((k for k, fault in enumerate(faults) if "errors" in fault), len(faults))
    if position == len(faults):
        faults.append({"errors": "1%"})
    changed = replace(document, data=data)
    varied = SeverityAxis(version=new, position=position, severity="errors", values=tuple(values), labels=labels)
    return changed, varied


def document_at(document: YamlDocument, axes: Sequence[Axis], values: Sequence[Any]) -> YamlDocument:
    """The document with each axis at its value."""
    data = deepcopy(document.data)
    for varied, value in zip(axes, values, strict=True):
        varied.set_field(data, value)
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
