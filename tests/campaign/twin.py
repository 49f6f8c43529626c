"""A second simulator, slow and plain: one run of a scenario, written from the rules and from the schema's descriptions.

It imports nothing of the package, reads the scenario's plain data with units of its own, and draws its own random
numbers. What both say is compared in distribution (`agreement`). Times are whole microseconds, so that instants that
are equal on paper are equal. The order of an instant: completions, alarms, rollback, shifts, arrivals.
"""

from __future__ import annotations

import heapq
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECOND = 1_000_000
UNITS = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
    "/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600, "/d": 1 / 86400, "%": 0.01, "x": 1.0,
}  # fmt: skip
COMPLETION, EVALUATION, ROLLBACK, SHIFT, ARRIVAL = range(5)
OK, RESPONSE, FAILED, DESTROYED = range(4)
Z99 = 2.3263478740408408
INIT_LIMIT = 10 * SECOND
CRASH = SECOND // 100


class NotModelledError(ValueError):
    """The scenario uses something that the twin does not know."""


def number(text: Any) -> float:
    """`80 ms`, `4%` or `2x` in seconds, per second, or as a fraction; 0 may stand without a unit."""
    if text == 0:
        return 0.0
    match = re.fullmatch(r"\s*([-+\d.eE]+?)\s*([a-z%/]+)\s*", str(text))
    if match is None:
        raise NotModelledError(text)
    return float(match[1]) * UNITS[match[2]]


def micro(seconds: float) -> int:
    return math.floor(seconds * SECOND + 0.5)


def instant(text: Any) -> int:
    return micro(number(text))


def sampler(shape: Any, rng: random.Random) -> Callable[[], float]:
    """Draws of a distribution as a scenario writes it, in seconds."""
    if not isinstance(shape, dict):
        value = number(shape)
        return lambda: value
    (kind, fields), *rest = shape.items()
    if rest or kind not in ("exponential", "lognormal", "gamma", "uniform"):
        raise NotModelledError(shape)
    values = {name: number(text) for name, text in fields.items()}
    if kind == "exponential":
        return lambda: rng.expovariate(1 / values["mean"])
    if kind == "lognormal":
        mu, sigma = math.log(values["median"]), math.log(values["p99"] / values["median"]) / Z99
        return lambda: rng.lognormvariate(mu, sigma)
    if kind == "gamma":
        order = (values["mean"] / values["sd"]) ** 2
        return lambda: rng.gammavariate(order, values["mean"] / order)
    return lambda: rng.uniform(values["low"], values["high"])


class Fault:
    """One fault: its kind, its fields, and how far it has set in at a time."""

    def __init__(self, data: dict[str, Any], start: int) -> None:
        kinds = ("errors", "latency", "crash", "hang", "responses", "init", "leak", "load")
        (self.kind,) = [kind for kind in kinds if kind in data]
        self.onset = start + instant(data.get("onset", 0))
        self.ramp = instant(data.get("ramp", 0))
        until = data.get("until")
        self.until = math.inf if until is None else start + instant(until)
        self.of = number(data.get("share", "100%"))
        value = data[self.kind]
        fields = value if isinstance(value, dict) else {}
        self.per = instant(fields.get("per", 0))
        self.above = fields.get("above", 0)
        self.share, self.factor, self.add = 0.0, 1.0, 0.0
        texts = [fields[name] for name in ("errors", "latency") if name in fields] if fields else [value]
        for text in texts:
            if str(text).endswith("%"):
                self.share = number(text)
            elif str(text).endswith("x"):
                self.factor = number(text)
            else:
                self.add = number(text)

    def strength(self, t: int) -> float:
        if not self.onset <= t < self.until:
            return 0.0
        return 1.0 if t - self.onset >= self.ramp else (t - self.onset) / self.ramp


class Environment:
    """One execution environment of a version."""

    __slots__ = ("created", "idle_since", "order", "provisioned")

    def __init__(self, created: int, order: int, *, provisioned: bool) -> None:
        self.created = created
        self.order = order
        self.provisioned = provisioned
        self.idle_since = created


