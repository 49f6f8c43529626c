"""A second evaluator, slow and simple, from AWS's rules: one alarm, plain lists, no arrays. Both must agree on random histories.

It shares with the other one the alarm as a file has it, and nothing else: it reads thresholds, periods and M of N from the text, adds
up minutes one by one, and calculates expressions by hand-written twins.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from rollout_sim.control.alarm_evaluator import AlarmEvaluator, Before
from rollout_sim.control.alarms import STATES, Alarm
from rollout_sim.control.metrics import Metrics, Target, scopes_of
from rollout_sim.control.readings import MetricQuery
from rollout_sim.core.distributions import Constant

OLD, NEW, OTHER = range(3)
TARGETS = (Target("prod", "1"), Target("prod", "2"), Target("test", "1"))
SCOPES = {"alias": (OLD, NEW), "old_version": (OLD,), "new_version": (NEW,), "function": (OLD, NEW, OTHER)}
RATES, SHARES, TOOK = (0.05, 0.0, 0.02), (0.1, 0.0, 0.5), 0.25
"""Expected before time zero: invocations per second, the share that fails, and how long each takes."""
CELLS = 24
"""Cells of the resolution in a history."""
Point = float | None


class History:
    """What happened in one replication: lists of counts and durations by target and cell of `resolution` seconds."""

    def __init__(self, rng: random.Random, resolution: int) -> None:
        self.resolution = resolution
        busy = rng.choice([0.2, 0.6, 1.0])
        self.durations = [[self._cell(rng, busy) for _ in range(CELLS)] for _ in TARGETS]
        failing = rng.choice([0.0, 0.05, 0.3, 1.0])
        self.errors = [[sum(rng.random() < failing for _ in cell) for cell in row] for row in self.durations]
        throttled = rng.choice([0.0, 0.3])
        self.throttles = [[rng.randint(1, 3) if rng.random() < throttled else 0 for _ in row] for row in self.durations]

    @staticmethod
    def _cell(rng: random.Random, busy: float) -> list[float]:
        return [rng.choice([0.1, 0.2, 0.5, 2.0]) for _ in range(rng.randint(1, 8))] if rng.random() < busy else []

    def cells(self, start: int, end: int) -> range:
        return range(max(start // self.resolution, 0), min(end // self.resolution, CELLS))


def point(history: History, query: dict[str, Any], start: int, end: int, remembers: bool) -> tuple[Point, float]:
    """A metric's datapoint of [start, end), None for none, and its number of samples."""
    targets, cells = SCOPES[query["of"]], history.cells(start, end)
    took = [d for target in targets for cell in cells for d in history.durations[target][cell]]
    past = max(min(end, 0) - start, 0) if remembers else 0
    usual = sum(RATES[target] for target in targets) * past
    samples, metric, statistic = len(took) + usual, query["metric"], query["statistic"]
    there = bool(took) or 1 - math.exp(-usual) >= 0.5
    if metric == "throttles":
        total: float = sum(history.throttles[target][cell] for target in targets for cell in cells)
        there, samples = there or total > 0, samples + total
    elif metric == "duration":
        total = sum(took) + usual * TOOK
    elif metric == "invocations":
        total = samples
    else:
        total = sum(history.errors[target][cell] for target in targets for cell in cells)
        total += past * sum(RATES[target] * SHARES[target] for target in targets)
    if metric == "duration" and (statistic in ("minimum", "maximum") or statistic[0] == "p" or statistic[:2] == "tm"):
        if not took:
            return (TOOK if 1 - math.exp(-usual) >= 0.5 else None), samples
        share = {"minimum": 0.0, "maximum": 1.0}.get(statistic) or float(re.sub("[a-z]", "", statistic) or 0) / 100
        rank = max(math.ceil(share * len(took) - 1e-9), 1)
        lowest = sorted(took)[:rank]
        return (round(sum(lowest) / rank, 9) if statistic[:2] == "tm" else lowest[-1]), samples
    if not there:
        return None, samples
    return {
        "sum": lambda: total, "average": lambda: round(total / samples, 9), "sample_count": lambda: samples,
        "maximum": lambda: float(total > 0), "minimum": lambda: float(total >= samples),
    }[statistic](), samples  # fmt: skip


