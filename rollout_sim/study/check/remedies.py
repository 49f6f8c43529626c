"""Remedies: the smallest change of a rollout that mends a finding, searched for by simulation.

Changes are tried from the smallest on: first those of one field to its nearest value, then further ones, then those of
several fields. The first that keeps the goal's limits is taken; else the first that at least mends the finding. Its
figures come from replications of their own, because those by which it was chosen would flatter it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.readings import FRONT_DOOR, TIMES
from rollout_sim.control.strategies import CODEDEPLOY_LIMIT, TYPES
from rollout_sim.core.formatting import share_with_interval
from rollout_sim.core.statistics import Estimate
from rollout_sim.core.units import text
from rollout_sim.errors import ScenarioError
from rollout_sim.study.check.evidence import WORK, Evidence, Runs, above, often
from rollout_sim.study.check.finding import Edit, Remedy
from rollout_sim.traffic.source import Source

TRIES: Final = 150
"""Changes that are tried at most."""
SLOW_TRIES: Final = 6
"""Changes that are tried at most where every invocation is simulated."""
HARDLY: Final = 0.5
"""An alarm that catches the goal's fault less often than this can hardly fire."""
MENDS, KEEPS = 1, 2
"""What a change does: mends the finding, or keeps the goal's limits as well."""
KEPT: Final = ("hooks", "provisioned", "allocation")
"""What another strategy takes over from the one in whose place it comes."""
DATAPOINTS: Final = ("1 of 1", "2 of 2", "2 of 3", "3 of 3", "3 of 5", "5 of 5")
"""From the most eager on."""
COUNTS: Final = (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500)
SHARES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
BURNS: Final = (1.0, 3.0, 6.0, 14.4, 30.0)
BANDS: Final = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
"""Widths of an anomaly band, in standard deviations."""
FACTORS: Final = (0.1, 0.2, 0.5, 2.0, 5.0, 10.0)
"""By what the limit of metric maths is multiplied: what it counts in is not known."""
SLOWER: Final = (1.2, 1.5, 2.0, 3.0, 5.0)
"""Limits of a duration's alarm, as multiples of what the old version has."""
STRATEGIES: Final[tuple[Mapping[str, Any], ...]] = (
    {"type": "Canary10Percent5Minutes"},
    {"type": "Canary10Percent10Minutes"},
    {"type": "Linear10PercentEvery1Minute"},
    {"type": "Canary10Percent15Minutes"},
    {"type": "Linear10PercentEvery2Minutes"},
    {"type": "Linear10PercentEvery3Minutes"},
    {"type": "Canary10Percent30Minutes"},
    {"type": "TimeBasedCanary", "CanaryPercentage": 25, "CanaryInterval": 30},
    {"type": "TimeBasedCanary", "CanaryPercentage": 50, "CanaryInterval": 30},
    {"type": "Linear10PercentEvery10Minutes"},
    {"type": "TimeBasedCanary", "CanaryPercentage": 50, "CanaryInterval": 60},
)
"""What CodeDeploy can carry out, the names to enter before those that need a configuration, the quick ones first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a change comes to: a grade (0, `MENDS` or `KEEPS`), and figures for a sentence."""

    grade: int
    effect: str
    figures: Mapping[str, Estimate]


Edits = tuple[Edit, ...]
Judge = Callable[[Evidence, Edits, Runs], Verdict]
"""Says what the edits come to."""


def search(evidence: Evidence, tries: Iterable[Edits], judge: Judge) -> Remedy | None:
    """The first of the changes that keeps the goal, else the first that mends the finding, else None."""
    slow = evidence.plane.engine != "aggregate"
    quick = _stand_in(evidence) if slow else evidence
    mending: Edits | None = None
    left = SLOW_TRIES
    for edits in itertools.islice(tries, TRIES):
        try:
            graded = judge(quick, edits, "quick") if quick is not None else None
            if graded is not None and graded.grade < (KEEPS if mending is not None else MENDS):
                continue
            if slow or (graded is not None and graded.grade == KEEPS):
                left -= 1
                if (fresh := judge(evidence, edits, "fresh")).grade == KEEPS:
                    return _remedy(evidence, edits, fresh)
                graded = fresh if slow else graded
            if mending is None and graded is not None and graded.grade:
                mending = edits
        except ScenarioError:  # the change makes no scenario, such as a strategy that the file's alarms do not fit
            continue
        if slow and evidence.exhausted:
            note = f"changes that mend were tried until {WORK / 60:.0f} min of nominal computing were spent"
            evidence.notes += [note] if note not in evidence.notes else []
            break
        if slow and left <= 0:
            break
    if mending is None:
        return None
    fresh = judge(evidence, mending, "fresh")
    return _remedy(evidence, mending, fresh) if fresh.grade else None


