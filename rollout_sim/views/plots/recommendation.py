"""Pictures of a recommendation: what each contender costs and takes, and how small a fault it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from rollout_sim.control.slo import budget_events
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.views.plots.style import GREY, axes_or_new, look

if TYPE_CHECKING:
    from rollout_sim.study.recommend.hypotheses import Evaluation
    from rollout_sim.study.recommend.search import Recommendation


_MINUTE: Final = 60.0
_DECADES: Final = 1000.0
"""The largest amount over the smallest that is drawn on a logarithmic scale, where some are not above zero."""


def pareto(recommendation: Recommendation, *, ax: Axes | None = None) -> Axes:
    """The budget that a release spends on average against minutes to full traffic, coloured by how often it is caught.

    Small points were simulated briefly, large ones closely; crosses break a limit of the goal, diamonds leave one open.
    The front is of those that keep the goal or may do, or of all where none does.
    """
    ax = axes_or_new(ax)
    slo = recommendation.scenario.slos[0]
    whole = budget_events(slo.objective, recommendation.scenario.rates[recommendation.scenario.alias], slo.window)
    evaluations = _all(recommendation)
    brief = len(recommendation.explored)
    minutes = np.array([evaluation.time_to_full / _MINUTE for evaluation in evaluations])
    spent = np.array([evaluation.bad.mean / whole for evaluation in evaluations])
    caught = np.array([np.nan if evaluation.caught is None else evaluation.caught.mean for evaluation in evaluations])
    sizes = np.array([28.0 if k < brief else 80.0 for k in range(len(evaluations))])
    breaks = np.array([bool(evaluation.broken(recommendation.goal)) for evaluation in evaluations])
    unclear = np.array([bool(evaluation.open(recommendation.goal)) for evaluation in evaluations]) & ~breaks
    keeps = ~breaks & ~unclear
    front = _front(minutes, spent, breaks if breaks.all() else ~breaks)
    ax.plot(minutes[front], spent[front], color=GREY, linewidth=1, linestyle="--", zorder=1, label="Pareto front")
    colours: dict[str, Any] = {"color": GREY} if np.isnan(caught).all() else {"cmap": "cividis", "vmin": 0, "vmax": 1}
    verdicts = ((keeps, "o", "keeps the goal"), (unclear, "D", "too few to decide"), (breaks, "X", "breaks a limit"))
    for chosen, marker, label in [verdict for verdict in verdicts if verdict[0].any()]:
        shade = {} if "color" in colours else {"c": caught[chosen]}
        points = ax.scatter(
            minutes[chosen], spent[chosen], s=sizes[chosen], marker=marker, label=label, edgecolor=GREY, linewidth=0.6,
            zorder=2, **colours, **shade,
        )  # fmt: skip
    if "cmap" in colours:
        bar = ax.figure.colorbar(points, ax=ax, format=PercentFormatter(1.0))
        bar.set_label("how often the fault of the goal is caught")
        bar.outline.set_visible(False)
    for evaluation in recommendation.confirmed:
        winning = recommendation.winner == evaluation.candidate
        if evaluation.candidate.alarm is not None and not winning:
            continue  # an obvious one with a better alarm: near its namesake
        point = evaluation.time_to_full / _MINUTE, evaluation.bad.mean / whole
        ax.annotate(
            f"{evaluation.candidate.name} (recommended)" if winning else evaluation.candidate.name, point,
            xytext=(36, 64) if winning else (9, 9), textcoords="offset points", fontsize=9,
            fontweight="bold" if winning else "normal", arrowprops={"arrowstyle": "-", "color": GREY} if winning else None,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}, zorder=4,
        )  # fmt: skip
        if winning:
            ax.plot(
                *point, marker="o", markersize=16, markerfacecolor="none", color="#D55E00", linestyle="none", zorder=3
            )
    _scale(ax, spent)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g}%"))
    ax.set_xlim(-0.04 * max(float(minutes.max()), 1.0), max(float(minutes.max()), 1.0) * 1.25)
    ax.set_xlabel("minutes to full traffic, when nothing stops it")
    ax.set_ylabel(f"{slo.name} budget that a release spends on average")
    ax.set_title("What the candidates cost and how long they take")
    ax.legend(loc="upper right", fontsize=9)
    return ax


def _scale(ax: Axes, spent: FloatArray) -> None:
    """A logarithmic scale, linear around zero where a release saves budget, with room at the top for names."""
    most = float(np.abs(spent).max())
    if spent.min() > 0:
        ax.set_yscale("log")
        ax.set_ylim(top=most * 4)
    elif most > 0:
        ax.set_yscale("symlog", linthresh=most / _DECADES)


def power(recommendation: Recommendation, *, ax: Axes | None = None) -> Axes:
    """How often the recommended rollout and the obvious ones stop a version, against how bad it is."""
    ax = axes_or_new(ax)
    evaluations = recommendation.confirmed
    errors = recommendation.risk.severity.error_rate is not None
    known = list(recommendation.scenario.strategies)
    for evaluation in evaluations:
        if evaluation.candidate.name not in known or evaluation.candidate.alarm is not None:  # not one of the file's
            known.append(evaluation.candidate.label)
        own = evaluation.candidate.name if evaluation.candidate.alarm is None else evaluation.candidate.label
        looks = look(known.index(own))
        severities = np.array([severity for severity, _ in evaluation.power])
        means = np.array([estimate.mean for _, estimate in evaluation.power])
        low = np.array([estimate.low or 0.0 for _, estimate in evaluation.power])
        high = np.array([estimate.high or 0.0 for _, estimate in evaluation.power])
        label = evaluation.candidate.name
        if recommendation.winner == evaluation.candidate:
            label += " (recommended)"
        elif evaluation.candidate.alarm is not None:
            label += ", better alarm"
        ax.plot(severities, means, marker="o", label=label, **looks)
        ax.fill_between(severities, low, high, color=looks["color"], alpha=0.15, linewidth=0)
        ax.axhline(evaluation.false_rollback.mean, color=looks["color"], linewidth=0.8, linestyle=(0, (1, 3)))
    ax.set_xscale("log")
    show = (lambda value, _: f"{value * 100:.3g}%") if errors else (lambda value, _: f"{value:.3g}x")
    ax.xaxis.set_major_formatter(FuncFormatter(show))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("errors that the new version adds" if errors else "times as long as the old version takes")
    ax.set_ylabel("stopped (95% intervals)")
    ax.set_title("How bad a version has to be to be stopped (dotted: a good one)")
    ax.legend(loc="center right", fontsize=9)
    return ax


def _all(recommendation: Recommendation) -> list[Evaluation]:
    """Those simulated briefly, then those simulated closely."""
    return [*recommendation.explored, *recommendation.contenders, *recommendation.confirmed]


def _front(minutes: FloatArray, bad: FloatArray, among: BoolArray) -> list[int]:
    """The points among those that no other of them beats in both, from left to right."""
    front: list[int] = []
    for k in np.lexsort((bad, minutes)).tolist():
        if not among[k]:
            continue
        if not front or bad[k] < bad[front[-1]]:
            front.append(k)
    return front
