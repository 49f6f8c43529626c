"""Rules about the traffic: too little of it for a canary, past the alias, retried, or more than the environments take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from rollout_sim.core.formatting import number_with_interval, share_with_interval
from rollout_sim.core.statistics import Estimate, difference, mean_of
from rollout_sim.core.yaml_io import Where
from rollout_sim.function.lambda_api import LATEST
from rollout_sim.planes.selection import choose_engine
from rollout_sim.scenario.sections import STEADY
from rollout_sim.study.check.evidence import FEW, Evidence, Runs, above, below, column, exposed, often
from rollout_sim.study.check.finding import Edit, Remedy
from rollout_sim.study.check.remedies import (
    KEEPS,
    Edits,
    Verdict,
    alarm_changes,
    of_rollout,
    search,
    strategy_changes,
    tested_changes,
    watching_changes,
)
from rollout_sim.study.check.rule import Match, rule
from rollout_sim.study.comparison import Comparison, compare
from rollout_sim.traffic.source import Source

HANDFUL: Final = 5.0
"""Requests below which a canary shows nothing."""
HIDDEN: Final = 0.5
"""Retries hide a fault where they turn more than this share of the bad requests into good ones."""


@rule(
    "RS301",
    "canary-sees-few-requests",
    "warning",
    example="""
    traffic:
      - {source: http, alias: live, arrivals: {poisson: 4/h}}
    """,
    mend="""
    Give the canary more time, or test the new version in a hook before it has traffic.
    """,
)
def canary_sees_few_requests(evidence: Evidence) -> Iterator[Match]:
    """The canary is expected to see fewer than five requests before all of the traffic moves.

    A tenth of a request a minute is no test. Whatever the alarm, a version that fails one request in twenty shows
    itself only when it has all of the traffic, and then CodeDeploy is done.
    """
    for name, plan in evidence.plans.items():
        if len(plan.steps) == 1 or not (evidence.alarms or plan.before is not None or plan.after is not None):
            continue
        seen = evidence.requests(plan)
        caught = often(evidence.bad(), name)
        if seen >= HANDFUL or not below(caught, evidence.catch.at_least):
            continue
        tries = itertools.chain(
            strategy_changes(evidence, name), tested_changes(evidence, name), _slower_and_keener(evidence, name)
        )
        yield Match(
            where=("strategies", name),
            message=(
                f"{name} is expected to see {seen:.2g} requests before all of the traffic moves: a version with "
                f"{evidence.fault_text} is stopped in {share_with_interval(caught)} of the rollouts"
            ),
            figures={"caught": caught},
            remedy=search(evidence, tries, of_rollout((name,))),
        )


@rule(
    "RS302",
    "traffic-bypasses-the-alias",
    "warning",
    example="""
    function:
      name: orders
      timeout: 10 s
      versions:
        1: {duration: 100 ms, cold_start: 300 ms, error_rate: 0.05%}
        2: {like: 1, faults: [{errors: 5%}]}
        $LATEST: {like: 1}
      aliases: {live: 1, unqualified: $LATEST}
    traffic:
      - {source: http, alias: live, arrivals: {poisson: 10/s}}
      - {source: data, alias: unqualified, arrivals: {poisson: 2/s}, async_retries: 0}
    """,
    mend="""
    Let the event source mapping (or the caller) name the alias: `FunctionName: <function>:<alias>`.
    """,
)
def traffic_bypasses_the_alias(evidence: Evidence) -> Iterator[Match]:
    """A source calls the function itself, and not the alias that the rollout moves.

    A call without a qualifier runs `$LATEST`, which is the new code from the moment it is uploaded: all at once, with no
    canary, and no alarm on the alias or on a version sees it.
    """
    scenario = evidence.scenario
    around = [
        k
        for k, source in enumerate(scenario.traffic)
        if source.alias != evidence.deployment.alias and scenario.function.points_to(source.alias) == LATEST
    ]
    if not around:
        return
    still = scenario.without_rollout()
    kept = replace(still, traffic=tuple(source for k, source in enumerate(scenario.traffic) if k not in around))
    whole, part = (_requests(evidence, varied) for varied in (still, kept))
    missed = mean_of(1 - part / np.maximum(whole, 1.0), tail=False)
    if missed is None or not above(missed, 0.0):
        return
    names = ", ".join(map(evidence.called, around))
    edits = tuple(
        edit
        for k in around
        for edit in (
            Edit(where=("traffic", k, "alias"), value=evidence.deployment.alias),
            *([Edit(where=("traffic", k, "function"), value=None)] if scenario.traffic[k].function else []),
        )
    )

    def judge(of: Evidence, tried: Edits, runs: Runs) -> Verdict:
        stopped = min((often(of.bad(None, tried, runs), name) for name in of.plans), key=lambda estimate: estimate.mean)
        effect = f"then all of the traffic takes part, and the rollout catches {of.fault_text} in {share_with_interval(stopped)}"
        return Verdict(grade=KEEPS, effect=effect, figures={"caught": stopped})

    yield Match(
        where=("traffic", around[0]),
        message=(
            f"{names} calls the function and not the alias {evidence.deployment.alias}: {share_with_interval(missed)} of the "
            "requests meet the new code at once, past every step and alarm"
        ),
        figures={"bypassing": missed},
        remedy=search(evidence, [edits], judge),
    )


@rule(
    "RS303",
    "retries-hide-the-fault",
    "warning",
    example="""
    traffic:
      - {source: http, alias: live, arrivals: {poisson: 10/s}, retry: {attempts: 3, base: 100 ms}}
    alarms:
      errors: {metric: errors, of: alias, datapoints: 3 of 3, threshold: "> 20", missing: not_breaching}
    """,
    mend="""
    Watch the attempts, not the outcome: an alarm on the new version's `Errors`, which counts each of them.
    """,
)
def retries_hide_the_fault(evidence: Evidence) -> Iterator[Match]:
    """Retries turn most failures of a bad version into good answers, and no alarm sees the attempts.

    Clients and Lambda try again, and each attempt draws its version anew, so that most requests end well on the old
    version while the canary is small. When it has all of the traffic they do not. What users see says nothing of the
    fault until then; what CloudWatch counts does.
    """
    scenario = evidence.scenario
    if evidence.unread:
        return
    retried = [source for source in scenario.traffic if source.alias == evidence.deployment.alias and _retries(source)]
    if not retried:
        return
    plain = replace(
        scenario, traffic=tuple(s if s.polled else replace(s, retry=None, async_retries=0) for s in scenario.traffic)
    )
    plain = plain.with_faults(evidence.deployment.new, (evidence.fault,))
    for name, plan in evidence.plans.items():
        bad = evidence.bad()
        caught = often(bad, name)
        if not evidence.alarms or exposed(plan) == 0 or not below(caught, evidence.catch.at_least):
            continue
        end = bad.scenario.horizon
        count = bad.replications
        without = evidence.compare(replace(plain, horizon=end), replications=count)
        left = mean_of(column(bad, name, "bad_requests_new_version"), tail=False, unit=1.0)
        had = mean_of(column(without, name, "bad_requests_new_version"), tail=False, unit=1.0)
        if left is None or had is None or had.low is None or not below(left, HIDDEN * had.low):
            continue
        yield Match(
            where=("traffic", scenario.traffic.index(retried[0])),
            message=(
                f"retries hide {evidence.fault_text}{evidence.label(name)}: {number_with_interval(left)} requests to the new "
                f"version end badly, without retries {number_with_interval(had)}; the rollout is stopped in "
                f"{share_with_interval(caught)}"
            ),
            figures={"bad_requests": left, "bad_requests_without_retries": had, "caught": caught},
            remedy=search(evidence, _keener(evidence, name), of_rollout((name,))),
        )


@rule(
    "RS304",
    "throttles-at-the-shift",
    "warning",
    example="""
    function:
      name: orders
      timeout: 30 s
      reserved_concurrency: 30
      versions:
        1: {duration: {lognormal: {median: 900 ms, p99: 4 s}}, cold_start: 6 s}
        2: {like: 1, faults: [{errors: 5%}]}
      aliases: {live: 1}
    traffic:
      - {source: http, alias: live, arrivals: {poisson: 10/s}}
    strategies:
      rollout: {type: all_at_once, bake: 10 min}
    """,
    mend="""
    Shift in smaller steps, or reserve more concurrency for as long as both versions run. On managed instances keep more
    environments of the new version.
    """,
)
def throttles_at_the_shift(evidence: Evidence) -> Iterator[Match]:
    """Requests are throttled when the traffic moves, because old and new environments share the concurrency.

    A new version starts without a warm environment. While the old version's calls still run, each request to the new one
    waits for an init and holds an environment for that long as well: for some seconds the function needs up to twice
    its concurrency. Managed instances have no cold starts, and room for twice the traffic of the step before.
    """
    good = evidence.good()
    if good.plane.engine == "aggregate":  # which it is only where the concurrency cannot bind
        return
    for name in evidence.plans:
        extra = _throttled(good, name)
        if extra is None or not above(extra, 0.0) or extra.mean < 1:
            continue
        function = evidence.scenario.function
        why = (
            f"the concurrency of {function.concurrency:,} is too little for the old and the new version's environments"
        )
        if function.managed is not None:
            why = "the new version's managed environments scale to its traffic only after it has come"
        yield Match(
            where=("function", "reserved_concurrency") if function.managed is None else _MINIMUM,
            message=f"the shift of {name} throttles {number_with_interval(extra)} requests of a good version: {why}",
            figures={"throttles": extra},
            remedy=_room(evidence, name),
        )


@rule(
    "RS305",
    "provisioned-concurrency-missing",
    "warning",
    example="""
    function:
      name: orders
      timeout: 10 s
      versions:
        1: {duration: 100 ms, cold_start: 3 s, provisioned: 15}
        2: {like: 1, provisioned: 0, faults: [{errors: 5%}]}
      aliases: {live: 1}
    """,
    mend="""
    Allocate provisioned concurrency to the new version, too, before the first shift.
    """,
)
def provisioned_concurrency_missing(evidence: Evidence) -> Iterator[Match]:
    """The old version has provisioned concurrency, and the new one does not.

    Provisioned concurrency belongs to a version. Requests to the new one meet cold starts that nobody has seen for as
    long as the old one ran.
    """
    function = evidence.scenario.function
    old, new = (function.versions[number] for number in (evidence.deployment.old, evidence.deployment.new))
    if old.provisioned == 0 or new.provisioned > 0:
        return
    edits = (Edit(where=("function", "versions", evidence.deployment.new, "provisioned"), value=old.provisioned),)
    for name, plan in evidence.plans.items():
        if plan.provisioned:
            continue
        cold = _cold_starts(evidence, name, ())
        warm = _cold_starts(evidence, name, edits)
        extra = difference(cold, warm)
        had = mean_of(cold, tail=False, unit=1.0)
        if extra is None or had is None or not above(extra, 0.0):
            continue

        def judge(of: Evidence, tried: Edits, runs: Runs, name: str = name) -> Verdict:  # noqa: ARG001 - as few runs again
            left = mean_of(_cold_starts(of, name, tried), tail=False, unit=1.0)
            assert left is not None
            effect = f"then there are {number_with_interval(left)} cold starts"
            return Verdict(grade=KEEPS, effect=effect, figures={"cold_starts": left})

        yield Match(
            where=("function", "versions", evidence.deployment.new),
            message=(
                f"version {evidence.deployment.new} has none of the {old.provisioned:,} provisioned environments of version "
                f"{evidence.deployment.old}: {name} makes {number_with_interval(had)} cold starts"
            ),
            figures={"cold_starts": had, "cold_starts_more": extra},
            remedy=search(evidence, [edits], judge),
        )


def _slower_and_keener(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    others = list(strategy_changes(evidence, strategy))
    yield from _keener(evidence, strategy)
    for name in evidence.alarms:
        for other, edits in itertools.product(others, itertools.islice(alarm_changes(evidence, name), 12)):
            yield (*other, *edits)


def _keener(evidence: Evidence, strategy: str) -> Iterator[Edits]:
    """Changes of each alarm, then further alarms."""
    for name, alarm in evidence.alarms.items():
        if evidence.watches(alarm):
            yield from itertools.islice(alarm_changes(evidence, name), 60)
    yield from watching_changes(evidence, strategy)


def _requests(evidence: Evidence, still: Any) -> Any:
    return column(evidence.compare(still, replications=FEW), STEADY, "requests")


def _retries(source: Source) -> bool:
    client = source.retry is not None and source.retry.attempts > 1 and "error" in source.retry.on
    return client or (source.source != "http" and not source.polled and source.async_retries > 0)


_MINIMUM: Final = ("function", "managed", "environments", "minimum")
"""Where the environments stand that each version on managed instances has at least."""


def _throttled(good: Comparison, strategy: str) -> Estimate | None:
    """Throttles that the rollout adds to those without one, on the same random numbers; None where there are none at all."""
    if not column(good, strategy, "throttles").any():
        return None
    still = good.scenario.without_rollout()
    quiet = compare(
        still,
        good.replications,
        seed=good.seed,
        plane=choose_engine(still, good.plane.engine),
        twin=False,
        keep=False,
        added=False,
    )
    return difference(column(good, strategy, "throttles"), column(quiet, STEADY, "throttles"))


def _room(evidence: Evidence, strategy: str) -> Remedy | None:
    """Smaller steps, or more concurrency or managed environments: the first change with hardly any throttles."""
    function = evidence.scenario.function
    where: Where = ("function", "reserved_concurrency")
    raised = [math.ceil(function.concurrency * factor) for factor in (1.1, 1.25, 1.5, 2.0, 3.0)]
    if function.managed is not None:
        where, most = _MINIMUM, function.managed.environments.maximum
        needed = function.managed.needed(evidence.scenario.load_at_start)
        raised = sorted({min(math.ceil(needed * factor), most) for factor in (0.6, 0.8, 1.0)})
    tries: list[Edits] = [
        *((Edit(where=where, value=count),) for count in raised[:1]),
        *strategy_changes(evidence, strategy),
        *((Edit(where=where, value=count),) for count in raised[1:]),
    ]
    for edits in tries:
        if not _roomy(evidence, strategy, edits, "quick").grade:
            continue
        verdict = _roomy(evidence, strategy, edits, "fresh")
        if verdict.grade:
            spelt = "; ".join(evidence.origin.spell(evidence.scenario, edit) for edit in edits)
            return Remedy(edits=edits, text=spelt, effect=verdict.effect, figures=verdict.figures)
    return None


def _roomy(evidence: Evidence, strategy: str, edits: Edits, runs: Runs) -> Verdict:
    """Whether hardly anything is throttled after a change."""
    good = evidence.good(None, edits, runs, (strategy,))
    if good.plane.engine == "aggregate":  # the concurrency cannot bind
        left = mean_of(column(good, strategy, "throttles"), tail=False, unit=1.0)
    else:
        left = _throttled(good, strategy) or mean_of(column(good, strategy, "throttles"), tail=False, unit=1.0)
    if left is None or left.mean >= 1:
        return Verdict(grade=0, effect="", figures={})
    effect = f"then the shift adds {number_with_interval(left)} throttled requests"
    return Verdict(grade=KEEPS, effect=effect, figures={"throttles": left})


def _cold_starts(evidence: Evidence, strategy: str, edits: Edits) -> Any:
    """Cold starts in each of a few runs in which every invocation is simulated."""
    good = evidence.good(None, edits)
    return column(evidence.one_by_one(good.scenario), strategy, "cold_starts")