class Request:
    """One request: what sent it, when it came (us), and the version that had its last attempt."""

    __slots__ = ("arrived", "source", "version")

    def __init__(self, source: dict[str, Any], arrived: int) -> None:
        self.source = source
        self.arrived = arrived
        self.version = ""


class Version:
    """How one version behaves, and its idle environments."""

    def __init__(self, data: dict[str, Any], incident: list[Any], start: int, rng: random.Random) -> None:
        known = {"duration", "cold_start", "error_rate", "failed_responses", "provisioned", "faults"}
        if set(data) - known:
            raise NotModelledError(sorted(set(data) - known))
        self.duration = sampler(data["duration"], rng)
        cold = data.get("cold_start")
        self.cold_start = None if cold is None else sampler(cold, rng)
        self.error_rate = number(data.get("error_rate", 0))
        self.failed_responses = number(data.get("failed_responses", 0))
        self.faults = [Fault(fault, start) for fault in (*data.get("faults", ()), *incident)]
        self.idle: list[Environment] = []
        self.provisioned = data.get("provisioned", 0)


class Alarm:
    """An alarm of M of N datapoints."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.metric = data["metric"]
        if self.metric == "burn_rate":
            raise NotModelledError("burn_rate")
        self.statistic = data.get("statistic") or ("average" if self.metric in ("error_rate", "duration") else "sum")
        self.of = data.get("of", "alias")
        self.period = instant(data.get("period", "1 min"))
        self.m, self.n = (int(part) for part in data.get("datapoints", "1 of 1").split(" of "))
        self.missing = {"notBreaching": "not_breaching"}.get(data.get("missing"), data.get("missing", "missing"))
        self.lag = instant(data.get("lag", 0))
        self.new = (
            data.get("history") == "new"
        )  # else it has a past, which is not modelled: nothing was before time zero
        self.comparator, limit = re.fullmatch(r"\s*([<>]=?)\s*(.+)", data["threshold"]).groups()
        self.limit = float(limit) if re.fullmatch(r"[\d.]+", limit) else number(limit)
        self.state = "INSUFFICIENT_DATA"

    def breaches(self, value: float) -> bool:
        return {
            ">": value > self.limit, ">=": value >= self.limit, "<": value < self.limit, "<=": value <= self.limit,
        }[self.comparator]  # fmt: skip

    def settle(self, points: list[float | None]) -> str:
        """The state on the datapoints of the evaluation range, oldest to newest, None for a missing one."""
        real = [self.breaches(point) for point in points if point is not None]
        breaches = sum(real[-self.n :])
        gap = max(self.n - len(real), 0)
        if not real:
            return {"missing": "INSUFFICIENT_DATA", "ignore": self.state, "breaching": "ALARM", "not_breaching": "OK"}[
                self.missing
            ]
        if breaches + (gap if self.missing == "breaching" else 0) >= self.m:
            return "ALARM"
        if gap and self.missing in ("missing", "ignore") and all(real):
            oldest = next(k for k, point in enumerate(points) if point is not None)
            if len(points) - oldest >= self.m:
                return "ALARM" if self.missing == "missing" else self.state
        return "OK"


def reach(n: int) -> int:
    """How many periods an alarm over `n` datapoints looks at."""
    return n + max(n // 3, 2)


def plan_of(strategy: dict[str, Any]) -> list[tuple[float, float]]:
    """The weights of the new version and how long (s) each is held."""
    kind = strategy["type"]
    if kind in ("all_at_once", "blue_green"):
        return [(1.0, 0.0)]
    if kind == "steps":
        steps = [(number(step["weight"]), number(step.get("hold", 0))) for step in strategy["steps"]]
        return steps if steps[-1][0] == 1 else [*steps, (1.0, 0.0)]
    match = re.fullmatch(r"(Canary|Linear)(\d+)Percent(?:Every)?(\d+)Minutes?", kind)
    if match is not None:
        shape, percent, hold = match[1].lower(), int(match[2]) / 100, int(match[3]) * 60.0
    elif kind in ("canary", "linear"):
        percent = strategy["percent"]
        percent = number(percent) if isinstance(percent, str) else percent / 100
        shape, hold = kind, number(strategy["interval"])
    else:
        raise NotModelledError(kind)
    if shape == "canary":
        return [(percent, hold), (1.0, 0.0)]
    count = math.ceil(1 / percent - 1e-9)
    return [(percent * k, hold) for k in range(1, count)] + [(1.0, 0.0)]


class Run:
    """One run: `go` returns its figures under the names of the package's columns."""

    def __init__(self, data: dict[str, Any], strategy: str, rng: random.Random, folder: Path) -> None:
        self.rng = rng
        self.folder = folder
        self.horizon = instant(data["horizon"])
        rollout = data["rollout"]
        self.start = instant(rollout.get("start", 0))
        self.revert = instant(rollout.get("revert", 0))
        function = data["function"]
        self.timeout = instant(function.get("timeout", "3 s"))
        self.keep_alive = instant(function.get("keep_alive", "10 min"))
        self.most_recent = function.get("reuse", "newest") == "most_recent"
        self.propagation = instant(function.get("propagation", 0))
        reserved = function.get("reserved_concurrency")
        self.limit = function.get("account_concurrency", 1000) if reserved is None else reserved
        self.alias = rollout["alias"]
        self.aliases = {alias: str(version) for alias, version in function["aliases"].items()}
        self.old, self.new = self.aliases[self.alias], str(rollout["to"])
        incident = data.get("incident", [])
        self.versions = {
            str(name): Version(version, incident if isinstance(incident, list) else [incident], self.start, rng)
            for name, version in function["versions"].items()
        }
        self.strategy = data["strategies"][strategy]
        self.alarms = {name: Alarm(alarm) for name, alarm in data.get("alarms", {}).items()}
        self.watched = [self.alarms[name] for name in rollout.get("alarms", [])]
        self.slos = data.get("slos", [])
        self.sources = data["traffic"]

        self.events: list[Any] = []
        self.sequence = 0
        self.now = 0
        self.weight = 0.0  # what the deployment has set
        self.routed = 0.0  # what the router knows
        self.running = 0
        self.busy = 0  # outside provisioned environments
        self.made = 0
        self.returned = 0
        self.phase = "before"
        self.outcome = "running"
        self.rolled_back_at = self.full_at = math.nan
        self.plan = self.deployment()
        self.seen: dict[tuple[str, int], list[Any]] = defaultdict(lambda: [0, 0, 0, 0, []])
        self.requests = self.bad = self.bad_new = self.cold = self.throttles = 0
        self.waiting: dict[Request, None] = {}  # without an answer
        self.bad_by = [0] * len(self.slos)

    def at(self, t: int, order: int, act: Callable[..., None], *arguments: Any) -> None:
        if t < self.horizon or (t == self.horizon and order != ARRIVAL):
            self.sequence += 1
            heapq.heappush(self.events, (t, order, self.sequence, act, arguments))

    def go(self) -> dict[str, float | str]:
        for version in self.versions.values():
            self.provision(version, version.provisioned)
        self.at(self.start, SHIFT, self.carry_on)
        for alarm in self.alarms.values():
            self.at(0, EVALUATION, self.evaluate, alarm)
        for index, source in enumerate(self.sources):
            self.next_arrival(index, source, self.arrivals(source["arrivals"]))
        while self.events:
            self.now, _, _, act, arguments = heapq.heappop(self.events)
            act(*arguments)
        self.now = self.horizon
        for request in list(self.waiting):
            if self.judge(request, failed=False):  # it has waited too long already
                self.count(request)
        return self.figures()

    def figures(self) -> dict[str, float | str]:
        since = self.start / SECOND
        budgets = {}
        for slo, bad in zip(self.slos, self.bad_by, strict=True):
            rate = self.expected_rate(slo.get("alias") or self.alias)
            whole = (1 - number(slo["objective"])) * rate * number(slo.get("window", "30 d"))
            budgets[f"budget_spent.{slo['name']}"] = number(slo.get("spent", 0)) + bad / whole
        return {
            "outcome": self.outcome,
            "time_to_rollback_s": self.rolled_back_at - since,
            "time_to_full_s": self.full_at - since,
            "requests": self.requests,
            "bad_requests": self.bad,
            "bad_requests_new_version": self.bad_new,
            "cold_starts": self.cold,
            "throttles": self.throttles,
            "pending": len(self.waiting),
            **budgets,
        }

    # The deployment

    def carry_on(self) -> None:
        """The next part of the deployment, unless something has stopped it."""
        if self.phase in ("before", "deploying"):
            wait = next(self.plan, None)
            if wait is not None:
                self.at(self.now + wait, SHIFT, self.carry_on)

    def deployment(self) -> Iterator[int]:
        """Everything that the strategy does; yields how long it waits in between."""
        strategy = self.strategy
        hooks = strategy.get("hooks", {})
        before, after = hooks.get("before_allow_traffic"), hooks.get("after_allow_traffic")
        if strategy["type"] == "blue_green" and before is None:
            before = {}
        if any(alarm.state == "ALARM" for alarm in self.watched):
            self.phase, self.outcome = "over", "blocked"
            return
        self.phase = "deploying"
        if strategy.get("provisioned"):
            allocation = instant(strategy.get("allocation", "90 s"))
            self.at(self.now + allocation, SHIFT, self.provision, self.versions[self.new], strategy["provisioned"])
            yield allocation
        if before is not None:
            yield from self.hook(before)
        for weight, hold in plan_of(strategy):
            self.shift(weight)
            yield micro(hold)
        if after is not None:
            yield from self.hook(after)
        yield instant(strategy.get("bake", 0))
        self.promote()

    def hook(self, hook: dict[str, Any]) -> Iterator[int]:
        """Its tests, and its judgement once all are answered, or after an hour without an answer."""
        over, count, began = instant(hook.get("over", "30 s")), hook.get("invocations", 10), self.now
        self.answers: list[tuple[int, bool]] = []
        for k in range(count):
            self.at(began + micro((k + 0.5) * over / SECOND / count), ARRIVAL, self.test)
        yield over
        last = max(at for at, _ in self.answers)
        yield min(max(last, self.now), began + 3600 * SECOND) - self.now
        if last > self.now or sum(not passed for _, passed in self.answers) > hook.get("max_failures", 0):
            if self.weight:
                self.turn_back("failed")
            else:
                self.phase, self.outcome = "over", "failed"
            yield 0

    def test(self) -> None:
        version = self.versions[self.new]
        environment, cold = self.take(version)
        if environment is None:
            self.answers.append((self.now, False))
            return
        outcome, init, duration = self.behave(version, environment, cold=cold)
        self.answers.append((self.now + init + duration, outcome == OK))
        self.at(self.now + init + duration, COMPLETION, self.give_back, version, environment, outcome)

    def shift(self, weight: float) -> None:
        if self.phase == "deploying":
            self.point(weight)
            if weight == 1:
                self.full_at = self.now / SECOND

    def promote(self) -> None:
        if self.phase == "deploying":
            self.phase, self.outcome = "over", "promoted"

    def turn_back(self, outcome: str) -> None:
        self.phase = "reverting"
        self.at(self.now + self.revert, ROLLBACK, self.turned_back, outcome)

    def turned_back(self, outcome: str) -> None:
        self.phase, self.outcome = "over", outcome
        self.rolled_back_at = self.now / SECOND
        self.point(0.0)

    def point(self, weight: float) -> None:
        self.weight = weight
        if self.propagation:
            self.at(self.now + self.propagation, SHIFT, self.route, weight)
        else:
            self.route(weight)

    def route(self, weight: float) -> None:
        self.routed = weight

    # Alarms

    def evaluate(self, alarm: Alarm) -> None:
        if not (alarm.new and self.now < self.start):
            step = 60 * SECOND if alarm.period >= 60 * SECOND else 10 * SECOND
            end = (self.now - alarm.lag) // step * step
            ends = [end - k * alarm.period for k in reversed(range(reach(alarm.n)))]
            alarm.state = alarm.settle([self.point_of(alarm, at) for at in ends])
        if self.phase == "deploying" and alarm in self.watched and alarm.state == "ALARM":
            self.turn_back("rolled_back")
        beat = 60 * SECOND if alarm.period >= 60 * SECOND else 10 * SECOND
        self.at(self.now + beat, EVALUATION, self.evaluate, alarm)

    def point_of(self, alarm: Alarm, end: int) -> float | None:
        """The datapoint of the period that ends at `end`, as far as it is known now."""
        versions = {"alias": list(self.versions), "old_version": [self.old], "new_version": [self.new]}[alarm.of]
        cells = range(max(end - alarm.period, 0) // (10 * SECOND), max(end, 0) // (10 * SECOND))
        entries = [self.seen[version, k] for version in versions for k in cells if (version, k) in self.seen]
        invocations, errors, throttles, total = (sum(entry[k] for entry in entries) for k in range(4))
        samples = invocations + (throttles if alarm.metric == "throttles" else 0)
        if not samples:
            return None
        if alarm.metric == "duration" and alarm.statistic != "average":
            times = sorted(time for entry in entries for time in entry[4])
            share = float(alarm.statistic[1:]) / 100
            return times[max(math.ceil(share * len(times) - 1e-9), 1) - 1] / SECOND
        value = {"invocations": invocations, "throttles": throttles, "duration": total / SECOND}.get(
            alarm.metric, errors
        )
        return round(value / samples, 9) if alarm.statistic == "average" else value

    # Requests

    def arrivals(self, shape: dict[str, Any]) -> Iterator[int]:
        """The times at which a source's requests come."""
        rng = self.rng
        if "poisson" in shape:
            yield from self.poisson(lambda _: 1.0, number(shape["poisson"]))
        elif "fixed" in shape:
            t = instant(shape.get("offset", 0))
            while True:
                yield t
                t += instant(shape["fixed"])
        elif "diurnal" in shape:
            fields = shape["diurnal"]
            amplitude, mean = number(fields["amplitude"]), number(fields["mean"])
            length, peak = number(fields.get("period", "1 d")), number(fields.get("peak", 0))
            yield from self.poisson(
                lambda t: (1 + amplitude * math.cos(2 * math.pi * (t - peak) / length)) / (1 + amplitude),
                mean * (1 + amplitude),
            )
        elif "bursty" in shape:
            fields = {name: number(text) for name, text in shape["bursty"].items()}
            high = rng.random() < fields["stay_high"] / (fields["stay_low"] + fields["stay_high"])
            begins = 0.0
            while begins * SECOND < self.horizon:
                name = "high" if high else "low"
                ends = begins + rng.expovariate(1 / fields[f"stay_{name}"])
                t = begins
                while (t := t + rng.expovariate(fields[name])) < ends:
                    yield micro(t)
                begins, high = ends, not high
        elif "trace" in shape:
            yield from self.replay(shape["trace"])
        else:
            raise NotModelledError(shape)

    def poisson(self, kept: Callable[[float], float], rate: float) -> Iterator[int]:
        """A Poisson process by thinning one of the highest rate."""
        t = 0.0
        while True:
            t += self.rng.expovariate(rate)
            if self.rng.random() < kept(t):
                yield micro(t)

    def replay(self, trace: dict[str, Any]) -> Iterator[int]:
        if trace["layout"] != "counts" or trace.get("repeat"):
            raise NotModelledError(trace)
        rng = self.rng
        scale, minute = number(trace.get("scale", "1x")), 60 / number(trace.get("speed", "1x"))
        lines = (self.folder / trace["file"]).read_text(encoding="utf-8").split()
        for k, count in enumerate(int(line) for line in lines):
            copies = sum(int(scale) + (rng.random() < scale % 1) for _ in range(count))
            yield from sorted(micro((k + rng.random()) * minute) for _ in range(copies))

    def expected_rate(self, alias: str) -> float:
        """Requests per second in the long run."""
        rate = 0.0
        for source in self.sources:
            shape = source["arrivals"]
            if source["alias"] != alias:
                continue
            if "poisson" in shape:
                rate += number(shape["poisson"])
            elif "fixed" in shape:
                rate += 1 / number(shape["fixed"])
            elif "diurnal" in shape:
                rate += number(shape["diurnal"]["mean"])
            elif "bursty" in shape:
                fields = {name: number(text) for name, text in shape["bursty"].items()}
                weighted = fields["low"] * fields["stay_low"] + fields["high"] * fields["stay_high"]
                rate += weighted / (fields["stay_low"] + fields["stay_high"])
            else:
                return math.nan
        return rate

    def next_arrival(self, index: int, source: dict[str, Any], times: Iterator[int]) -> None:
        t = next(times, None)
        if t is not None:
            self.at(t, ARRIVAL, self.arrive, index, source, times)

    def arrive(self, index: int, source: dict[str, Any], times: Iterator[int]) -> None:
        request = Request(source, self.now)
        self.waiting[request] = None
        self.attempt(request, 1, 0, 0)
        self.next_arrival(index, source, times)

    def attempt(self, request: Request, attempt: int, errors: int, throttles: int) -> None:
        source = request.source
        name = self.aliases[source["alias"]]
        if source["alias"] == self.alias:
            name = self.new if self.rng.random() < self.routed else self.old
        request.version = name
        version = self.versions[name]
        environment, cold = self.take(version)
        counted = source["alias"] == self.alias
        if environment is None:
            self.throttles += 1
            if counted:
                self.seen[name, self.now // (10 * SECOND)][2] += 1
            self.after(request, attempt, errors, throttles + 1, "throttle")
            return
        outcome, init, duration = self.behave(version, environment, cold=cold)
        self.at(
            self.now + init + duration, COMPLETION, self.complete,
            request, attempt, errors, throttles, environment, outcome, cold, self.now, duration,
        )  # fmt: skip

    def complete(
        self, request: Request, attempt: int, errors: int, throttles: int,
        environment: Environment, outcome: int, cold: bool, began: int, duration: int,
    ) -> None:  # fmt: skip
        self.give_back(self.versions[request.version], environment, outcome)
        self.cold += cold
        if request.source["alias"] == self.alias:
            entry = self.seen[request.version, began // (10 * SECOND)]
            entry[0] += 1
            entry[1] += outcome >= FAILED
            entry[3] += duration
            entry[4].append(duration)
        if outcome == OK:
            self.answer(request, failed=False)
        elif outcome == RESPONSE:
            self.after(request, attempt, errors, throttles, "failed_response")
        else:
            self.after(request, attempt, errors + 1, throttles, "error")

    def after(self, request: Request, attempt: int, errors: int, throttles: int, what: str) -> None:
        """An attempt failed: another one, or the answer."""
        source, arrived = request.source, request.arrived
        if source["source"] == "http":
            retry = source.get("retry") or {"attempts": 1}
            again = attempt < retry.get("attempts", 3) and what in retry.get("on", ["throttle", "error"])
            wait = number(retry.get("base", "0.1 s")) * number(retry.get("factor", "2x")) ** (attempt - 1)
            wait = min(wait, number(retry.get("cap", "20 s")))
            if retry.get("jitter", "full") == "full":
                wait *= self.rng.random()
        elif what == "failed_response":
            again, wait = False, 0.0
        else:
            if what == "error":
                again = errors <= source.get("async_retries", 2)
                wait = 60.0 * errors
            else:
                again, wait = True, min(2.0 ** (throttles - 1), 300.0)
            again = again and self.now + micro(wait) <= arrived + instant(source.get("max_event_age", "6 h"))
        if again:
            then = self.now + micro(wait)
            self.at(then, ARRIVAL, self.attempt, request, attempt + 1, errors, throttles)
        else:
            self.answer(request, failed=True)

    def answer(self, request: Request, *, failed: bool) -> None:
        self.count(request)
        self.judge(request, failed=failed)

    def count(self, request: Request) -> None:
        """It is known whether the request is good or bad."""
        del self.waiting[request]
        self.requests += 1

    def judge(self, request: Request, *, failed: bool) -> bool:
        """Counts a request that is bad by now, and says whether it is."""
        source, bad = request.source, failed
        for j, slo in enumerate(self.slos):
            if (slo.get("alias") or self.alias) == source["alias"]:
                sli = slo.get("sli", "errors")
                slow = isinstance(sli, dict) and self.now - request.arrived > instant(sli["latency"])
                self.bad_by[j] += failed or slow
                bad = bad or slow
        self.bad += bad
        if source["alias"] == self.alias and request.version == self.new:
            self.bad_new += bad
        return bad

    # Environments

    def provision(self, version: Version, count: int) -> None:
        self.limit -= count
        for _ in range(count):
            self.made += 1
            version.idle.append(Environment(self.now, self.made, provisioned=True))

    def take(self, version: Version) -> tuple[Environment | None, bool]:
        """An environment for an invocation that starts now, and whether it is a cold start; None: throttled."""
        version.idle = [e for e in version.idle if e.provisioned or e.idle_since + self.keep_alive >= self.now]
        ready = [e for e in version.idle if e.provisioned]
        if not ready:
            if self.busy >= self.limit:
                return None, False
            self.busy += 1
            ready = version.idle
        self.running += 1
        if ready:
            environment = max(ready, key=lambda e: e.idle_since if self.most_recent else e.order)
            version.idle.remove(environment)
            return environment, False
        self.made += 1
        return Environment(self.now, self.made, provisioned=False), True

    def give_back(self, version: Version, environment: Environment, outcome: int) -> None:
        self.running -= 1
        self.busy -= not environment.provisioned
        environment.idle_since = self.now
        if outcome != DESTROYED:
            version.idle.append(environment)
        elif environment.provisioned:
            self.made += 1
            version.idle.append(Environment(self.now, self.made, provisioned=True))

    def behave(self, version: Version, environment: Environment, *, cold: bool) -> tuple[int, int, int]:
        """What becomes of an invocation that starts now: outcome, init and duration (us)."""
        t, rng = self.now, self.rng
        age = t - environment.created
        duration = version.duration()
        init = version.cold_start() if cold and version.cold_start is not None else 0.0
        fails = {
            "init": False, "crash": False, "hang": False,
            "error": rng.random() < version.error_rate, "responses": rng.random() < version.failed_responses,
        }  # fmt: skip
        u = rng.random()
        for fault in version.faults:
            strength = fault.strength(t)
            if not strength:
                continue
            kind = {"errors": "error", "leak": "error", "load": "error"}.get(fault.kind, fault.kind)
            share = fault.share * strength
            more = 1 + (fault.factor - 1) * strength
            add = fault.add * strength
            if fault.kind == "leak":
                share = min(share * age / fault.per, 1.0)
                more = 1 + (fault.factor - 1) * strength * age / fault.per
                add *= age / fault.per
            if (fault.kind == "load" and self.running <= fault.above) or (fault.kind == "init" and not cold):
                continue
            if share and rng.random() < share:
                fails[kind] = True
            if fault.kind == "init":
                init = init * more + add
            elif fault.kind != "latency" or u < fault.of:
                duration = duration * more + add
        started, lasts = micro(init), micro(duration)
        if started > INIT_LIMIT or fails["init"]:
            return DESTROYED, min(started, INIT_LIMIT), 0
        if fails["crash"] and not fails["hang"] and self.timeout > CRASH:
            return DESTROYED, started, CRASH
        if fails["crash"] or fails["hang"] or lasts >= self.timeout:
            return DESTROYED, started, self.timeout
        return FAILED if fails["error"] else RESPONSE if fails["responses"] else OK, started, lasts


def run(data: dict[str, Any], strategy: str, seed: str, folder: Path) -> dict[str, float | str]:
    """The figures of one run of the scenario's plain `data`; `folder` is where its files are."""
    return Run(data, strategy, random.Random(seed), folder).go()
