"""What is allowed in a scenario and probably not meant: an alarm that can never fire, a rollout that nothing watches.

Each check is about one mistake and yields its warnings. A new check is a function that takes a scenario and stands in
`CHECKS`; its warnings carry a name that does not change, by which people and programs can tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from rollout_sim.control.alarms import COMPARE, Alarm
from rollout_sim.control.expressions import CODES
from rollout_sim.control.metrics import scopes_of
from rollout_sim.control.ranges import Range, range_of
from rollout_sim.control.readings import POLLED, TIMES, Reading
from rollout_sim.control.strategies import Plan
from rollout_sim.core.formatting import show_duration as duration_text
from rollout_sim.core.minutes import moment_of, stamp_of
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import text
from rollout_sim.core.yaml_io import Where, dotted, listed
from rollout_sim.function.faults import Fault
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.scenario.sections import Sections
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Source

_PUBLISHED: Final = 60.0
"""Lambda publishes its metrics once in so many seconds."""
_LOWEST_OBJECTIVE: Final = 0.5
_TIMED_OUT: Final = 0.01
_PERCENT: Final = 100.0
_MOST_FREE: Final = 7
"""Alarms of a composite one's rule of which all states are tried."""
_DEVIATIONS: Final = 6.0
"""Standard deviations above the mean that a count of random arrivals practically never reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioWarning:
    """Something that is allowed and probably not meant."""

    name: str
    """Which mistake it is, such as `no-alarm`; the same in every version."""
    where: Where
    """The place in the file."""
    what: str
    """What follows from it, and what to do."""

    def __str__(self) -> str:
        return f"{dotted(self.where)}: {self.what} [{self.name}]"


Check = Callable[[Sections], Iterator[ScenarioWarning]]


def warnings_about(scenario: Sections, checks: Sequence[Check] | None = None) -> tuple[ScenarioWarning, ...]:
    """Everything in a scenario that is probably not meant, in the order of the `checks`, by default all."""
    return tuple(warning for check in (CHECKS if checks is None else checks) for warning in check(scenario))


def _no_alarm(scenario: Sections) -> Iterator[ScenarioWarning]:
    """Nothing watches the rollout."""
    if scenario.rollout is not None and not scenario.rollout.alarms:
        others = f"; there are {', '.join(scenario.alarms)}" if scenario.alarms else ""
        what = f"names no alarm, so nothing stops a bad version{others}"
        yield ScenarioWarning(name="no-alarm", where=("rollout", "alarms"), what=what)


def _unused_alarm(scenario: Sections) -> Iterator[ScenarioWarning]:
    """An alarm that neither stops the rollout nor pages anybody."""
    for name in scenario.alarms:
        if name not in scenario.evaluated:
            what = "only watches: it stops no rollout and pages nobody; rollout.alarms or on_call.alarms would name it"
            yield ScenarioWarning(name="unused-alarm", where=("alarms", name), what=what)


def _unreachable_threshold(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A threshold above what the metric can come to, so that the alarm never fires; or one that every value breaches."""
    for name, alarm in scenario.alarms.items():
        if alarm.composite is not None or alarm.band is not None:
            continue  # what comes out is not known before
        least, most, why, what_it_is = 0.0, *_highest_of(scenario, alarm), "the metric"
        if alarm.expression is not None:
            given = _expressed(scenario, alarm)
            least, most, what_it_is = given.low, given.high, "the expression"
            why = f"the expression comes to {least:.6g} to {most:.6g}"
        breaches = COMPARE[alarm.comparator]
        rising = alarm.comparator in (">", ">=")
        lowest, highest = (breaches(np.float64(value), alarm.limit) for value in (least, most))
        where = ("alarms", name, "threshold")
        if rising and not highest:
            what = f"{alarm.threshold} is never reached: {why}"
        elif not rising and not lowest:
            what = f"{alarm.threshold} is never reached: {what_it_is} is never below {least:.6g}"
        elif lowest and highest:
            what = f"{alarm.threshold} holds for every value that {what_it_is} can have, so the alarm always fires"
        elif alarm.expression is not None and alarm.threshold.strip().endswith("%") and (least, most) == (0.0, 100.0):
            what = f"{alarm.threshold} is {alarm.comparator} {alarm.limit:g}, and {why}: it is in percent already"
        else:
            continue
        meant = ""
        if alarm.expression is not None and (least, most) == (0.0, 1.0) and 1 < alarm.limit <= _PERCENT:
            meant = f"; is {alarm.comparator} {alarm.limit:g}% meant?"
        elif what.endswith("percent already"):
            meant = f"; is {alarm.comparator} {alarm.limit * _PERCENT:g} meant?"
        yield ScenarioWarning(name="threshold", where=where, what=what + meant)