def _remedy(evidence: Evidence, edits: Edits, verdict: Verdict) -> Remedy:
    spelt = "; ".join(dict.fromkeys(evidence.origin.spell(evidence.scenario, edit) for edit in edits))
    return Remedy(edits=edits, text=spelt, effect=verdict.effect, figures=verdict.figures)


def _stand_in(evidence: Evidence) -> Evidence | None:
    """The same without retries, cold starts and throttles, to see quickly which changes to simulate; None where that is slow, too."""
    scenario = evidence.scenario
    traffic = tuple(_without_retries(source) for source in scenario.traffic)
    versions = {
        number: replace(spec, cold_start=None, cold_duration=None, environments=None)
        for number, spec in scenario.function.versions.items()
    }
    function = replace(
        scenario.function, versions=versions, reserved_concurrency=None, account_concurrency=1_000_000,
        scale_up=1_000_000, propagation=0.0, managed=None, provisioned={},
    )  # fmt: skip
    simple = replace(scenario, traffic=traffic, function=function)
    quick = Evidence(simple, evidence.origin, goal=evidence.goal, risk=evidence.risk)
    return quick if quick.plane.engine == "aggregate" else None


def _without_retries(source: Source) -> Source:
    return source if source.polled else replace(source, retry=None, async_retries=0)


# ---------------------------------------------------------------------- judges


def of_alarm(name: str, strategies: Sequence[str]) -> Judge:
    """Judges a change by what the alarm does alone: how often it catches the goal's fault, and stops a good version."""
    return _judge(name, strategies, "it catches", HARDLY)


def of_worst(name: str, strategies: Sequence[str]) -> Judge:
    """Judges a change of an alarm that is not about the goal's fault: whether it still fires where things are at their worst.

    Of an alarm on invocations alone nothing that could be wrong with a version decides it.
    """

    def judge(evidence: Evidence, edits: Edits, runs: Runs) -> Verdict:
        good = evidence.good(name, edits, runs, strategies)
        false = max((often(good, strategy, "hindered") for strategy in strategies), key=lambda estimate: estimate.mean)
        if false.mean > evidence.limit or above(false, evidence.limit):
            return Verdict(grade=0, effect="", figures={})
        spared = f"stops a good version in {share_with_interval(false)} of the rollouts"
        if evidence.metrics(evidence.varied(edits).alarms[name]) <= {"invocations"}:
            return Verdict(grade=KEEPS, effect=f"then it {spared}", figures={"false_rollback": false})
        stops = {
            version: min((often(study, strategy) for strategy in strategies), key=lambda estimate: estimate.mean)
            for version, study in evidence.worst(name, edits, runs, strategies)
        }
        version, stopped = max(stops.items(), key=lambda pair: pair[1].mean)
        if stopped.low is None or stopped.low < HARDLY:
            return Verdict(grade=0, effect="", figures={})
        effect = f"then it stops {version} in {share_with_interval(stopped)} of the rollouts, and {spared}"
        return Verdict(grade=KEEPS, effect=effect, figures={"stopped": stopped, "false_rollback": false})

    return judge


def of_rollout(strategies: Sequence[str], least: float = HARDLY) -> Judge:
    """Judges a change by what the whole rollout does, hooks and all alarms together; it must catch the fault so often."""
    return _judge(None, strategies, "the rollout catches", least)


def catching(strategy: str) -> Judge:
    """Tells of a change that is right in itself how often the rollout then catches the goal's fault."""

    def judge(evidence: Evidence, edits: Edits, runs: Runs) -> Verdict:
        caught = often(evidence.bad(None, edits, runs), strategy)
        effect = f"then the rollout catches {evidence.fault_text} in {share_with_interval(caught)} of the rollouts"
        return Verdict(grade=KEEPS, effect=effect, figures={"caught": caught})

    return judge


