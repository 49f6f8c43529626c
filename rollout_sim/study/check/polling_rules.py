"""Rules about queues: what one message that fails does to the others of its batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from rollout_sim.control.slo import AgeSli, Objective
from rollout_sim.core.formatting import share_with_interval
from rollout_sim.core.statistics import Estimate, mean_of
from rollout_sim.function.spec import INIT_LIMIT
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import STEADY
from rollout_sim.study.check.evidence import Evidence, above, column
from rollout_sim.study.check.finding import Edit, Remedy
from rollout_sim.study.check.rule import Match, Rule, rule
from rollout_sim.traffic.polling import Batch

SECONDS: Final = 180.0
"""How long a queue is looked at, beyond the time after which its messages come back."""
COMES_BACK: Final = 60.0
"""Seconds after which they come back in a look at most, where no batch takes half as long: how many do does not depend on it."""
MESSAGES: Final = 10_000.0
"""Messages of one look, about, at most."""
LOOKS: Final = 12
MUCH: Final = 2.0
"""How many times as many messages must come back as fail, and as come back with partial failures."""


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
        name = source.name or f"traffic[{k}]"
        yield Match(
            where=("traffic", k),
            message=(
                f"{name}: one message that fails returns its batch: with {evidence.fault_text} of the messages on version "
                f"{evidence.deployment.new} {share_with_interval(whole)} of all come back"
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


RULES: Final[tuple[Rule, ...]] = (one_message_fails_its_batch,)