def _expressed(scenario: Sections, alarm: Alarm) -> Range:
    """What an alarm's metric maths can come to, from what its metrics can."""
    assert alarm.maths is not None
    metrics = {}
    for name, reading in alarm.readings.items():
        most, _ = _highest(scenario, reading)
        more = {other: 1.0 for other, whole in alarm.readings.items() if other != name and _is_part(reading, whole)}
        metrics[name] = Range(low=0.0, high=most, at_most=more)
    return range_of(alarm.maths, metrics)


def _is_part(reading: Reading, whole: Reading) -> bool:
    """Whether what is counted by the first is counted by the second as well."""
    counted, counts = ("invocations" if each.statistic == "sample_count" else each.metric for each in (reading, whole))
    sums = all(each.statistic in ("sum", "sample_count") for each in (reading, whole))
    inside = whole.of in (reading.of, "function") or (whole.of == "alias" and reading.of != "function")
    return sums and inside and (counted == counts or (counted, counts) == ("errors", "invocations"))


def _highest_of(scenario: Sections, alarm: Alarm) -> tuple[float, str]:
    """The highest value that the metric of an alarm can take, a burn rate included, and why."""
    if alarm.metric == "burn_rate":
        objective = next(slo.objective for slo in scenario.slos if slo.name == alarm.slo)
        most = 1 / (1 - objective)
        return most, f"where all requests are bad, a budget of {text(1 - objective, 'share')} burns at {most:.3g} x"
    return _highest(scenario, alarm)


def _highest(scenario: Sections, alarm: Alarm | Reading) -> tuple[float, str]:
    """The highest value (counts, fractions, seconds, factors) that a metric can take, and why."""
    timeout = scenario.function.timeout
    if alarm.metric in POLLED:
        return math.inf, ""  # a backlog may grow without end
    longest, ends = timeout, "the timeout ends"
    if alarm.metric == "latency":
        longest, ends = timeout + INIT_LIMIT, "init and timeout end"
    if alarm.metric in TIMES and alarm.statistic not in ("sum", "sample_count"):
        return longest, f"{ends} every invocation after {text(longest, 'duration')}"
    if alarm.metric == "error_rate" or alarm.statistic in ("average", "minimum", "maximum"):
        return 1.0, "a share is at most 100%, and each invocation counts as 0 or 1"
    sources = [source for source in scenario.traffic if alarm.of == "function" or source.alias == scenario.alias]
    most = math.fsum(_attempts(scenario, source, alarm) for source in sources)
    most += _DEVIATIONS * math.sqrt(most) + _DEVIATIONS if math.isfinite(most) else 0.0
    why = f"in {text(alarm.period, 'duration')} come at most some {most:,.0f} invocations, retries included"
    if alarm.statistic == "sum" and alarm.metric in TIMES:
        return most * longest, f"{why}, of {text(longest, 'duration')} at most"
    return most, why


def _attempts(scenario: Sections, source: Source, alarm: Alarm | Reading) -> float:
    """Invocations in a period, on average where requests are densest and each is tried as often as may be."""
    if source.arrivals.custom is not None and not hasattr(source.arrivals.custom, "expected"):
        return math.inf  # they may come at any rate
    if source.polled:
        return math.inf  # a batch may be tried over and over
    if source.source == "http":
        attempts = 1 if source.retry is None else source.retry.attempts
    elif alarm.metric in ("throttles", "responses_5xx"):
        return math.inf  # an event is tried for hours
    else:
        attempts = 1 + source.async_retries
    rate = arrival_process(source.arrivals, Streams(seed=0), "warnings", scenario.horizon).highest_rate(
        scenario.horizon
    )
    return rate * alarm.period * attempts


