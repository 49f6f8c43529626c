"""Pictures of a recommendation: what each contender costs and takes, and how small a fault it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, NullFormatter, NullLocator
from numpy.typing import NDArray

from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.views.plots.style import GREY, axes_or_new, legend_beside, look, place_names, probability_axis, wrapped

if TYPE_CHECKING:
    from rollout_sim.scenario.goals import Goal
    from rollout_sim.study.recommend.hypotheses import Evaluation
    from rollout_sim.study.recommend.recommendation import Recommendation


RECOMMENDED: Final = "#D55E00"
_VERDICTS: Final = {
    "yes": ("o", "#0072B2", "keeps the goal"),
    "open": ("D", "#E69F00", "too few to decide"),
    "no": ("X", "#8A9096", "breaks a limit"),
}
"""How a candidate is drawn by what the limits of the goal say, in the order of the legend."""
_MINUTE: Final = 60.0
_DECADES: Final = 1000.0
"""The largest amount over the smallest that is drawn on a logarithmic scale, where some are not above zero."""


def pareto(recommendation: Recommendation, *, ax: Axes | None = None) -> Axes:
    """The budget that a release spends on average against minutes to full traffic, coloured by the goal's limits.

    Small pale points were simulated briefly, large ones closely; crosses break a limit of the goal, diamonds leave one
    open. The front is of those simulated closely that keep the goal or may do, or of all of these where none does.
    """
    ax = axes_or_new(ax)
    slo, goal = recommendation.scenario.slos[0], recommendation.goal
    closely = _closely(recommendation)
    minutes, spent, verdicts = _points(closely, goal)
    front = _front(minutes, spent, verdicts != "no" if (verdicts != "no").any() else verdicts == "no")
    ax.plot(minutes[front], spent[front], color=GREY, linewidth=1, linestyle="--", zorder=0.8, label="Pareto front")
    brief_minutes, brief_spent, brief_verdicts = _points(recommendation.explored, goal)
    for verdict, (marker, colour, label) in _VERDICTS.items():
        shown: dict[str, Any] = {"marker": marker, "color": colour}
        chosen, brief = verdicts == verdict, brief_verdicts == verdict
        if brief.any():
            ax.scatter(brief_minutes[brief], brief_spent[brief], s=22, alpha=0.3, linewidth=0, zorder=2, **shown)
        if chosen.any():
            ax.scatter(
                minutes[chosen], spent[chosen], s=80, edgecolor="white", linewidth=0.6, zorder=3, label=label, **shown
            )
        elif brief.any():
            ax.scatter([], [], s=80, edgecolor="white", linewidth=0.6, label=label, **shown)
    if recommendation.explored:
        ax.scatter([], [], s=22, alpha=0.4, color=GREY, linewidth=0, label="simulated briefly (noisy)")
    named: dict[str, tuple[float, float]] = {}
    for evaluation in recommendation.confirmed:
        point = evaluation.time_to_full / _MINUTE, evaluation.spent.mean
        if recommendation.winner == evaluation.candidate:
            ax.plot(
                *point, marker="*", markersize=22, color=RECOMMENDED, markeredgecolor="white", linestyle="none", zorder=5,
                label="recommended",
            )  # fmt: skip
        # an obvious one with a better alarm is near its namesake
        if recommendation.winner == evaluation.candidate or evaluation.candidate.alarm is None:
            mark = " (recommended)" if recommendation.winner == evaluation.candidate else ""
            named[f"{evaluation.candidate.name}{mark}"] = point
    both = np.concatenate([spent, brief_spent])
    longest = max(float(np.concatenate([minutes, brief_minutes]).max()), 1.0)
    _scale(ax, both)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g}%"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(-0.04 * longest, longest * 1.06)
    ax.set_xlabel("minutes to full traffic, when nothing stops it")
    ax.set_ylabel(f"{wrapped(slo.name, 30, 1)} budget that a release\nspends on average")
    ax.set_title("What the candidates cost and how long they take")
    legend_beside(ax)
    place_names(ax, named.items())
    return ax


def _points(evaluations: Sequence[Evaluation], goal: Goal) -> tuple[FloatArray, FloatArray, NDArray[np.str_]]:
    """Where the candidates lie: minutes to full traffic, share of the budget; and what the limits of the goal say."""
    minutes = np.array([evaluation.time_to_full / _MINUTE for evaluation in evaluations])
    spent = np.array([evaluation.spent.mean for evaluation in evaluations])
    verdicts = [
        "no" if evaluation.broken(goal) else "open" if evaluation.open(goal) else "yes" for evaluation in evaluations
    ]
    return minutes, spent, np.array(verdicts, np.str_)


def _scale(ax: Axes, spent: FloatArray) -> None:
    """A logarithmic scale, linear around zero where a release saves budget, with room at the top for names."""
    most = float(np.abs(spent).max())
    if spent.min() > 0:
        ax.set_yscale("log")
        ax.set_ylim(float(spent.min()) / 2, most * 4)
    elif most > 0:
        ax.set_yscale("symlog", linthresh=most / _DECADES)


def power(recommendation: Recommendation, *, ax: Axes | None = None) -> Axes:
    """How often the recommended rollout and the obvious ones stop a version, against how bad it is.

    To the left of the severities stands a good version, on an axis of its own: hollow marks.
    """
    ax = axes_or_new(ax)
    evaluations = recommendation.confirmed
    errors = recommendation.risk.severity.error_rate is not None
    known = list(recommendation.scenario.strategies)
    severities = sorted({severity for evaluation in evaluations for severity, _ in evaluation.power})
    step = (severities[-1] / severities[0]) ** (1 / max(len(severities) - 1, 1)) if len(severities) > 1 else 2.0
    good = severities[0] / max(step, 1.3) ** 1.5
    for k, evaluation in enumerate(evaluations):
        if evaluation.candidate.name not in known or evaluation.candidate.alarm is not None:  # not one of the file's
            known.append(evaluation.candidate.label)
        own = evaluation.candidate.name if evaluation.candidate.alarm is None else evaluation.candidate.label
        looks = look(known.index(own))
        means = np.array([estimate.mean for _, estimate in evaluation.power])
        low = np.array([estimate.low or 0.0 for _, estimate in evaluation.power])
        high = np.array([estimate.high or 0.0 for _, estimate in evaluation.power])
        label = evaluation.candidate.name
        if recommendation.winner == evaluation.candidate:
            label += " (recommended)"
        elif evaluation.candidate.alarm is not None:
            label += ", better alarm"
        at = np.array([severity for severity, _ in evaluation.power])
        wide = 3.0 if recommendation.winner == evaluation.candidate else 1.6
        ax.plot(at, means, marker="o", label=wrapped(label, 40), clip_on=False, linewidth=wide, **looks)
        ax.fill_between(at, low, high, color=looks["color"], alpha=0.15, linewidth=0)
        false = evaluation.false_rollback
        beside = good * max(step, 1.3) ** (0.12 * (k - (len(evaluations) - 1) / 2))
        reach = [[false.mean - (false.low or 0.0)], [(false.high or 0.0) - false.mean]]
        ax.errorbar(
            beside, false.mean, yerr=np.maximum(reach, 0.0), marker="s", markerfacecolor="white", color=looks["color"],
            linestyle="none", capsize=2, clip_on=False,
        )  # fmt: skip
    show = (lambda value: f"{value * 100:.3g}%") if errors else (lambda value: f"{value:.3g}x")
    ax.set_xscale("log")
    ax.axvline(good * max(step, 1.3) ** 0.75, color=GREY, linewidth=0.8)
    ticks = [good, *severities[:: max(1, -(-len(severities) // 8))]]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter(["a good\nversion", *map(show, ticks[1:])]))
    ax.xaxis.set_minor_locator(NullLocator())
    probability_axis(ax)
    ax.set_xlabel("errors that the new version adds" if errors else "times as long as the old version takes")
    ax.set_ylabel("stopped (95% intervals)")
    ax.set_title("How bad a version has to be to be stopped")
    legend_beside(ax)
    return ax


def _closely(recommendation: Recommendation) -> list[Evaluation]:
    """The candidates that were simulated closely; of a contender that was confirmed, only the fresh replications."""
    fresh = {evaluation.candidate.label for evaluation in recommendation.confirmed}
    others = [evaluation for evaluation in recommendation.contenders if evaluation.candidate.label not in fresh]
    return [*others, *recommendation.confirmed]


def _front(minutes: FloatArray, bad: FloatArray, among: BoolArray) -> list[int]:
    """The points among those that no other of them beats in both, from left to right."""
    front: list[int] = []
    for k in np.lexsort((bad, minutes)).tolist():
        if not among[k]:
            continue
        if not front or bad[k] < bad[front[-1]]:
            front.append(k)
    return front
