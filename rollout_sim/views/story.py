"""Story: one run in some ten lines: what happened when, what the alarm saw, and why it ended so."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from rollout_sim.control.alarms import describe
from rollout_sim.control.metrics import Target
from rollout_sim.core.formatting import share, show_duration
from rollout_sim.run.result import RunResult
from rollout_sim.views.cells import Judgement
from rollout_sim.views.plots.moments import alarms, onsets
from rollout_sim.views.sentences import holding

FEW: Final = 3
"""Shifts in a row that have lines of their own; more of them share one."""


def story(result: RunResult) -> list[str]:
    """The lines, in the order of what happened; times count from the rollout's start."""
    scenario = result.scenario
    if scenario.rollout is None:
        return [f"{result.strategy}: nothing is rolled out, so there is nothing to tell"]
    version = f"version {scenario.new}"
    head = f"{result.strategy}: {version} of {scenario.function.name} behind the alias {scenario.alias}, seed {result.seed}"
    watched = [f"{name} ({describe(scenario.alarms[name])})" for name in scenario.rollout.alarms]
    told: list[tuple[float, str]] = []
    for at, what in onsets(result):
        told.append((at, f"the fault of {version} sets in" if what.startswith("fault") else what))
    for back, shifts in groupby(result.shifts, key=lambda shift: shift.weight < shift.before):
        changed = [(shift.at - scenario.start, shift.weight, shift.reason) for shift in shifts]
        if back or len(changed) <= FEW:
            told += [(at, _shifted(version, weight, reason, back=back)) for at, weight, reason in changed]
        else:
            first, last = changed[0], changed[-1]
            weights = ", ".join(share(weight) for _, weight, _ in changed)
            told.append(
                (first[0], f"{version} gets, until {show_duration(last[0])}, in {len(changed)} steps: {weights}")
            )
    told += [(at, f"alarm {name} fires: {_seen(result, name, at)}") for at, name in alarms(result)]
    if result.on_call_rollback_s is not None:
        told.append((result.on_call_rollback_s, "on-call points the alias back"))
    told.sort(key=lambda line: (line[0], "fires" not in line[1]))  # an alarm comes before what it does
    lines = [f"{show_duration(at):>10}  {text}" for at, text in told]
    bad = f"{result.bad_requests:,} of {result.requests:,} requests are bad, {result.bad_requests_new_version:,} of them by {version}"
    if result.baseline is not None:
        bad += f"; {result.bad_requests - result.baseline.bad_requests:,} more than without the rollout"
    judged = Judgement(result.outcome, bool(scenario.new and scenario.function.versions[scenario.new].faults)).text
    why = result.reason.removeprefix(f"{result.outcome_text}: ")
    reason = f" ({why})" if why and why != result.outcome_text else ""
    return [
        head,
        *([f"it starts {show_duration(result.phase_s)} into a minute of the alarms"] if result.phase_s else []),
        f"watched by {'; '.join(watched)}" if watched else "no alarm watches it",
        *([holding(scenario.rollout.hold)] if scenario.rollout.hold is not None else []),
        *lines,
        f"outcome: {result.outcome_text}{reason}; verdict: {judged}",
        f"{bad}.",
    ]


def _shifted(version: str, weight: float, reason: str, *, back: bool) -> str:
    if back:
        return f"{version} is down to {share(weight)} of the traffic: {reason}"
    return f"{version} gets {share(weight)} of the traffic" + (f": {reason}" if reason else "")


def _seen(result: RunResult, name: str, at: float) -> str:
    """What CloudWatch held of the new version in the time that the alarm looked at, up to `at` (s from the start)."""
    scenario, metrics = result.scenario, result.metrics
    alarm = scenario.alarms[name]
    looked = max(alarm.long if alarm.metric == "burn_rate" else alarm.period * alarm.n, metrics.resolution)
    end = scenario.start + at - (alarm.lag if isinstance(alarm.lag, float) else 0.0)
    first = max(0, int((end - looked) // metrics.resolution))
    stop = max(first + 1, int(end // metrics.resolution))
    chosen = [k for k, target in enumerate(metrics.targets) if target == Target(scenario.alias, scenario.new or "")]
    errors, invocations = (int(counts[0, chosen, first:stop].sum()) for counts in (metrics.errors, metrics.invocations))
    total = float(metrics.duration_sum[0, chosen, first:stop].sum())
    mean = f", {show_duration(total / invocations)} on average" if invocations else ""
    return f"in the {show_duration(looked)} before, {errors:,} errors in {invocations:,} invocations of the new version{mean}"
