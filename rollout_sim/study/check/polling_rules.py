"""Rules about queues and streams: what a record that fails does to others, and how long what is not handled has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from rollout_sim.control.slo import AgeSli, Objective
from rollout_sim.core.formatting import share_with_interval, show_duration
from rollout_sim.core.statistics import Estimate, mean_of
from rollout_sim.core.units import text
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY
from rollout_sim.study.check.evidence import Evidence, above, column
from rollout_sim.study.check.finding import Edit, Remedy
from rollout_sim.study.check.rule import Match, Rule, rule
from rollout_sim.traffic.pollers import ROUND_TRIP
from rollout_sim.traffic.polling import Batch

SECONDS: Final = 180.0
"""How long a queue is looked at, beyond the time after which its messages come back."""
COMES_BACK: Final = 60.0
"""Seconds after which they come back in a look at most, where no batch takes half as long: how many do does not depend on it."""
MESSAGES: Final = 10_000.0
"""Messages of one look, about, at most."""
LOOKS: Final = 12
MUCH: Final = 2.0
"""How many times as many messages must come back as fail, and as come back with partial failures; errors that a record makes."""
ATTEMPTS: Final = 3
"""Retries of a stream's batch that are advised where there is no limit."""


@rule(
    "RS306",
    "one-message-fails-its-batch",
    "warning",
    example="""
    traffic:
      - source: queue
        alias: live
        arrivals: {poisson: 10/s}
        batch: {size: 10, window: 1 s}
        visibility_timeout: 60 s
    """,
    mend="""
    Let the function report which messages failed: `FunctionResponseTypes: [ReportBatchItemFailures]`, and return their ids.
    """,
)
def one_message_fails_its_batch(evidence: Evidence) -> Iterator[Match]:
    """A queue's batches fail as a whole, so that messages which nothing is wrong with come back, too.

    Without `ReportBatchItemFailures` one message that fails returns its whole batch: 1 - (1 - p)^size of all, where a share p fails.
    The others are handled again, after the visibility timeout, and use up their receives; with a poison message they end in the
    dead-letter queue beside it. A new version that fails a few messages so hurts many.
    """
    share = evidence.fault.errors
    if share is None:
        return
    for k, source in enumerate(evidence.whole.traffic):
        batch = source.batch or Batch()
        if source.source != "queue" or source.alias != evidence.deployment.alias or batch.partial_failures:
            continue
        if source.mapping.size == 1:
            continue
        whole = _coming_back(evidence, k, partial=False)
        if whole is None or not above(whole, MUCH * share):
            continue
        single = _coming_back(evidence, k, partial=True)
        assert single is not None
        if whole.mean < MUCH * single.mean:
            continue  # they are held back by their group, or by a queue that is too slow, and not by their batch
        edit = Edit(where=("traffic", k, "batch", "partial_failures"), value=True)
        effect = f"then {share_with_interval(single)} come back"
        yield Match(
            where=("traffic", k),
            message=(
                f"{evidence.called(k)}: one message that fails returns its batch: with {evidence.fault_text} of the messages on "
                f"version {evidence.deployment.new} {share_with_interval(whole)} of all come back"
            ),
            figures={"coming_back": whole},
            remedy=Remedy(
                edits=(edit,),
                text=evidence.origin.spell(evidence.scenario, edit),
                effect=effect,
                figures={"coming_back": single},
            ),
        )


