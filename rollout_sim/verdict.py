"""Verdict: which of a comparison's strategies does best, and what that comes to, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout_sim.estimates import Estimate, difference
from rollout_sim.replications import stopped
from rollout_sim.tables import interval_of, share, shares
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rollout_sim.comparison import Comparison

Floats = NDArray[np.float64]

NOTICED: Final = 0.05
"""By how much more often than a good version a bad one must be stopped to be told from it at all."""
RARELY: Final = 0.01
"""How often a good version may be stopped without a word about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The best strategy, the answer in sentences, and its figures: what, the estimate, and its interval or tail."""

    best: str
    sentences: tuple[str, ...]
    figures: tuple[tuple[str, str, str], ...]


def verdict(compared: Comparison) -> Verdict:
    """The strategy that tells the bad version from a good one best; of a good version, the one that leaves it alone.

    Where the replications cannot tell strategies apart, the one with fewer bad requests, then the faster one.
    """
    best = best_of(compared)
    if compared.scenario.rollout is None:
        sentences = _steady(compared, best)
    elif compared.twin is not None:
        sentences = _bad_version(compared, best)
    else:
        sentences = _good_version(compared, best)
    return Verdict(best=best, sentences=tuple(sentences), figures=tuple(_figures(compared, best)))


def best_of(compared: Comparison) -> str:
    """The name of the best strategy, as `verdict` says."""
    caught: dict[str, Floats] = {}
    for name, columns in compared.columns.items():
        mine = stopped(columns).astype(float)
        caught[name] = -mine if compared.twin is None else mine - stopped(compared.twin.columns[name])
    names = _leading(caught, list(compared.columns))
    names = _leading({name: -compared.columns[name]["bad_requests"] for name in names}, names)
    plans = compared.scenario.strategies
    return min(names, key=lambda name: plans[name].plan.time_to_full if name in plans else 0.0)


def _leading(scores: Mapping[str, Floats], names: Sequence[str]) -> list[str]:
    """The one with the highest mean, and those whose paired difference to it could be none."""
    best = max(names, key=lambda name: float(scores[name].mean()))
    found = []
    for name in names:
        apart = difference(scores[name], scores[best])
        if name == best or apart is None or apart.high is None or apart.high >= 0:
            found.append(name)
    return found


def _bad_version(compared: Comparison, best: str) -> list[str]:
    assert compared.twin is not None
    every, good = compared.estimates(best), compared.twin.estimates(best)
    caught, false = _there(every["stopped"]), _there(good["stopped"])
    version, count = compared.scenario.new, len(compared.columns)
    stops = f"it stops version {version} in {shares(caught)} of the rollouts"
    if caught.mean - false.mean < NOTICED:
        who = f"None of the {count} strategies tells" if count > 1 else f"{best} does not tell"
        most = max(compared.columns, key=lambda name: _there(compared.estimates(name)["stopped"]).mean)
        seen = f"{most} stops it most often, in {shares(compared.estimates(most)['stopped'])} of the rollouts"
        as_often = f"and a good version in {shares(compared.twin.estimates(most)['stopped'])}"
        return [
            f"{who} version {version} from a good one: {seen}, {as_often}.",
            _cost(compared, best, f"With {best} it"),
        ]
    if count > 1:
        first = f"Of the {count} strategies, {best} tells version {version} from a good one best: {stops}"
    else:
        first = f"{best} catches version {version}: {stops}"
    back = every["time_to_rollback_s"]
    when = "" if back is None else f", half of the time within {show_duration(back.quantiles['p50'][0])}"
    sentences = [f"{first}{when}.", _cost(compared, best, "That")]
    if false.mean > RARELY:
        sentences.append(f"But it also stops a good version in {shares(false)} of the rollouts.")
    else:
        sentences.append(f"It stops a good version in {shares(false)} of the rollouts.")
    return sentences


def _good_version(compared: Comparison, best: str) -> list[str]:
    version, count = compared.scenario.new, len(compared.columns)
    rate = _there(compared.estimates(best)["stopped"])
    good = f"Nothing is wrong with version {version}"
    if count == 1:
        sentences = [f"{good}; {best} stops it in {shares(rate)} of the rollouts."]
    else:
        worst = max(compared.columns, key=lambda name: _there(compared.estimates(name)["stopped"]).mean)
        highest = compared.estimates(worst)["stopped"]
        alone = f"Of the {count} strategies, {best} leaves it alone best: it stops it in {shares(rate)} of the rollouts"
        sentences = [f"{good}. {alone}; {worst} does in {shares(highest)}."]
    return [*sentences, _cost(compared, best, f"With {best} the traffic")]


def _steady(compared: Comparison, best: str) -> list[str]:
    scenario, found = compared.scenario, compared.estimates(best)
    requests = _there(found["requests"])
    answered = f"alias {scenario.alias} answers {_interval(requests)} requests in {show_duration(scenario.horizon)}"
    return [f"Nothing is rolled out: {answered}.", _cost(compared, best, "That")]


def _cost(compared: Comparison, name: str, subject: str) -> str:
    found = compared.estimates(name)
    bad, time = _interval(_there(found["bad_requests"])), show_duration(compared.scenario.horizon)
    text = f"{subject} comes to {bad} bad requests on average in {time}"
    spent = [
        f"{shares(found[f'budget_spent.{slo.name}'])} of the {slo.name} budget for {show_duration(slo.window)}"
        for slo in compared.scenario.slos
    ]
    return f"{text}, {' and '.join(spent)}." if spent else f"{text}."


def _figures(compared: Comparison, best: str) -> list[tuple[str, str, str]]:
    found, scenario = compared.estimates(best), compared.scenario
    rows: list[tuple[str, str, str]] = []
    if scenario.rollout is not None:
        rows.append((f"stops version {scenario.new}", *apart(shares(found["stopped"]))))
        if compared.twin is not None:
            rows.append(("stops a good version", *apart(shares(compared.twin.estimates(best)["stopped"]))))
        back = found["time_to_rollback_s"]
        if back is not None:
            median, tail = (show_duration(back.quantiles[q][0]) for q in ("p50", "p95"))
            rows.append(("rolled back after, median", median, f"95th percentile {tail}"))
    rows.append(("bad requests", *apart(_interval(_there(found["bad_requests"])))))
    for slo in scenario.slos:
        budget = _there(found[f"budget_spent.{slo.name}"])
        rows.append((f"of the {slo.name} budget", share(budget.mean), apart(shares(budget))[1]))
    return rows


def apart(text: str) -> tuple[str, str]:
    """The estimate and its interval."""
    mean, _, interval = text.partition(" [")
    low, _, high = interval.rstrip("]").partition(", ")
    return mean, f"{low.removesuffix('%') if high.endswith('%') else low}–{high}" if interval else ""


def _interval(estimate: Estimate) -> str:
    return interval_of(estimate.mean, estimate.low, estimate.high)


def _there(estimate: Any) -> Estimate:
    """An estimate that always has data."""
    assert isinstance(estimate, Estimate)
    return estimate