def zero(value: Point) -> float:
    return 0.0 if value is None else value


def divided(a: Point, b: Point) -> Point:
    return None if (a is None and b is None) or zero(b) == 0 else zero(a) / zero(b)


def guarded(a: Point, b: Point) -> Point:
    """IF(b >= 3, 100 * a / b, 0)"""
    if b is None:
        return None
    return zero(divided(None if a is None else 100 * a, b)) if b >= 3 else 0.0


EXPRESSIONS: dict[str, Callable[[Point, Point], Point]] = {
    "a / b": divided,
    "IF(b >= 3, 100 * a / b, 0)": guarded,
    "FILL(a, 0) + 1": lambda a, b: zero(a) + 1,
    "a + b": lambda a, b: None if a is None and b is None else zero(a) + zero(b),
    "MAX([a, b])": lambda a, b: None if a is None and b is None else max(x for x in (a, b) if x is not None),
    "a > 1 AND b > 2": lambda a, b: (
        None if a is None and b is None
        else float((False if a is None else a > 1) and (False if b is None else b > 2))
    ),
}  # fmt: skip


class SlowAlarm:
    """One alarm over one history."""

    def __init__(self, data: dict[str, Any], history: History, created: int) -> None:
        self.data, self.history, self.created = data, history, created
        self.period = int(data["period"])
        self.m, self.n = map(int, data["datapoints"].split(" of "))
        self.state, self.warm = "INSUFFICIENT_DATA", False
        self.remembers = data["history"] == "expected"
        if self.remembers:
            nothing = History.__new__(History)
            nothing.resolution = history.resolution
            nothing.durations = [[[] for _ in range(CELLS)] for _ in TARGETS]
            nothing.errors = nothing.throttles = [[0] * CELLS for _ in TARGETS]
            self.history = nothing
            self.remembers = not self.judge(-self.period, 0)[1]
            self.history = history

    def judge(self, start: int, end: int) -> tuple[Point, bool, float]:
        """The datapoint of [start, end), whether it breaches, and its samples."""
        data = self.data
        if "expression" in data:
            a, b = (point(self.history, data["metrics"][name], start, end, self.remembers)[0] for name in "ab")
            for_milliseconds = [1000 if data["metrics"][n]["metric"] == "duration" else 1 for n in "ab"]
            a, b = (None if x is None else x * f for x, f in zip((a, b), for_milliseconds, strict=True))
            value, samples = EXPRESSIONS[data["expression"]](a, b), 0.0
            value = None if value is None else round(value, 9)
        else:
            value, samples = point(self.history, data, start, end, self.remembers)
        sign, limit = re.fullmatch(r"([<>]=?) ([\d.]+).*", data["threshold"]).groups()  # type: ignore[union-attr]
        number = float(limit) / (100 if "%" in data["threshold"] else 1000 if "ms" in data["threshold"] else 1)
        breaches = value is not None and {
            ">": value > number, ">=": value >= number, "<": value < number, "<=": value <= number,
        }[sign]  # fmt: skip
        if "at_least" in data:
            guard = {"metric": "invocations", "statistic": "sum", "of": data["of"]}
            few = zero(point(self.history, guard, start, end, self.remembers)[0]) < int(data["at_least"].split()[0])
            if few and data["below"] == "missing":
                value = None
            breaches = breaches and not few
        return value, breaches, samples

    def evaluate(self, t: int) -> str:
        """The state at `t`."""
        step = self.period if self.data["window"] == "wall_clock" else 60 if self.period >= 60 else 10
        end = (t - int(self.data["lag"])) // step * step
        if self.data["history"] == "new" and t < self.created:
            return self.state
        reach = self.n + max(self.n // 3, 2)
        seen = [self.judge(end - (k + 1) * self.period, end - k * self.period) for k in reversed(range(reach))]
        state = self.m_of_n([(value, breaches) for value, breaches, _ in seen])
        if self.data["low_samples"] == "ignore":
            share = float(self.data["statistic"][1:]) / 100
            if seen[-1][2] < round(10 / min(share, 1 - share), 6):
                state = self.state
        if self.data["warm_up"]:
            full = all(value is not None for value, _, _ in seen[-self.n :])
            self.warm = self.warm or full or t >= self.created + self.data["warm_up"]
            state = state if self.warm else "INSUFFICIENT_DATA"
        self.state = state
        return state

    def m_of_n(self, points: list[tuple[Point, bool]]) -> str:
        """AWS's rules for missing data."""
        missing = self.data["missing"]
        real = [breaches for value, breaches in points if value is not None]
        if not real:
            return {
                "missing": "INSUFFICIENT_DATA", "ignore": self.state, "breaching": "ALARM", "not_breaching": "OK",
            }[missing]  # fmt: skip
        gap = max(self.n - len(real), 0)
        if sum(real[-self.n :]) + (gap if missing == "breaching" else 0) >= self.m:
            return "ALARM"
        if missing in ("missing", "ignore") and all(real):
            oldest = next(k for k, (value, _) in enumerate(points) if value is not None)
            if len(points) - oldest >= self.m:
                return "ALARM" if missing == "missing" else self.state
        return "OK"


def random_alarm(rng: random.Random, resolution: int) -> dict[str, Any]:
    """An alarm as plain data, everything filled in."""
    period = rng.choice([60, 60, 120, 300, 900] if resolution == 60 else [10, 20, 30, 60, 120])
    data: dict[str, Any] = {
        "period": period, "datapoints": rng.choice(["1 of 1", "1 of 1", "2 of 2", "1 of 3", "2 of 3", "3 of 5"]),
        "missing": rng.choice(["missing", "ignore", "breaching", "not_breaching"]),
        "lag": rng.choice([0, 0, 45, 60, 150]), "history": rng.choice(["expected", "expected", "new"]),
        "window": "wall_clock" if period in (60, 300) and rng.random() < 0.3 else "sliding",
        "low_samples": "evaluate", "warm_up": 0.0, "of": rng.choice(list(SCOPES)),
    }  # fmt: skip
    if data["history"] == "new":
        data["warm_up"] = rng.choice([0.0, 120.0, 600.0])
    if rng.random() < 0.3:
        data["expression"] = rng.choice(list(EXPRESSIONS))
        data["metrics"] = {name: random_query(rng) for name in "ab"}
        data["threshold"] = f"{rng.choice(['>', '>=', '<', '<='])} {rng.choice([0, 0.5, 1, 3, 20, 400])}"
    else:
        data |= random_query(rng)
        kind = data["metric"] if data["statistic"] != "sample_count" else "invocations"
        sign = rng.choice([">", ">", ">=", "<", "<="])
        if kind == "error_rate" or (kind in ("errors", "throttles") and data["statistic"] == "average"):
            data["threshold"] = f"{sign} {rng.choice([0, 5, 25, 50])}%"
        elif kind == "duration":
            data["threshold"] = f"{sign} {rng.choice([100, 250, 500, 1000])} ms"
        else:
            data["threshold"] = f"{sign} {rng.choice([0, 1, 3, 10, 40])}"
        if data["statistic"].startswith("p") and rng.random() < 0.5:
            data["low_samples"] = "ignore"
    if rng.random() < 0.25:
        data |= {"at_least": f"{rng.choice([2, 5, 20])} requests", "below": rng.choice(["ok", "missing"])}
    return data


def random_query(rng: random.Random) -> dict[str, Any]:
    metric = rng.choice(["invocations", "errors", "errors", "throttles", "error_rate", "duration"])
    statistics = {
        "error_rate": ["average"], "duration": ["average", "minimum", "maximum", "sum", "p50", "p90", "p99.9", "tm90"],
    }.get(metric, ["sum", "sum", "average", "minimum", "maximum", "sample_count"])  # fmt: skip
    return {"metric": metric, "statistic": rng.choice(statistics), "of": rng.choice(list(SCOPES))}


Holds = Callable[[dict[str, str]], bool]


def random_rule(rng: random.Random, names: Sequence[str], depth: int = 2) -> tuple[str, Holds]:
    """A composite alarm's rule as text, and whether it holds for states by name."""
    kind = rng.choice(["leaf", "leaf", "not", "and", "or", "least"]) if depth else "leaf"
    if kind == "not":
        text, inner = random_rule(rng, names, depth - 1)
        return f"NOT ({text})", lambda states: not inner(states)
    if kind in ("and", "or"):
        (first, left), (second, right) = (random_rule(rng, names, depth - 1) for _ in range(2))
        text = f"({first}) {kind.upper()} ({second})"
        if kind == "and":
            return text, lambda states: left(states) and right(states)
        return text, lambda states: left(states) or right(states)
    state = rng.choice(list(STATES))
    if kind == "least":
        wanted, negated = rng.randint(1, len(names)), rng.random() < 0.3
        text = f"AT_LEAST({wanted}, {'NOT ' * negated}{state}, ({', '.join(names)}))"
        return text, lambda states: sum((states[name] == state) != negated for name in names) >= wanted
    name = rng.choice(list(names))
    return f'{state}("{name}")', lambda states: states[name] == state


def as_arrays(histories: list[History], alarms: Sequence[Alarm], resolution: int) -> Metrics:
    """The same histories as metrics."""
    metrics = Metrics(
        replications=len(histories), targets=TARGETS, resolution=resolution, horizon=CELLS * resolution,
        scopes=scopes_of(TARGETS, "prod", "1", "2"),
        percentiles=tuple(dict.fromkeys(key for alarm in alarms for key in alarm.percentiles)),
    )  # fmt: skip
    for r, history in enumerate(histories):
        metrics.errors[r], metrics.throttles[r] = history.errors, history.throttles
        for target, row in enumerate(history.durations):
            metrics.invocations[r, target] = [len(cell) for cell in row]
            metrics.duration_sum[r, target] = [sum(cell) for cell in row]
        for key, values in metrics.percentiles.items():
            name = f"{'tm' if key.trimmed else 'p'}{key.share * 100:.10g}"
            query = {"metric": "duration", "statistic": name, "of": key.of}
            for column in range(values.shape[1]):
                end = round((column + 1) * key.every)
                value = point(history, query, end - round(key.period), end, remembers=False)[0]
                values[r, column] = math.nan if value is None else value
    return metrics


THEN = Before(
    invocations=np.array(RATES), errors=np.array(RATES) * np.array(SHARES), bad=np.array(RATES) * np.array(SHARES),
    throttles=np.zeros(len(RATES)), durations=(Constant(TOOK),) * 3,
    forecast=lambda start, end: np.array(RATES) * (end - start),
)  # fmt: skip
"""What came before the simulation."""


def compared(cases: int, size: int, seed: int) -> Iterator[tuple[dict[str, Any], int, list[str], list[str]]]:
    """Alarms over `size` histories each: at every evaluation the states of both evaluators."""
    rng = random.Random(seed)
    for _ in range(cases):
        resolution = rng.choice([10, 60, 60])
        data = random_alarm(rng, resolution)
        alarm = as_alarm(data)
        histories = [History(rng, resolution) for _ in range(size)]
        created = rng.choice([0, 3 * resolution, 100])
        metrics = as_arrays(histories, [alarm], resolution)
        fast = AlarmEvaluator({"a": alarm}, metrics=metrics, objectives={}, before=THEN, created=created)
        slow = [SlowAlarm(data, history, created) for history in histories]
        beat = 60 if alarm.period >= 60 else 10
        first = rng.choice([0, beat, 5 * beat])
        for t in range(first, min(first + 7 * beat, CELLS * resolution) + 1, beat):
            fast.evaluate(float(t))
            yield data, t, [STATES[code] for code in fast.states[:, 0]], [one.evaluate(t) for one in slow]


def as_alarm(data: dict[str, Any]) -> Alarm:
    fields = dict(data)
    if "metrics" in fields:
        fields["metrics"] = {name: MetricQuery(**query) for name, query in fields["metrics"].items()}
    return Alarm(**fields)


def composed(cases: int, size: int, seed: int) -> Iterator[tuple[str, list[str], list[str]]]:
    """Composite alarms over three random ones, one of them over another composite one, at every evaluation."""
    rng = random.Random(seed)
    for _ in range(cases):
        resolution = rng.choice([10, 60, 60])
        leaves = {name: random_alarm(rng, resolution) for name in ("a", "b", "c")}
        (inner, inner_holds), (outer, outer_holds) = random_rule(rng, "abc"), random_rule(rng, ["a", "inner"])
        # The outer one comes first, so that the order in which they are read is the evaluator's own.
        alarms = {"outer": Alarm(rule=outer), "inner": Alarm(rule=inner)} | {
            name: as_alarm(data) for name, data in leaves.items()
        }
        histories, created = [History(rng, resolution) for _ in range(size)], rng.choice([0, 100])
        metrics = as_arrays(histories, [alarms[name] for name in leaves], resolution)
        fast = AlarmEvaluator(alarms, metrics=metrics, objectives={}, before=THEN, created=created)
        slow = [{name: SlowAlarm(data, history, created) for name, data in leaves.items()} for history in histories]
        for t in range(0, min(8 * 60, CELLS * resolution) + 1, 10):
            fast.evaluate(float(t))
            due = [name for name in leaves if t % (60 if alarms[name].period >= 60 else 10) == 0]
            expected = []
            for of in slow:
                for name in due:
                    of[name].state = of[name].evaluate(t)
                states = {name: of[name].state for name in leaves}
                states["inner"] = "ALARM" if inner_holds(states) else "OK"
                expected.append("ALARM" if outer_holds(states) else "OK")
            yield f"{outer} over {inner}", [STATES[code] for code in fast.states[:, 0]], expected


def test_composite_alarms_agree_with_their_rules_read_slowly() -> None:
    seen = {"ALARM": 0, "OK": 0}
    for rules, fast, slow in composed(cases=25, size=4, seed=4):
        assert fast == slow, rules
        for state in fast:
            seen[state] += 1
    assert min(seen.values()) > 400


@pytest.mark.slow
def test_composite_alarms_agree_on_many_histories() -> None:
    assert all(fast == slow for _, fast, slow in composed(cases=60, size=10, seed=5))


def test_a_rule_that_is_read_in_the_wrong_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout_sim.control.alarm_evaluator.in_order", list)
    assert any(fast != slow for _, fast, slow in composed(10, 3, 4))


def agree(cases: int, size: int, seed: int) -> dict[str, int]:
    """How often each state was seen, where both agree throughout."""
    seen = dict.fromkeys(STATES, 0)
    for data, t, fast, slow in compared(cases, size, seed):
        assert fast == slow, (data, t, [k for k in range(size) if fast[k] != slow[k]])
        for state in fast:
            seen[state] += 1
    return seen


def test_both_evaluators_agree() -> None:
    seen = agree(cases=150, size=10, seed=1)
    assert min(seen.values()) > 500, "every state really occurs"


@pytest.mark.slow
def test_both_evaluators_agree_on_twenty_thousand_histories() -> None:
    assert min(agree(cases=400, size=50, seed=2).values()) > 2_000


def test_the_comparison_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A period that is counted on the fixed grid of the clock, as it once was."""
    original = AlarmEvaluator._ends

    def fixed(self: AlarmEvaluator, column: int, t: float) -> Iterator[tuple[Any, float]]:
        for rows, end in original(self, column, t):
            period = self._alarms[column].period
            yield rows, end // period * period

    monkeypatch.setattr(AlarmEvaluator, "_ends", fixed)
    assert any(fast != slow for _, _, fast, slow in compared(30, 10, 1))