def _coming_back(evidence: Evidence, k: int, *, partial: bool) -> Estimate | None:
    """The share of a queue's messages that the new version alone, with the goal's fault, does not handle at the first try."""
    scenario, new = evidence.whole, evidence.deployment.new
    source = scenario.traffic[k]
    source = replace(source, batch=replace(source.batch or Batch(), partial_failures=partial), max_receives=None)
    mapping, spec = source.mapping, scenario.function.versions[new]
    batch = float(spec.duration.ppf(np.array(0.99))) + mapping.size * spec.per_record
    longest = mapping.window + INIT_LIMIT + min(batch, scenario.function.timeout)
    again = min(mapping.visibility_timeout, max(COMES_BACK, 2 * longest))
    source = replace(source, visibility_timeout=again)
    rate = max(scenario.rates.get(source.alias, 0.0), 1e-9)
    looked = Scenario(
        name=scenario.name,
        function=replace(
            scenario.function,
            aliases={source.alias: new},
            versions={new: replace(spec, faults=(replace(evidence.fault, onset=0.0),))},
        ),
        traffic=(source,),
        horizon=again + min(SECONDS, max(MESSAGES / rate, 1.0)),
        slos=(Objective(name="at once", sli=AgeSli(age=again), objective=0.5),),
        seed=scenario.seed,
    )
    compared = evidence.compare(looked, replications=LOOKS)
    # Those that are judged came so long before the end that they might have come back.
    came = column(compared, STEADY, "requests") + column(compared, STEADY, "pending")
    judged = came * (1 - again / looked.horizon)
    return mean_of(np.minimum(column(compared, STEADY, "records_bad") / np.maximum(judged, 1.0), 1.0), tail=False)


@rule(
    "RS307",
    "visibility-timeout-is-short",
    "warning",
    example="""
    traffic:
      - {source: queue, alias: live, arrivals: {poisson: 2/s}, visibility_timeout: 15 s, max_receives: 3}
    """,
    mend="""
    Set the queue's `VisibilityTimeout` to six times the function's timeout, and the mapping's window besides.
    """,
)
def visibility_timeout_is_short(evidence: Evidence) -> Iterator[Match]:
    """A queue's messages come back before six timeouts of the function and the window are over, which AWS advises.

    A message that is throttled, or whose batch fails, is invisible until the visibility timeout ends, and each time that it is
    handed over counts. A short timeout uses the receives up while the function is still throttled, as at a shift, and messages
    that nothing is wrong with end in the dead-letter queue. A batch that runs longer than the timeout is handled twice as well,
    which is not simulated.
    """
    for k, source in enumerate(evidence.whole.traffic):
        mapping = source.mapping
        advised = mapping.advised_visibility(evidence.whole.function.timeout)
        if source.source != "queue" or mapping.visibility_timeout >= advised:
            continue
        receives = mapping.max_receives or 1
        lasts = (
            "it is tried again that soon"
            if mapping.max_receives is None
            else f"what is throttled for {show_duration(receives * mapping.visibility_timeout)} ends in the dead-letter queue"
        )
        edit = Edit(where=("traffic", k, "visibility_timeout"), value=text(advised, "duration"))
        yield Match(
            where=("traffic", k, "visibility_timeout"),
            message=(
                f"{evidence.called(k)}: a message comes back after {show_duration(mapping.visibility_timeout)}, which is less than "
                f"six timeouts and the window ({show_duration(advised)}): {lasts}"
            ),
            figures={"outlasted_s": _certain(receives * mapping.visibility_timeout)},
            remedy=Remedy(
                edits=(edit,),
                text=evidence.origin.spell(evidence.whole, edit),
                effect=f"then messages outlast {show_duration(receives * advised)} of throttling",
                figures={"outlasted_s": _certain(receives * advised)},
            ),
        )


