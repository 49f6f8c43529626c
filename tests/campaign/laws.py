"""What holds of every run and every comparison, whatever the scenario says."""

from __future__ import annotations

import json
import math

import numpy as np

from rollout_sim.run.result import RunResult
from rollout_sim.run.simulate import simulate, simulate_each
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare
from rollout_sim.views.output import to_json

ENDS = {"promoted", "rolled_back", "failed", "blocked", "running"}


class BrokenLawError(AssertionError):
    """A result contradicts itself."""


def holds(condition: object, law: str) -> None:
    if not condition:
        raise BrokenLawError(law)


def check_runs(scenario: Scenario) -> None:
    """One run per strategy, each by itself and all beside one another."""
    results = list(simulate_each(scenario, events=True))
    for result in results:
        check_counts(result)
        if scenario.rollout is not None:
            check_deployment(result)
    arrived = {result.requests + result.pending for result in results}
    if results[0].baseline is not None:
        arrived.add(results[0].baseline.requests + results[0].baseline.pending)
    holds(len(arrived) == 1, f"as many requests come under every strategy, got {sorted(arrived)}")


def check_counts(result: RunResult) -> None:
    counts, metrics = result.counts, result.metrics
    for name, values in (("requests", counts.requests), ("bad", counts.bad), ("invocations", metrics.invocations)):
        holds((values >= 0).all(), f"{name} are not negative")
    holds((counts.bad <= counts.judged).all(), "no more bad requests than requests")
    for bad in counts.bad_by:
        holds((bad <= counts.bad).all(), "what is bad for an objective is bad")
    holds((metrics.errors <= metrics.invocations).all(), "no more errors than invocations")
    holds((metrics.cold_starts <= metrics.invocations).all(), "no more cold starts than invocations")
    holds(result.pending >= 0, "no fewer than no requests wait")
    events = result.events
    assert events is not None
    # The first attempts are the arrivals: each of them is answered or still waits.
    first = events[(events["attempt"] == 1) & (events["alias"] != "")]
    holds(
        len(first) == result.requests + result.pending,
        f"requests = good + bad + pending: {len(first)} came, {result.requests} were answered, {result.pending} wait",
    )
    throttled = events["outcome"] == "throttled"
    holds(
        int((throttled & (events["alias"] != "")).sum()) == result.throttles, "a throttle is an attempt without a run"
    )
    ended = ~throttled & (events["start_s"] + events["init_s"] + events["duration_s"] < horizon_of(result) - 2e-6)
    versions = sum(version.invocations for version in result.versions.values())
    holds(ended.sum() <= versions <= (~throttled).sum(), "every invocation that ended is counted")
    holds(
        sum(version.errors for version in result.versions.values()) <= versions,
        "no more errors than invocations of all versions",
    )
    holds(json.dumps(result.summary, allow_nan=False), "the summary is JSON")
    for slo in result.scenario.slos:
        holds(math.isfinite(result.budget(slo).spent), "a budget is a number")


def horizon_of(result: RunResult) -> float:
    return result.scenario.horizon - result.scenario.start