def _judge(alarm: str | None, strategies: Sequence[str], subject: str, least: float) -> Judge:
    def judge(evidence: Evidence, edits: Edits, runs: Runs) -> Verdict:
        bad = evidence.bad(alarm, edits, runs, strategies)
        caught = min((often(bad, name) for name in strategies), key=lambda estimate: estimate.mean)
        if caught.low is None or caught.low < HARDLY or caught.mean < least:
            return Verdict(grade=0, effect="", figures={})
        good = evidence.good(alarm, edits, runs, strategies)
        false = max((often(good, name, "hindered") for name in strategies), key=lambda estimate: estimate.mean)
        if false.mean > evidence.limit or above(false, evidence.limit):
            return Verdict(grade=0, effect="", figures={})
        in_time = evidence.goal.time_to_full is None or all(
            good.scenario.strategies[name].plan.time_to_full <= evidence.goal.time_to_full.at_most
            for name in strategies
        )
        often_enough = caught.mean >= evidence.catch.at_least
        effect = (
            f"then {subject} {evidence.fault_text} in {share_with_interval(caught)} "
            f"and stops a good version in {share_with_interval(false)} of the rollouts"
        )
        return Verdict(
            grade=KEEPS if often_enough and in_time else MENDS,
            effect=effect,
            figures={"caught": caught, "false_rollback": false},
        )

    return judge


# ---------------------------------------------------------------------- changes


def alarm_changes(evidence: Evidence, name: str) -> Iterator[Edits]:
    """Changes of an alarm's fields, from the smallest on."""
    yield from (edits for _, edits in sorted(_of_alarm(evidence, name), key=lambda pair: pair[0]))


def _of_alarm(evidence: Evidence, name: str) -> Iterator[tuple[float, Edits]]:
    """The changes of an alarm with what each costs: how far it is from what stands in the file."""
    alarm = evidence.scenario.alarms[name]
    if alarm.composite is not None:
        yield from _of_composite(evidence, name)
        return
    where = ("alarms", name)
    fields = [_choices((*where, "threshold"), alarm.threshold, _thresholds(evidence, alarm))]
    if alarm.slo is None:
        fields.append(_choices((*where, "datapoints"), alarm.datapoints, DATAPOINTS))
    if alarm.band is not None:
        fields.append(_choices((*where, "band"), alarm.band, BANDS))
    if narrow := narrowed(evidence, name):
        fields.append([(0.0, ()), (1.05, narrow)])
    if quick := _quickened(name, alarm):
        fields.append([(0.0, ()), (1.1, quick)])
    if alarm.missing not in ("not_breaching", "missing") and alarm.slo is None:
        fields.append([(0.0, ()), (1.5, (Edit(where=(*where, "missing"), value="not_breaching"),))])
    for chosen in itertools.product(*fields):
        edits = tuple(edit for _, part in chosen for edit in part)
        if edits:
            yield math.fsum(cost for cost, _ in chosen), edits


def _of_composite(evidence: Evidence, name: str) -> Iterator[tuple[float, Edits]]:
    """Another rule over the alarms that it reads, changes of one of those, or both."""
    alarm = evidence.scenario.alarms[name]
    assert alarm.composite is not None
    read = [f"ALARM({_quoted(other)})" for other in alarm.composite.names]
    rules = [rule for rule in (" OR ".join(read), *read) if rule != alarm.rule]
    others: list[tuple[float, Edits]] = [(0.0, ())]
    for other in alarm.composite.names:
        others += sorted(_of_alarm(evidence, other), key=lambda pair: pair[0])[:24]
    changed = [
        (1.2 + k / 20, (Edit(where=("alarms", name, "rule"), value=rule),))
        for k, rule in enumerate(dict.fromkeys(rules))
    ]
    for (cost, rule), (further, edits) in itertools.product([(0.0, ()), *changed], others):
        if rule or edits:
            yield cost + further, (*rule, *edits)


def _quoted(name: str) -> str:
    """The name of an alarm as a rule has it."""
    return name if re.fullmatch(r"[^\s(),\"]+", name) else f'"{name}"'