def _without_data(scenario: Sections) -> Iterator[ScenarioWarning]:
    """An alarm on somebody who has no traffic."""
    scopes = scopes_of(scenario.targets, scenario.alias, scenario.old, scenario.new)
    for name, alarm in scenario.alarms.items():
        empty = [of.replace("_", " ") for of in alarm.scopes if not scopes[of]] if alarm.composite is None else []
        if empty:
            what = f"has no data: there is no {' and no '.join(empty)} behind the alias {scenario.alias!r}"
            yield ScenarioWarning(name="no-data", where=("alarms", name), what=what)


def _too_late(scenario: Sections) -> Iterator[ScenarioWarning]:
    """An alarm that a bad version cannot turn red before the deployment is over, for its periods, M of N or lag."""
    if scenario.rollout is None:
        return
    for name in scenario.rollout.alarms:
        alarm = scenario.alarms[name]
        if alarm.composite is None and "old_version" in alarm.scopes:
            continue
        late, first = [], 0.0
        for strategy, chosen in scenario.strategies.items():
            plan, exposed = chosen.plan, _exposed(chosen.plan)
            takes = min(_earliest_of(scenario, name, start + exposed) - start for start in scenario.starts)
            if exposed < plan.length < takes:  # one that holds no time is watched by nothing anyway
                late.append(f"{strategy} ({duration_text(plan.length)})")
                first = max(first, takes)
        if late:
            what = (
                f"cannot turn red because of version {scenario.rollout.to} before the deployment is over: {_takes(alarm)} "
                f"it takes at least {duration_text(first)}, which is too long for {listed(late)}"
            )
            yield ScenarioWarning(name="too-late", where=("alarms", name), what=what)


def _takes(alarm: Alarm) -> str:
    """What an alarm needs time for, in words."""
    if alarm.composite is not None:
        return f"with the alarms that it reads ({listed(alarm.composite.names)})"
    lag = f"a lag of {duration_text(alarm.lags[0])}" if alarm.lags[0] else ""
    if alarm.slo is not None:
        return f"with {lag}" if lag else "even at once"
    return " and ".join(filter(None, [f"with {alarm.datapoints} periods of {duration_text(alarm.period)}", lag]))


def _earliest_of(scenario: Sections, name: str, start: float) -> float:
    """The first instant (s) at which an alarm can turn red because of what happens after `start`.

    A composite one can when its rule holds with some states of those alarms that can have turned by then, the others being
    in OK; one that holds with all of them in OK is red in any case.
    """
    alarm = scenario.alarms[name]
    if alarm.composite is None:
        return start if "old_version" in alarm.scopes else _earliest(alarm, start)
    turns = {other: _earliest_of(scenario, other, start) for other in alarm.composite.names}
    for t in (start, *sorted(turns.values())):
        free = [other for other, at in turns.items() if at <= t][:_MOST_FREE]
        states = {other: np.zeros(len(CODES) ** len(free), np.int8) for other in turns}
        states |= dict(zip(free, np.array(list(product(CODES.values(), repeat=len(free))), np.int8).T, strict=True))
        if alarm.composite.holds(states).any():
            return t
    return math.inf


def _exposed(plan: Plan) -> float:
    """Seconds until the new version has its first traffic."""
    return plan.time_to_full - math.fsum(step.hold for step in plan.steps[:-1])


def _earliest(alarm: Alarm, start: float) -> float:
    """The first instant (s) at which an alarm can have M breaching periods that hold time after `start`.

    With `missing: breaching` gaps breach, too.
    """
    needed = 1 if alarm.missing == "breaching" else alarm.m
    t = (math.floor(start / alarm.interval + 1e-9) + 1) * alarm.interval
    while True:
        end = math.floor((t - alarm.lags[0]) / alarm.step + 1e-9) * alarm.step
        if math.ceil((end - start) / alarm.period - 1e-9) >= needed:
            return t
        t += alarm.interval