def check_deployment(result: RunResult) -> None:
    """Shifts, outcome, history and alarm log tell one story."""
    scenario, shifts = result.scenario, result.shifts
    weight, before = 0.0, scenario.start
    for shift in shifts:
        holds(0 <= shift.weight <= 1, f"weights lie in [0, 1], got {shift.weight}")
        holds(shift.before == weight != shift.weight, "each shift begins where the one before ended")
        holds(before <= shift.at <= scenario.horizon, "shifts come in order, within the rollout")
        weight, before = shift.weight, shift.at
    outcome = result.outcome
    holds(outcome in ENDS, f"an outcome of a rollout, got {outcome}")
    paged = result.on_call_rollback_s is not None
    if outcome == "promoted":
        holds(weight == (0.0 if paged else 1.0), f"a promoted version has all the traffic, got {weight}")
        holds(result.time_to_full_s is not None, "a promoted version was at 100% once")
    elif outcome in ("rolled_back", "failed", "blocked"):
        holds(weight == 0.0, f"after {outcome} the old version has all the traffic, got {weight}")
    holds((outcome == "rolled_back") <= (result.time_to_rollback_s is not None), "a rollback has its time")
    holds((outcome == "blocked") <= (not shifts), "a blocked rollout moves nothing")
    holds(
        (outcome == "running") == (result.time_to_end_s is None), "what goes on has no end, and nothing else has none"
    )
    reached = [shift.at - scenario.start for shift in shifts if shift.weight == 1]
    holds(
        (not reached and result.time_to_full_s is None)
        or (result.time_to_full_s is not None and abs(reached[0] - result.time_to_full_s) < 1e-5),
        "full traffic is the shift to 100%",
    )
    states = dict.fromkeys(scenario.alarms, "INSUFFICIENT_DATA")
    alarmed: list[float] = []
    for at, name, old, new in result.alarm_log:
        holds(states[name] == old != new, "each change of an alarm begins in the state before")
        states[name] = new
        if new == "ALARM" and name in scenario.acting:
            alarmed.append(at)
    if outcome in ("rolled_back", "blocked"):
        end = scenario.start + (result.time_to_end_s or 0.0)
        holds(any(at <= end + 1e-5 for at in alarmed), f"{outcome} needs an alarm that acts")
    check_history(result)


def check_history(result: RunResult) -> None:
    scenario = result.scenario
    version, routing = None, {}
    moves = []
    for entry in result.history:
        if entry.alias != scenario.alias:
            continue
        holds(
            entry.from_version == version and dict(entry.from_routing) == routing,
            "the history goes on from where it was",
        )
        holds(entry.to_version is not None, "the alias stays")
        version, routing = entry.to_version, dict(entry.to_routing)
        holds(all(0 <= share <= 1 for share in routing.values()), "weights of the history lie in [0, 1]")
        if entry.at >= scenario.start and entry.reason != "promotion" and entry.from_version is not None:
            moves.append((entry.at, 1.0 if version == scenario.new else routing.get(scenario.new or "", 0.0)))
    delay = scenario.function.propagation
    told = [(shift.at + delay, shift.weight) for shift in result.shifts if shift.at + delay <= scenario.horizon]
    same = len(told) == len(moves) and all(
        abs(a - b) < 1e-5 and abs(v - w) < 1e-12 for (a, v), (b, w) in zip(told, moves, strict=True)
    )
    holds(same, f"the alias follows the shifts: {told} against {moves}")


def check_comparison(scenario: Scenario, replications: int = 3) -> None:
    """Estimates are numbers in their intervals, shares add up, and the first replication is the single run."""
    compared = compare(scenario, replications)
    holds(json.dumps(to_json(compared), allow_nan=False), "the document is JSON")
    for side in (compared, compared.twin):
        if side is None:
            continue
        for name, columns in side.columns.items():
            holds((columns["bad_requests"] <= columns["requests"]).all(), "no more bad requests than requests")
            holds(
                (columns["bad_requests_new_version"] <= columns["bad_requests"]).all(),
                "the new version's bad requests are bad ones",
            )
            full, back = columns["time_to_full_s"], columns["time_to_rollback_s"]
            holds(
                (np.isnan(full) | (full >= 0)).all() and (np.isnan(back) | (back >= 0)).all(),
                "times count from the start",
            )
            for key, estimate in side.estimates(name).items():
                if estimate is None or estimate.low is None or estimate.high is None:
                    continue
                within = estimate.low - 1e-9 <= estimate.mean <= estimate.high + 1e-9
                holds(within, f"{key}: the mean {estimate.mean} lies in [{estimate.low}, {estimate.high}]")
    if compared.plane.engine != "aggregate":
        name = next(iter(compared.columns))
        single = simulate(scenario, None if scenario.rollout is None else name, replication=0)
        column = compared.columns[name]["requests"]
        holds(single.requests == column[0], f"the first replication is the single run: {single.requests}, {column[0]}")