def narrowed(evidence: Evidence, name: str) -> Edits:
    """Makes an alarm look at the new version alone; no edits where it does, or nobody publishes that of one version."""
    alarm = evidence.scenario.alarms[name]
    if alarm.composite is not None or alarm.band is not None:
        return ()
    where = ("alarms", name)
    if alarm.metric is not None:
        own = alarm.metric in FRONT_DOOR or alarm.metric in evidence.scenario.metrics
        return () if own or alarm.of == "new_version" else (Edit(where=(*where, "of"), value="new_version"),)
    return tuple(
        Edit(where=(*where, "metrics", key, "of"), value="new_version")
        for key, query in alarm.metrics.items()
        if query.of != "new_version"
        and query.metric not in FRONT_DOOR
        and query.metric not in evidence.scenario.metrics
    )


def _quickened(name: str, alarm: Alarm) -> Edits:
    """Gives an alarm periods of a minute; no edits where they are no longer."""
    if alarm.slo is not None or alarm.composite is not None or alarm.period <= 60:
        return ()
    where = ("alarms", name)
    inner = [key for key, query in alarm.metrics.items() if query.period is not None]
    own = () if inner else (Edit(where=(*where, "period"), value="60 s"),)
    return (*own, *(Edit(where=(*where, "metrics", key, "period"), value="60 s") for key in inner))


def _choices(where: tuple[str, ...], now: Any, values: Sequence[Any]) -> list[tuple[float, Edits]]:
    """To leave the field alone, or a value: it costs the more the further away from `now` it stands in the ladder."""
    rank = values.index(now) if now in values else len(values) / 2
    return [
        (0.0, ()),
        *(
            (1 + abs(k - rank) / 20, (Edit(where=where, value=value),))
            for k, value in enumerate(values)
            if value != now
        ),
    ]


def _thresholds(evidence: Evidence, alarm: Alarm) -> list[str]:
    """Thresholds for an alarm of that metric, the eager ones first."""
    if alarm.band is not None:
        return ["outside", "above"]
    if alarm.metric is None:
        unit = "%" if alarm.threshold.rstrip().endswith("%") else ""
        return [f"{alarm.comparator} {limit:.6g}{unit}" for limit in _limits(alarm, 100 if unit else 1)]
    if alarm.metric == "error_rate" or (alarm.statistic == "average" and alarm.metric not in TIMES):
        return [f"> {text(share, 'share')}" for share in SHARES]
    if alarm.metric == "burn_rate":
        return [f"> {burn:g}" for burn in BURNS]
    if alarm.metric in TIMES and alarm.statistic != "sample_count":
        spec = evidence.scenario.function.versions[evidence.deployment.old]
        share = alarm.percentile.share if alarm.percentile is not None else 0.5
        usual = float(spec.duration.ppf(np.array([min(share, 0.9999)]))[0])
        return [f"> {max(round(usual * times * 1000), 1)} ms" for times in SLOWER]
    return [f"> {count}" for count in COUNTS]


def _limits(alarm: Alarm, unit: float) -> list[float]:
    """Limits of metric maths, the eager ones first: a share of successes goes by how much of it may be missing."""
    limit, below = alarm.limit * unit, alarm.comparator in ("<", "<=")
    if limit == 0:
        return [0.0, *map(float, COUNTS[1:8])]
    for whole in (1.0, 100.0):
        if below and 0.5 * whole <= limit < whole:
            return [whole - (whole - limit) * factor for factor in FACTORS]
    return sorted((limit * factor for factor in FACTORS), reverse=below)


