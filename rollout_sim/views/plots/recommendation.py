"""Pictures of a recommendation: what each contender costs and takes, and how small a fault it sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from rollout_sim.control.slo import budget_events
from rollout_sim.core.arrays import BoolArray, FloatArray
from rollout_sim.views.plots.style import GREY, HALF, look, styled

if TYPE_CHECKING:
    from rollout_sim.study.recommend.hypotheses import Evaluation
    from rollout_sim.study.recommend.search import Recommendation


_MINUTE: Final = 60.0


def pareto(found: Recommendation, *, ax: Axes | None = None) -> Axes:
    """The budget that a release spends on average against minutes to full traffic, coloured by how often it is caught.

    Small points were simulated briefly, large ones closely; crosses miss a limit of the goal. The front is of those that
    keep the goal, or of all where none does.
    """
    ax = _axes(ax)
    slo = found.scenario.slos[0]
    whole = budget_events(slo.objective, found.scenario.rates[found.scenario.alias], slo.window)
    figures = _all(found)
    brief = len(found.explored)
    minutes = np.array([one.time_to_full / _MINUTE for one in figures])
    spent = np.array([max(one.bad.mean, 0.0) / whole for one in figures])
    caught = np.array([np.nan if one.caught is None else one.caught.mean for one in figures])
    sizes = np.array([28.0 if k < brief else 80.0 for k in range(len(figures))])
    keeps = np.array([not one.misses(found.goal) for one in figures])
    front = _front(minutes, spent, keeps if keeps.any() else ~keeps)
    ax.plot(minutes[front], spent[front], color=GREY, linewidth=1, linestyle="--", zorder=1, label="Pareto front")
    colours: dict[str, Any] = {"color": GREY} if np.isnan(caught).all() else {"cmap": "cividis", "vmin": 0, "vmax": 1}
    for chosen, marker, label in ((keeps, "o", "keeps the goal"), (~keeps, "X", "misses a limit")):
        shade = {} if "color" in colours else {"c": caught[chosen]}
        points = ax.scatter(
            minutes[chosen], spent[chosen], s=sizes[chosen], marker=marker, label=label, edgecolor=GREY, linewidth=0.6,
            zorder=2, **colours, **shade,
        )  # fmt: skip
    if "cmap" in colours:
        bar = ax.figure.colorbar(points, ax=ax, format=PercentFormatter(1.0))
        bar.set_label("how often the fault of the goal is caught")
        bar.outline.set_visible(False)
    for one in found.confirmed:
        winning = found.winner == one.candidate
        place = one.time_to_full / _MINUTE, max(one.bad.mean, 0.0) / whole
        ax.annotate(
            f"{one.candidate.name} (recommended)" if winning else one.candidate.name, place,
            xytext=(36, 64) if winning else (9, 9), textcoords="offset points", fontsize=9,
            fontweight="bold" if winning else "normal", arrowprops={"arrowstyle": "-", "color": GREY} if winning else None,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}, zorder=4,
        )  # fmt: skip
        if winning:
            ax.plot(
                *place, marker="o", markersize=16, markerfacecolor="none", color="#D55E00", linestyle="none", zorder=3
            )
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.3g}%"))
    ax.set_ylim(top=float(spent.max()) * 4)
    ax.set_xlim(-0.04 * max(float(minutes.max()), 1.0), max(float(minutes.max()), 1.0) * 1.25)
    ax.set_xlabel("minutes to full traffic, when nothing stops it")
    ax.set_ylabel(f"{slo.name} budget that a release spends on average")
    ax.set_title("What the candidates cost and how long they take")
    ax.legend(loc="upper right", fontsize=9)
    return ax


def power(found: Recommendation, *, ax: Axes | None = None) -> Axes:
    """How often the recommended rollout and the obvious ones stop a version, against how bad it is."""
    ax = _axes(ax)
    figures = found.confirmed
    errors = found.risk.severity.error_rate is not None
    known = list(found.scenario.strategies)
    for one in figures:
        if one.candidate.name not in known or one.candidate.alarm is not None:  # not one of the file's
            known.append(one.candidate.label)
        own = one.candidate.name if one.candidate.alarm is None else one.candidate.label
        looks = look(known.index(own))
        severities = np.array([severity for severity, _ in one.power])
        means = np.array([estimate.mean for _, estimate in one.power])
        low = np.array([estimate.low or 0.0 for _, estimate in one.power])
        high = np.array([estimate.high or 0.0 for _, estimate in one.power])
        label = one.candidate.name + (" (recommended)" if found.winner == one.candidate else "")
        ax.plot(severities, means, marker="o", label=label, **looks)
        ax.fill_between(severities, low, high, color=looks["color"], alpha=0.15, linewidth=0)
        ax.axhline(one.false_rollback.mean, color=looks["color"], linewidth=0.8, linestyle=(0, (1, 3)))
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


def pareto_figure(found: Recommendation) -> Figure:
    """`pareto` as a figure of its own."""
    with styled():
        figure, ax = plt.subplots(figsize=HALF, layout="constrained")
        pareto(found, ax=ax)
    return figure


def power_figure(found: Recommendation) -> Figure:
    """`power` as a figure of its own."""
    with styled():
        figure, ax = plt.subplots(figsize=HALF, layout="constrained")
        power(found, ax=ax)
    return figure


def _all(found: Recommendation) -> list[Evaluation]:
    """Those simulated briefly, then those simulated closely."""
    return [*found.explored, *found.contenders, *found.confirmed]


def _front(minutes: FloatArray, bad: FloatArray, among: BoolArray) -> list[int]:
    """The points among those that no other of them beats in both, from left to right."""
    front: list[int] = []
    for k in np.lexsort((bad, minutes)).tolist():
        if not among[k]:
            continue
        if not front or bad[k] < bad[front[-1]]:
            front.append(k)
    return front


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    with styled():
        _, made = plt.subplots(figsize=HALF, layout="constrained")
    return made