def _too_few_requests(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A guard that asks for more requests than the new version gets."""
    if scenario.rollout is None:
        return
    rate = scenario.rates.get(scenario.alias, 0.0)
    for name in scenario.rollout.alarms:
        alarm = scenario.alarms[name]
        if not alarm.least or alarm.of != "new_version":
            continue
        few = []
        for strategy, chosen in scenario.strategies.items():
            held = [step.weight for step in chosen.plan.steps[:-1]] + ([1.0] if chosen.plan.bake else [])
            expected = rate * alarm.period * max(held, default=0.0)
            if expected + _DEVIATIONS * math.sqrt(expected) < alarm.least:
                few.append(f"{strategy} ({expected:,.3g} expected)")
        if few:
            what = (
                f"is never judged: it asks for {alarm.least} requests in {duration_text(alarm.period)}, more than version "
                f"{scenario.rollout.to} gets while it acts, with {listed(few)}"
            )
            yield ScenarioWarning(name="guard", where=("alarms", name, "at_least"), what=what)


def _short_period(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A period below that of Lambda's own metrics."""
    for name, alarm in scenario.alarms.items():
        if alarm.composite is None and alarm.period < _PUBLISHED:
            what = (
                f"Lambda's metrics come once a minute, so a period of {text(alarm.period, 'duration')} is only right "
                "for a custom high-resolution metric that counts the same; else give 60 s"
            )
            yield ScenarioWarning(name="period", where=("alarms", name, "period"), what=what)


def _objective(scenario: Sections) -> Iterator[ScenarioWarning]:
    """An objective so low that it was probably written as a fraction with a percent sign."""
    for i, slo in enumerate(scenario.slos):
        if slo.objective < _LOWEST_OBJECTIVE:
            fraction = slo.objective * 100
            meant = f"; is {text(fraction, 'share')} meant?" if _LOWEST_OBJECTIVE <= fraction < 1 else ""
            what = f"{text(slo.objective, 'share')} lets {text(1 - slo.objective, 'share')} of the {slo.counted} be bad{meant}"
            yield ScenarioWarning(name="objective", where=("slos", i, "objective"), what=what)


def _timeout(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A timeout that ends ordinary invocations."""
    told = set()
    timeout = scenario.function.timeout
    for version, spec in scenario.function.versions.items():
        late = 1.0 - float(spec.duration.cdf(np.array(timeout)))
        if late > _TIMED_OUT and spec.duration not in told:
            told.add(spec.duration)
            p99 = float(spec.duration.ppf(np.array(0.99)))
            what = (
                f"{text(timeout, 'duration')} is below the 99th percentile of version {version}'s duration "
                f"({p99:.3g} s): {late * 100:.3g}% of its invocations time out"
            )
            yield ScenarioWarning(name="timeout", where=("function", "timeout"), what=what)


def _short_horizon(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A simulation that is over before a strategy is."""
    late = {name: scenario.starts[-1] + strategy.plan.length for name, strategy in scenario.strategies.items()}
    late = {name: end for name, end in late.items() if end > scenario.horizon}
    if late:
        names = ", ".join(f"{name} ({end / 60:.4g} min)" for name, end in late.items())
        what = f"{text(scenario.horizon, 'duration')} end while a rollout is under way that nothing stops: {names}"
        yield ScenarioWarning(name="horizon", where=("horizon",), what=what)


def _late_fault(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A fault that sets in after the end."""
    given: list[tuple[Where, tuple[Fault, ...]]] = [(("incident",), scenario.incident)]
    given += [(("function", "versions", n, "faults"), spec.faults) for n, spec in scenario.function.versions.items()]
    for where, faults in given:
        for j, fault in enumerate(faults):
            if scenario.start + fault.onset >= scenario.horizon:
                what = f"sets in at the horizon or later ({text(scenario.horizon, 'duration')}), so nothing sees it"
                yield ScenarioWarning(name="late-fault", where=(*where, j, "onset"), what=what)


def _short_trace(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A trace that is over before the rollout is, so that nobody calls the new version."""
    if scenario.rollout is None:
        return
    longest = max(strategy.plan.length for strategy in scenario.strategies.values())
    until = min(scenario.starts[-1] + longest, scenario.horizon)
    for i, source in enumerate(scenario.traffic):
        trace = source.arrivals.trace
        if trace is None or trace.endless or source.alias != scenario.alias:
            continue
        end = trace.recording.length / trace.speed
        if end < until:
            missed = "starts" if end <= scenario.start else "is over"
            what = (
                f"ends at {end / 60:.4g} min, before the rollout {missed} "
                f"({(scenario.start if missed == 'starts' else until) / 60:.4g} min); give it `repeat: true`, or another start"
            )
            yield ScenarioWarning(name="trace", where=("traffic", i, "arrivals", "trace"), what=what)


def _silent_schedule(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A schedule by the clock that does not come while the simulation lasts."""
    for i, source in enumerate(scenario.traffic):
        cron = source.arrivals.cron
        if cron is None:
            continue
        first = next(cron.moments(), math.inf)
        if first < scenario.horizon:
            continue
        again = f"comes at {stamp_of(moment_of(cron.begin) + first)}" if math.isfinite(first) else "never comes again"
        what = f"begins at {cron.begin} and {again}, after the horizon; give a `begin`, or `--at`"
        yield ScenarioWarning(name="schedule", where=("traffic", i, "arrivals", "cron"), what=what)


def _short_visibility(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A queue whose messages return before its batches can be tried again."""
    for i, source in enumerate(scenario.traffic):
        if source.source != "queue":
            continue
        advised = source.mapping.advised_visibility(scenario.function.timeout)
        if source.mapping.visibility_timeout < advised:
            what = (
                f"{text(source.mapping.visibility_timeout, 'duration')} is less than six timeouts and the window "
                f"({text(advised, 'duration')}), which AWS advises; throttled batches use up the receives of their messages sooner"
            )
            yield ScenarioWarning(name="visibility", where=("traffic", i, "visibility_timeout"), what=what)


def _long_visibility(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A queue whose messages expire before they can be tried again."""
    for i, source in enumerate(scenario.traffic):
        mapping = source.mapping
        if source.source == "queue" and mapping.visibility_timeout >= mapping.retention:
            what = (
                f"{text(mapping.visibility_timeout, 'duration')} is not less than the retention "
                f"({text(mapping.retention, 'duration')}): a message that fails expires before it is visible again, and is lost"
            )
            yield ScenarioWarning(name="visibility", where=("traffic", i, "visibility_timeout"), what=what)


def _blocked_shard(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A stream in which one record that always fails stops its shard until it expires."""
    for i, source in enumerate(scenario.traffic):
        mapping = source.mapping
        if source.source == "stream" and mapping.attempts < 0 and mapping.max_age is None:
            what = (
                "has no limit: a record that always fails blocks its shard until it expires, after "
                f"{text(mapping.retention, 'duration')}; give `attempts` or `max_age`, and `bisect` to lose it alone"
            )
            yield ScenarioWarning(name="blocked-shard", where=("traffic", i, "retries"), what=what)


def _counted_retries(scenario: Sections) -> Iterator[ScenarioWarning]:
    """An alarm on a number of errors where each bad record of a stream makes as many as there is time for."""
    sources = [source.source for source in scenario.traffic if source.alias == scenario.alias]
    for name in scenario.evaluated:
        alarm = scenario.alarms[name]
        if "stream" in sources and alarm.metric == "errors" and alarm.statistic == "sum" and alarm.of != "old_version":
            what = (
                "counts retries: a stream tries a failing batch again at once, so one bad record makes as many errors as fit "
                "into a period; an alarm on iterator_age says how far behind that puts its shard"
            )
            yield ScenarioWarning(name="counted-retries", where=("alarms", name, "metric"), what=what)


def _outgrown(scenario: Sections) -> Iterator[ScenarioWarning]:
    """Steps of a rollout that the managed instances of the new version cannot scale to in time, or at all."""
    managed, new = scenario.function.managed, scenario.new
    if managed is None or new is None:
        return
    limits, load = scenario.function.limits_of(new), scenario.load_at_start
    if not load:
        return
    if load > limits.maximum * managed.concurrency:
        what = (
            f"{limits.maximum} environments have {limits.maximum * managed.concurrency} places, and some {load:.3g} "
            f"invocations of version {new} run at once: the others are throttled for good"
        )
        yield ScenarioWarning(name="managed-maximum", where=("function", "managed", "environments"), what=what)
        return
    for name, strategy in scenario.strategies.items():
        plan = strategy.plan
        starts = [math.fsum(step.hold for step in plan.steps[:k]) for k in range(len(plan.steps))]
        short = []
        for t, step in zip(starts, plan.steps, strict=True):
            before = [other.weight for at, other in zip(starts, plan.steps, strict=True) if at <= t - managed.reaction]
            ready = max(limits.minimum + plan.provisioned, managed.needed(load * max(before, default=0.0)))
            places = min(ready, limits.maximum) * managed.concurrency
            short.append((1.0 - places / (load * step.weight), step.weight, places))
        missing, weight, places = max(short)
        if missing > 0:
            enough = min(managed.needed(load), limits.maximum) - limits.minimum
            what = (
                f"at {text(weight, 'share')} of the traffic some {load * weight:.3g} invocations of version {new} run at once, and "
                f"its environments have {places} places until they have scaled to it ({duration_text(managed.reaction)} or longer): "
                f"some {missing:.0%} are throttled. Smaller or slower steps, or `provisioned: {enough}`, have room"
            )
            yield ScenarioWarning(name="managed-growth", where=("strategies", name), what=what)


def _weighted_provisioned(scenario: Sections) -> Iterator[ScenarioWarning]:
    """Provisioned concurrency of an alias, of which the new version has nothing while the alias has weights."""
    provisioned = scenario.function.provisioned.get(scenario.alias)
    if provisioned is None or scenario.rollout is None:
        return
    split = [name for name, strategy in scenario.strategies.items() if len(strategy.plan.steps) > 1]
    meanwhile = f"while the alias has weights ({listed(split)}), and " if split else ""
    what = (
        f"version {scenario.rollout.to} has none of the {provisioned.environments} environments {meanwhile}for "
        f"{duration_text(provisioned.allocation)} after the last shift; `provisioned` of each version is there beforehand"
    )
    yield ScenarioWarning(name="alias-provisioned", where=("function", "provisioned", scenario.alias), what=what)


def _undecidable_limit(scenario: Sections) -> Iterator[ScenarioWarning]:
    """A limit of the goal about all rollouts, or none, which no simulation can show to be kept."""
    goal = scenario.goal
    if goal is None:
        return
    limits = []
    if goal.catch is not None and goal.catch.at_least == 1:
        limits.append((("goal", "catch", "at_least"), "100% is broken by one that is missed", "99%"))
    if goal.false_rollback is not None and goal.false_rollback.at_most == 0:
        limits.append((("goal", "false_rollback", "at_most"), "0% is broken by one that is stopped", "1%"))
    for where, broken, such in limits:
        what = f"{broken}, and no number of replications shows that there is none, so it stays open; a limit such as {such} is decided"
        yield ScenarioWarning(name="undecidable-limit", where=where, what=what)


ABOUT_RECORDS: Final[tuple[Check, ...]] = (_long_visibility,)
"""Those about queues and streams that `check` tells as notes; it has rules about the others."""
CHECKS: Final[tuple[Check, ...]] = (
    _no_alarm,
    _unused_alarm,
    _unreachable_threshold,
    _without_data,
    _too_late,
    _too_few_requests,
    _short_period,
    _objective,
    _timeout,
    _short_horizon,
    _late_fault,
    _short_trace,
    _outgrown,
    _weighted_provisioned,
    _silent_schedule,
    _undecidable_limit,
    _short_visibility,
    _long_visibility,
    _blocked_shard,
    _counted_retries,
)
"""All checks, in the order in which people are told."""