def strategy_changes(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    """Other strategies in place of one, those that are set up most easily first, in time for the goal."""
    own = evidence.scenario.dump()["strategies"][strategy]
    kept = {key: own[key] for key in KEPT if own.get(key)}
    plan = evidence.scenario.strategies[strategy].plan
    for config in STRATEGIES:
        other = TYPES[str(config["type"])](**config).plan
        late = evidence.goal.time_to_full is not None and other.time_to_full > evidence.goal.time_to_full.at_most
        if not late and other.time_to_full > plan.time_to_full and other.time_to_full <= CODEDEPLOY_LIMIT * 60:
            yield (Edit(where=("strategies", strategy), value={**config, **kept}),)


def alarm_and_strategy_changes(evidence: Evidence, name: str, strategies: Sequence[str]) -> Iterator[Edits]:
    """Changes of an alarm, then of the strategy, then of both."""
    small = list(alarm_changes(evidence, name))
    keenest = _keenest(evidence, name)
    if _may_catch(evidence, name, strategies, keenest):
        yield from small[:60]
    if len(strategies) != 1:
        return
    for other in strategy_changes(evidence, strategies[0]):
        if _may_catch(evidence, name, strategies, (*other, *keenest)):
            yield other
            for edits in small[:12]:
                yield (*other, *edits)


def _keenest(evidence: Evidence, name: str) -> Edits:
    """The change of an alarm with which it fires most easily."""
    alarm = evidence.scenario.alarms[name]
    if alarm.composite is not None:
        return ()
    keen: dict[str, Any] = {"threshold": _thresholds(evidence, alarm)[0]}
    if alarm.slo is None:
        keen["datapoints"] = DATAPOINTS[0]
    if alarm.band is not None:
        keen["band"] = BANDS[0]
    edits = (Edit(where=("alarms", name, field), value=value) for field, value in keen.items())
    return (*edits, *narrowed(evidence, name), *_quickened(name, alarm))


def _may_catch(evidence: Evidence, name: str, strategies: Sequence[str], keenest: Edits) -> bool:
    """Whether the alarm at its keenest catches the goal's fault at all, so that less keen ones are worth trying."""
    alarm = evidence.scenario.alarms[name]
    if evidence.plane.engine != "aggregate" or alarm.composite is not None or not evidence.watches(alarm):
        return True
    bad = evidence.bad(name, keenest, "quick", strategies)
    return all(often(bad, strategy).mean >= HARDLY for strategy in strategies)


def watching_changes(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    """Alarms for a rollout that has none: those of the file first, then new ones; then with another strategy as well."""
    watched = list(_watching(evidence))
    if evidence.scenario.strategies[strategy].plan.length > 0:
        yield from watched
    for other in strategy_changes(evidence, strategy):
        for edits in watched:
            yield (*other, *edits)


def _watching(evidence: Evidence) -> Iterator[Edits]:
    where = ("rollout", "alarms")
    for name in evidence.scenario.alarms:
        yield (Edit(where=where, value=[name]),)
    if len(evidence.scenario.alarms) > 1:
        yield (Edit(where=where, value=list(evidence.scenario.alarms)),)
    name = new_name(evidence)
    for alarm in _new_alarms(evidence):
        yield Edit(where=("alarms", name), value=alarm), Edit(where=where, value=[name])


def replacing_changes(evidence: Evidence, name: str, strategies: Sequence[str]) -> Iterator[Edits]:
    """New alarms in the place of one that no change of its own mends; then with another strategy as well."""
    new = new_name(evidence)
    listed = [new if other == name else other for other in evidence.deployment.alarms]
    replaced = [
        (Edit(where=("alarms", new), value=alarm), Edit(where=("rollout", "alarms"), value=listed))
        for alarm in _new_alarms(evidence)
    ]
    yield from replaced
    if len(strategies) == 1:
        for other in strategy_changes(evidence, strategies[0]):
            for edits in replaced:
                yield (*other, *edits)


def new_name(evidence: Evidence) -> str:
    """The name of an alarm that is added."""
    return next(name for name in _NAMES if name not in evidence.scenario.alarms)


def _new_alarms(evidence: Evidence) -> Iterator[dict[str, Any]]:
    errors = evidence.fault.errors is not None
    for threshold, datapoints in itertools.product(_new_thresholds(evidence), ("1 of 1", "2 of 2", "2 of 3", "3 of 3")):
        yield {
            "metric": "errors" if errors else "duration",
            **({} if errors else {"statistic": "p99"}),
            "of": "new_version",
            "threshold": threshold,
            "datapoints": datapoints,
            "missing": "not_breaching",
        }


_NAMES: Final = tuple(f"new-version{number}" for number in ("", *(f"-{k}" for k in range(2, 100))))


def _new_thresholds(evidence: Evidence) -> list[str]:
    if evidence.fault.errors is not None:
        return [f"> {count}" for count in (0, 1, 2, 5, 10, 20)]
    probe = Alarm(metric="duration", statistic="p99", threshold="> 1 s")
    return _thresholds(evidence, probe)


def tested_changes(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    """Tests of the new version before its first requests: so many that they find the goal's fault."""
    own = evidence.scenario.dump()["strategies"][strategy]
    for tests, minutes in ((30, 1), (100, 3), (300, 10), (1000, 20)):
        hook = {"invocations": tests, "over": f"{minutes} min", "max_failures": tests // 100}
        hooks = {**own.get("hooks", {}), "before_allow_traffic": hook}
        yield (Edit(where=("strategies", strategy), value={**own, "hooks": hooks}),)
