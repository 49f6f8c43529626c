"""Notes: what a recommendation assumes, and what a reader should know of how it was found."""

from __future__ import annotations

from collections.abc import Sequence

from rollout_sim.core.formatting import show_duration
from rollout_sim.scenario.remarks import remarks_about
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.problem import SelectionProblem


def notes_on(
    problem: SelectionProblem,
    *,
    left_out: Sequence[str],
    winner: Evaluation | None = None,
    precision: float | None = None,
) -> tuple[str, ...]:
    """A sentence each.

    `left_out` are the strategies for which a trace is too short, `winner` the confirmed figures of what is recommended, and
    `precision` the half-width (fraction) that was asked of them.
    """
    scenario = problem.scenario
    notes = [
        "the risk's severities are drawn at random in parts of equal probability; the intervals cover it",
        "bad requests and budgets are what the rollout adds to a run without one, on paired arrivals",
        (
            f"a bad version that nothing stops is found {show_duration(problem.risk.found_after)} after it serves everybody "
            "(risk.found_after), and costs until then at the rate at which it does while it is simulated"
        ),
    ]
    notes += remarks_about(scenario)
    if left_out:
        last = f"the traffic's trace ends at {show_duration(problem.trace_end)}"
        notes.append(f"left out, because {last}: {', '.join(left_out)}")
    assert scenario.new is not None
    if scenario.function.versions[scenario.new].faults:
        notes.append("the faults of the new version in the file are set aside; `risk` says how releases go wrong")
    if not problem.whole_periods:
        notes.append(f"every invocation is simulated ({problem.plane.reason}), so there are fewer replications")
    if winner is not None:
        plan = winner.candidate.plan
        if plan.before is not None or plan.after is not None:
            notes.append("tests in hooks are taken to fail as often as real requests would")
        if precision is not None:
            limits = winner.limits(problem.goal)
            wide = [limit.name.replace("_", " ") for limit in limits if not limit.settled(precision)]
            if wide:
                notes.append(f"the effort was spent before the precision asked for was reached: {', '.join(wide)}")
    if len(scenario.targets) > 2:
        notes.append("traffic to other aliases is part of the runs")
    return tuple(notes)
