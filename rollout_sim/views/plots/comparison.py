"""Pictures of a comparison: how often each strategy stops a bad and a good version, and at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rollout_sim.core.formatting import show_duration
from rollout_sim.run.batch import stopped
from rollout_sim.views.plots.style import SLIDE, axes_or_new, look, strategy_index, styled

if TYPE_CHECKING:
    from rollout_sim.control.slo import Objective
    from rollout_sim.study.comparison import Comparison


AS_DESCRIBED, GOOD = "#222222", "#6B7177"
"""The version as described, and its good twin: no strategy's colours."""
_DOTS: Final = 300
"""Replications that a cloud of points shows."""


def stopping(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """The probability that a deployment is stopped, with 95% intervals, for the version as described and for a good one."""
    ax = axes_or_new(ax)
    names = list(comparison.columns)
    sides = [(comparison, AS_DESCRIBED, "version as described", -0.14)]
    if comparison.twin is not None:
        sides.append((comparison.twin, GOOD, "good version (faults removed)", 0.14))
    for side, colour, label, offset in sides:
        estimates = [side.estimates(name)["stopped"] for name in names]
        means = np.array([e.mean if e is not None else np.nan for e in estimates])
        reach = np.array([(e.mean - (e.low or 0.0), (e.high or 0.0) - e.mean) for e in estimates if e is not None]).T
        places = np.arange(len(names)) + (offset if comparison.twin is not None else 0.0)
        ax.errorbar(
            means,
            places,
            xerr=np.maximum(reach, 0.0),
            fmt="o",
            color=colour,
            capsize=3,
            markersize=7,
            label=label,
            markerfacecolor=colour if side is comparison else "white",
        )
        for e, mean, at in zip(estimates, means, places, strict=True):
            left = mean > 0.85 or (e is not None and e.high is not None and e.high > 0.9)
            end = mean if e is None else e.low if left else e.high  # beside the interval, not across it
            ax.annotate(
                _percent(float(mean)),
                (mean if end is None else end, at),
                xytext=(-10 if left else 10, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=9,
                color=colour,
            )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.03)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("probability that the deployment is stopped (95% intervals)")
    ax.set_title("How often is it rolled back or failed?")
    return ax


def budgets(comparison: Comparison, slo: Objective | None = None, *, ax: Axes | None = None) -> Axes:
    """How much of one SLO's budget (the first by default) the replications spend: the share that spends more than x."""
    ax = axes_or_new(ax)
    slo = slo or comparison.scenario.slos[0]
    floor = np.inf
    for name, columns in comparison.columns.items():
        spent = np.sort(columns[f"budget_spent.{slo.name}"])
        floor = min(floor, float(spent[spent > 0].min(initial=np.inf)))
        more = 1 - np.arange(spent.size) / spent.size
        ax.step(spent, more, where="post", label=name, linewidth=1.8, **look(strategy_index(comparison.scenario, name)))
    highest = max(float(columns[f"budget_spent.{slo.name}"].max()) for columns in comparison.columns.values())
    if np.isfinite(floor) and highest > 20 * floor:
        ax.set_xscale("log")
    if highest > 1:
        ax.axvline(1.0, color="#B00020", linewidth=1.2)
    ax.set_ylim(0, 1.03)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g}%"))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"share of the {slo.name} budget spent ({show_duration(slo.window)} window)")
    ax.set_ylabel("replications that spend more")
    ax.set_title("What does it cost?")
    return ax


def price(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Time to rollback against bad requests: one point per replication, up to 300, and a large mark at the medians."""
    ax = axes_or_new(ax)
    names = list(comparison.columns)
    reverted = {
        name: stopped(columns) & ~np.isnan(columns["time_to_rollback_s"])
        for name, columns in comparison.columns.items()
    }
    latest = max(float(comparison.columns[n]["time_to_rollback_s"][reverted[n]].max(initial=0.0)) for n in names) / 60
    for k, name in enumerate(names):
        back = np.flatnonzero(reverted[name])
        if not back.size:
            continue
        # Rollbacks come at whole minutes: a little beside each other, the strategies can be told apart.
        beside = (k - (len(names) - 1) / 2) * 0.012 * latest
        minutes = comparison.columns[name]["time_to_rollback_s"][back] / 60
        bad = comparison.columns[name]["bad_requests"][back]
        index = strategy_index(comparison.scenario, name)
        colour: dict[str, Any] = {"color": look(index)["color"]}
        ax.plot(minutes[:_DOTS] + beside, bad[:_DOTS], ".", alpha=0.25, markersize=5, **colour)
        middle = (float(np.median(minutes)) + beside, float(np.median(bad)))
        ax.plot(*middle, "osD^vP*X"[index % 8], markersize=9, markeredgecolor="white", label=name, **colour)
    if not any(times.any() for times in reverted.values()):
        ax.text(0.5, 0.5, "nothing was rolled back", transform=ax.transAxes, ha="center", color="#555555")
    ax.set_xlim(0, latest * 1.08 if latest else 1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("minutes from the rollout's start to the rollback")
    ax.set_ylabel("bad requests in all")
    ax.set_title("When is it caught?")
    return ax


def comparison_figure(comparison: Comparison) -> Figure:
    """`comparison.png`: the three pictures beside each other."""
    with styled():
        names = len(comparison.columns)
        panels = 3 if comparison.scenario.slos else 2
        figure, axes = plt.subplots(
            1, panels, figsize=(SLIDE[0] / 3 * panels, min(3.6 + 0.28 * names, SLIDE[1])), layout="constrained"
        )
        stopping(comparison, ax=axes[0])
        if comparison.scenario.slos:
            budgets(comparison, ax=axes[1])
        price(comparison, ax=axes[-1])
        if comparison.twin is not None:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower left", ncols=2)
        colours, labels = axes[1 if panels == 3 else -1].get_legend_handles_labels()
        figure.legend(colours, labels, loc="outside lower right", ncols=min(4, max(len(labels), 1)), handlelength=3)
        count = f"{comparison.replications:,} replications of each strategy"
        figure.suptitle(f"{comparison.scenario.name}: {count}", x=0.01, ha="left", fontweight="bold")
    return figure


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%" if share < 0.995 or share == 1 else f"{share * 100:.4g}%"