@rule(
    "RS308",
    "alarm-counts-retries",
    "warning",
    example="""
    traffic:
      - {source: stream, alias: live, arrivals: {poisson: 2/s}, retries: {max_age: 10 min}}
    """,
    mend="""
    Watch how far the stream is behind: an alarm on `IteratorAge` instead of one on `Errors`.
    """,
)
def alarm_counts_retries(evidence: Evidence) -> Iterator[Match]:
    """An alarm on a number of errors watches a function that a stream feeds, whose batches are tried again at once.

    Each try of a failing batch is an error, so that a single bad record makes as many as fit into a minute: the count says how
    quick the function is and not how much is wrong. What a bad version does to a stream is that its shards fall behind, and
    records are lost once they are too old.
    """
    alias, new = evidence.deployment.alias, evidence.deployment.new
    streams = [
        k for k, source in enumerate(evidence.whole.traffic) if (source.source, source.alias) == ("stream", alias)
    ]
    for name, alarm in evidence.alarms.items():
        counts = alarm.metric == "errors" and alarm.statistic == "sum" and alarm.of != "old_version"
        if not counts or not streams:
            continue
        spec = evidence.whole.function.versions[new]
        made = {}
        for k in streams:
            mapping = evidence.whole.traffic[k].mapping
            longest = max(spec.duration.mean + mapping.size * spec.per_record, ROUND_TRIP)
            tries = math.inf if mapping.attempts < 0 else mapping.attempts + 1
            made[k] = min(alarm.period / longest, tries)
        k = max(made, key=lambda k: made[k])
        if made[k] < MUCH:
            continue
        ages = [slo.sli.age for slo in evidence.whole.slos if isinstance(slo.sli, AgeSli)]
        limit = text(max(alarm.period, *ages, 0.0), "duration")
        edit = Edit(
            where=("alarms", name),
            value={
                "metric": "iterator_age", "of": alarm.of, "period": text(alarm.period, "duration"),
                "datapoints": alarm.datapoints, "threshold": f"> {limit}", "missing": alarm.missing,
            },
        )  # fmt: skip
        figure = {"errors_of_one_record": _certain(made[k])}
        yield Match(
            where=("alarms", name),
            message=(
                f"{name} counts retries: {evidence.called(k)} tries a batch that fails again at once, so one bad record makes "
                f"{made[k]:,.0f} errors or more in {show_duration(alarm.period)}"
            ),
            figures=figure,
            remedy=Remedy(
                edits=(edit,),
                text=evidence.origin.spell(evidence.whole, edit),
                effect=f"then it says that a shard is more than {limit} behind",
                figures=figure,
            ),
        )


@rule(
    "RS309",
    "one-record-blocks-its-shard",
    "warning",
    example="""
    traffic:
      - {source: stream, alias: live, arrivals: {poisson: 2/s}}
    alarms:
      errors: {metric: error_rate, of: new_version, datapoints: 2 of 2, threshold: "> 20%", missing: not_breaching}
    """,
    mend="""
    Limit the retries (`MaximumRetryAttempts`, `MaximumRecordAgeInSeconds`), split batches that fail (`BisectBatchOnFunctionError`),
    and keep what is given up (`DestinationConfig`).
    """,
)
def one_record_blocks_its_shard(evidence: Evidence) -> Iterator[Match]:
    """A stream's batch that fails is tried again without a limit, so that a record which always fails blocks its shard.

    Nothing behind it is handled until it expires, after a day if the stream keeps it so long; by then what came after it is
    as old. A rollback helps only if the old version can handle the record.
    """
    for k, source in enumerate(evidence.whole.traffic):
        mapping = source.mapping
        if source.source != "stream" or mapping.attempts >= 0 or mapping.max_age is not None:
            continue
        edits = (
            Edit(where=("traffic", k, "retries"), value={"attempts": ATTEMPTS}),
            Edit(
                where=("traffic", k, "batch"),
                value={**evidence.whole.dump()["traffic"][k].get("batch", {}), "bisect": True},
            ),
        )
        yield Match(
            where=("traffic", k),
            message=(
                f"{evidence.called(k)}: a record that always fails blocks its shard for {show_duration(mapping.retention)}: "
                "its retries have no limit"
            ),
            figures={"blocked_s": _certain(mapping.retention)},
            remedy=Remedy(
                edits=edits,
                text="; ".join(evidence.origin.spell(evidence.whole, edit) for edit in edits),
                effect=f"then it is given up alone after {ATTEMPTS + 1} tries",
                figures={"tries": _certain(ATTEMPTS + 1)},
            ),
        )


def _certain(value: float) -> Estimate:
    """A figure that follows from the settings."""
    return Estimate(n=1, mean=value, low=value, high=value, quantiles={})


RULES: Final[tuple[Rule, ...]] = (
    one_message_fails_its_batch,
    visibility_timeout_is_short,
    alarm_counts_retries,
    one_record_blocks_its_shard,
)
