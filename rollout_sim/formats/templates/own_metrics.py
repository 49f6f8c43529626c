"""Own metrics: what those of a user's own namespaces count, in the metric maths of an alarm.

No template says it. What an expression must do tells most of it: an alarm keeps quiet while nothing is bad, and fires where
everything is. What is left open is decided by the words in the metrics' names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from rollout_sim.control.expressions import parse_expression
from rollout_sim.control.readings import STATISTICS, plain
from rollout_sim.formats.snippet import numbered

Role = Literal["bad_requests", "requests", "good_requests"]
"""What a metric counts: the last one is the difference of the first two."""
_WORDS: Final[Mapping[Role, str]] = {
    "bad_requests": (
        r"err|fail|5xx|fault|exception|reject|refus|invalid|dead|drop|timeout|timed|throttl|unhandled|denied|bad|abort|fatal|crash"
    ),
    "good_requests": r"success|succeed|complet|\bok\b|finish|accept|healthy|good|deliver|2xx|pass",
    "requests": r"total|count|request|invocation|start|call|attempt|receiv|all",
}
"""Words in the name of a metric that tell what it counts, the first that fit."""
_MANY: Final = 1e6
"""The requests of a period at which an expression is tried: beyond any guard."""
_MOST: Final = 4
"""Of how many metrics of a user's own an expression may be."""


class Own(NamedTuple):
    """A metric of a user's own: each combination of dimensions is one."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class OwnMetrics:
    """The scenario's own metrics for those of a user: `fields` by name."""

    def __init__(self) -> None:
        self.fields: dict[str, dict[str, str]] = {}
        self._names: dict[tuple[Own, Role], str] = {}

    def named(self, own: Own, counts: Role, of: str) -> str:
        """The name of the one that counts `bad_requests` or `requests` of the scope `of`; it is made where there is none."""
        if (own, counts) not in self._names:
            word = re.sub(r"[^A-Za-z0-9._-]+", "-", own.name).strip("-")[:80]
            word = word if re.match(r"[A-Za-z]", word) and plain(word) not in STATISTICS else f"own-{word}"
            self._names[own, counts] = free = numbered(word, self.fields)
            self.fields[free] = {"counts": counts, "of": of}
        return self._names[own, counts]

    def counted(
        self, expression: str, metrics: Mapping[str, dict[str, Any]], told: Mapping[str, Role], of: Callable[[Own], str]
    ) -> tuple[str, dict[str, dict[str, Any]]]:
        """Metric maths and its metrics, in which the own ones count what is `told`; `of` is the scope of each."""
        result = dict(metrics)
        for name, role in told.items():
            own = metrics[name]["metric"]
            bad = numbered(f"{name}_bad", metrics).replace("-", "_")
            parts: dict[str, Role] = {name: role}
            if role == "good_requests":
                expression = re.sub(rf"\b{re.escape(name)}\b", f"({name} - {bad})", expression)
                parts = {name: "requests", bad: "bad_requests"}
            result |= {
                part: metrics[name] | {"metric": self.named(own, counts, of(own))} for part, counts in parts.items()
            }
        return expression, result


def roles(
    expression: str, metrics: Mapping[str, Mapping[str, Any]], breaches: Callable[[float], bool]
) -> dict[str, Role]:
    """What each of the own metrics in an expression counts; `breaches` is the threshold.

    Raises ValueError where nothing that they may count makes the alarm fire for bad requests alone.
    """
    own = [name for name, metric in metrics.items() if isinstance(metric["metric"], Own)]
    if not own:
        return {}
    known = parse_expression(expression, tuple(metrics))
    if len(own) > _MOST:
        raise ValueError(f"it reads {len(own)} metrics of your own, and what each of them counts is not known")
    choices: list[Sequence[Role]] = [_likely(name, metrics[name]["metric"]) for name in own]
    if "METRICS(" in expression.replace(" ", ""):  # in which a difference has no place
        choices = [[role for role in likely if role != "good_requests"] for likely in choices]
    best: tuple[int, dict[str, Role]] | None = None
    for chosen in sorted(product(*map(enumerate, choices)), key=lambda ranked: sum(rank for rank, _ in ranked)):
        counted: dict[str, Role] = dict(zip(own, (role for _, role in chosen), strict=True))
        calm, half, broken = (
            float(known.compute({name: _value(metrics[name], counted.get(name), bad) for name in metrics}))
            for bad in (0.0, _MANY / 2, _MANY)
        )
        fires = [bool(np.isfinite(value) and breaches(value)) for value in (calm, half, broken)]
        if fires[2] and not fires[0]:
            sense = int(np.isfinite(calm)) + fires[1] + int(half != broken)  # the worse, the further
            if best is None or sense > best[0]:
                best = (sense, counted)
    if best is None:
        raise ValueError(
            "what its metrics of your own count is not known: neither requests nor bad ones make it fire for bad ones alone"
        )
    return best[1]


def _likely(name: str, metric: Own) -> list[Role]:
    """What a metric may count, the likeliest first, by the words in its names."""
    words = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])", " ", " ".join([name, metric.name, *(value for _, value in metric.dimensions)])
    )
    told: list[Role] = [role for role, pattern in _WORDS.items() if re.search(pattern, words, re.IGNORECASE)]
    rest: tuple[Role, ...] = ("bad_requests", "requests", "good_requests")
    return told + [role for role in rest if role not in told]


def _value(metric: Mapping[str, Any], role: Role | None, bad: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One metric's datapoint of a period with many requests, so many of them `bad`; `role` is None for one of AWS's."""
    counts = {"errors": bad, "responses_5xx": bad, "error_rate": bad / _MANY, "invocations": _MANY, "throttles": 0.0}
    counts |= {"bad_requests": bad, "requests": _MANY, "good_requests": _MANY - bad}
    count = counts.get(str(role or metric["metric"]), 1.0 + bad)  # a duration, an age
    statistic = metric["statistic"]
    if statistic == "sample_count" and role is None:
        count = _MANY
    elif statistic in ("maximum", "minimum"):
        count = float(count > 0 if statistic == "maximum" else count >= _MANY)
    elif statistic == "average":
        count /= _MANY
    return np.array(count)
