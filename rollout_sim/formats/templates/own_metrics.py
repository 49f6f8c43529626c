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

from rollout_sim.control.alarms import COMPARE
from rollout_sim.control.expressions import parse_expression
from rollout_sim.control.readings import STATISTICS, plain
from rollout_sim.core.arrays import FloatArray
from rollout_sim.formats.snippet import numbered

Role = Literal["bad_requests", "requests", "good_requests"]
"""What a metric counts: the last one is the difference of the first two."""
_WORDS: Final[Mapping[Role, str]] = {
    "bad_requests": (
        r"(?<![a-z])err|error|fail|fault|exception|reject|refus|invalid|dead|drop|timeout|timed|throttl|unhandled|denied|bad|abort|fatal"
        r"|crash|(?<!\d)[45] ?xx|(?<![0-9a-z])[45]\d\d(?!\d)"
    ),
    "good_requests": (
        r"success|succeed|complet|\bok\b|finish|accept|healthy|good|deliver|pass|(?<!\d)2 ?xx|(?<![0-9a-z])2\d\d(?!\d)"
    ),
    "requests": r"total|count|request|invocation|start|call|attempt|receiv|all",
}
"""Words in the name of a metric that tell what it counts, the first that fit."""
_MANY: Final = 1e6
"""The requests of a period at which an expression is tried: beyond any guard."""
_BAD: Final = (0.0, _MANY / 100, _MANY / 2, _MANY)
"""How many of them are bad, each time that it is tried."""
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


def roles(expression: str, metrics: Mapping[str, Mapping[str, Any]], sign: str, limit: float) -> dict[str, Role]:
    """What each of the own metrics in an expression counts that fires where it is `sign` `limit`.

    Of all that makes the alarm fire for bad requests alone, and the surer the more of them there are, it is what the words in the
    names say, then what makes most sense. Raises ValueError where there is nothing such.
    """
    own = [name for name, metric in metrics.items() if isinstance(metric["metric"], Own)]
    if not own:
        return {}
    known = parse_expression(expression, tuple(metrics))
    if len(own) > _MOST:
        raise ValueError(f"it reads {len(own)} metrics of your own, and what each of them counts is not known")
    told = {
        name: [] if metrics[name]["statistic"] == "sample_count" else _told(metrics[name]["metric"], name)
        for name in own
    }  # how many values there are says its statistic, and not its name
    nowhere = "METRICS(" in expression.replace(" ", "")  # a difference has no place in it
    choices = [
        [role for role in _likely(told[name]) if role != "good_requests" or not (nowhere or _flag(metrics[name]))]
        for name in own
    ]

    def fires(values: FloatArray) -> list[bool]:
        return [bool(breach) for breach in np.isfinite(values) & COMPARE[sign](values, limit)]

    best: tuple[tuple[int, int, int], dict[str, Role]] | None = None
    for chosen in product(*map(enumerate, choices)):
        counted: dict[str, Role] = dict(zip(own, (role for _, role in chosen), strict=True))
        values = np.array([
            float(known.compute({name: _value(metrics[name], counted.get(name), bad) for name in metrics}))
            for bad in _BAD
        ])  # fmt: skip
        calm, _, half, broken = fires(values)
        steps = np.diff(values[np.isfinite(values)]) * (1 if sign in (">", ">=") else -1)
        if broken and not calm and bool(np.all(steps >= -1e-9)):
            words = sum(told[name][:1] == [role] for name, role in counted.items())
            share = abs(float(values[-1])) in (0.0, 1.0, 100.0)
            sense = int(np.isfinite(values[0])) + half + int(values[2] != values[3]) + share
            worth = (words, sense, -sum(rank for rank, _ in chosen))
            if best is None or worth > best[0]:
                best = (worth, counted)
    if (
        len(metrics) == 1
        and told[own[0]][:1] != ["good_requests"]
        and (best is None or best[1][own[0]] == "good_requests")
    ):
        none, many = fires(np.array([float(known.compute({own[0]: np.array(count)})) for count in (0.0, _MANY)]))
        if none and not many:
            return {own[0]: "requests"}  # it is about too few of them
    if best is None:
        raise ValueError(
            "what its metrics of your own count is not known: neither requests nor bad ones make it fire for bad ones alone"
        )
    for name, role in best[1].items():
        _check_words(metrics[name]["metric"], told[name], role)
    return best[1]


def role_alone(metric: Mapping[str, Any], *, falling: bool, sign: str = "", limit: float = 0.0) -> Role:
    """What an alarm's only metric counts: bad requests, or where too few alarm good ones or all, by the words in its name.

    `sign` and `limit` are those of the threshold, if it is no band. Raises ValueError where that makes no sense.
    """
    told = _told(metric["metric"])
    role: Role = "bad_requests"
    if falling:
        role = "good_requests" if told[:1] == ["good_requests"] and sign and not _flag(metric) else "requests"
    else:
        _check_words(metric["metric"], told, role)
    if sign in (">", ">=") and _flag(metric) and not COMPARE[sign](1.0, limit):
        raise ValueError(
            f"what {metric['metric'].name} measures is not known: a request counts at most once, and its limit is {limit:g}"
        )
    return role


def _check_words(metric: Own, told: Sequence[Role], role: Role) -> None:
    """Checks that a metric with words of good or bad in its name does not count the contrary. Raises ValueError."""
    contrary = {"bad_requests": "good_requests", "good_requests": "bad_requests"}.get(role)
    if told[:1] == [contrary] and role not in told:
        what = str(role).replace("_", " ")
        raise ValueError(
            f"what {metric.name} counts is not known: for the alarm it should be {what}, and by its name it is not"
        )


def _flag(metric: Mapping[str, Any]) -> bool:
    """Whether a metric's datapoint tells only whether there was any."""
    return str(metric["statistic"]) == "maximum"


def _told(metric: Own, name: str = "") -> list[Role]:
    """What a metric counts by the words in its names, the likeliest first; `name` is that in an expression."""
    words = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])", " ", " ".join([name, metric.name, *(value for _, value in metric.dimensions)])
    )
    return [role for role, pattern in _WORDS.items() if re.search(pattern, words, re.IGNORECASE)]


def _likely(told: list[Role]) -> list[Role]:
    """All that a metric may count, the likeliest first."""
    rest: tuple[Role, ...] = ("bad_requests", "requests", "good_requests")
    return told + [role for role in rest if role not in told]


def _value(metric: Mapping[str, Any], role: Role | None, bad: float) -> FloatArray:
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
