"""Pictures of a comparison: how often each strategy stops a bad and a good version, and at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from rollout_sim.core.formatting import show_duration
from rollout_sim.run.batch import stopped
from rollout_sim.views.plots.style import (
    GREY,
    SLIDE,
    axes_or_new,
    drawable,
    headline,
    legend_of,
    look,
    percent_ticks,
    same,
    strategy_index,
    styled,
    subtitle,
    wrapped,
)

if TYPE_CHECKING:
    from rollout_sim.control.slo import Objective
    from rollout_sim.study.comparison import Comparison


AS_DESCRIBED, GOOD = "#222222", "#6B7177"
"""The version as described, and its good twin: no strategy's colours."""
_DOTS: Final = 300
"""Replications that a cloud of points shows."""
_NAME: Final = 24
"""Letters of a strategy's name on a line beside its row."""


def stopping(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """The probability that a deployment is stopped, with 95% intervals, for the version as described and for a good one."""
    ax = axes_or_new(ax)
    names = list(comparison.columns)
    sides = [(comparison, AS_DESCRIBED, "version as described", -0.17)]
    if comparison.twin is not None:
        sides.append((comparison.twin, GOOD, "good version (faults removed)", 0.17))
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
    ax.set_yticks(range(len(names)), [wrapped(name, _NAME) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-0.03, 1.03)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("share of the rollouts (95% intervals)")
    ax.set_title("How often is it stopped?", pad=9 + 13 * len(sides))
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), fontsize=9, borderaxespad=0.2, labelspacing=0.2)
    return ax


def budgets(comparison: Comparison, slo: Objective | None = None, *, ax: Axes | None = None) -> Axes:
    """How much of one SLO's budget (the first by default) the replications spend: the share that spends more than x.

    Of strategies with the same curve the first is drawn, and a line under the title names them.
    """
    ax = axes_or_new(ax)
    slo = slo or comparison.scenario.slos[0]
    spent = {name: np.sort(columns[f"budget_spent.{slo.name}"]) for name, columns in comparison.columns.items()}
    alike = same(spent)
    for name, values in spent.items():
        more = 1 - np.arange(values.size) / values.size
        shown = slice(None) if alike[name] == name else slice(0)
        ax.step(
            values[shown],
            more[shown],
            where="post",
            label=drawable(name),
            linewidth=1.8,
            **look(strategy_index(comparison.scenario, name)),
        )
    floor = min(float(values[values > 0].min(initial=np.inf)) for values in spent.values())
    highest = max(float(values[-1]) for values in spent.values())
    ax.xaxis.set_major_locator(MaxNLocator(4))
    if np.isfinite(floor) and highest > 20 * floor:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if highest > 300 * floor else (1.0, 3.0)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    if highest > 1:
        ax.axvline(1.0, color="#B00020", linewidth=1.2)
    ax.set_ylim(0, 1.03)
    ax.xaxis.set_major_formatter(FuncFormatter(percent_ticks))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(wrapped(f"share of the {slo.name} budget spent ({show_duration(slo.window)} window)", 46))
    ax.set_ylabel("replications that spend more")
    unspent = [name for name, values in spent.items() if not values.any()]
    notes = [f"nothing spent: {', '.join(unspent)}"] if unspent and ax.get_xscale() == "log" else []
    title = (
        "What does it cost?"
        if len(comparison.scenario.slos) == 1
        else f"What does it cost? ({wrapped(slo.name, 20, 1)})"
    )
    subtitle(ax, title, "; ".join([*notes, *_same_line(alike)]))
    return ax


def price(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Time to rollback against bad requests: one point per replication, up to 300, and a large mark at the medians.

    A line under the title names the strategies that never roll back.
    """
    ax = axes_or_new(ax)
    names = list(comparison.columns)
    reverted = {
        name: stopped(columns) & ~np.isnan(columns["time_to_rollback_s"])
        for name, columns in comparison.columns.items()
    }
    times = {name: comparison.columns[name]["time_to_rollback_s"][reverted[name]] / 60 for name in names}
    earliest = min(float(minutes.min(initial=np.inf)) for minutes in times.values())
    latest = max(float(minutes.max(initial=0.0)) for minutes in times.values())
    fewest, most = np.inf, 0.0
    absent: dict[str, list[str]] = {}
    for k, name in enumerate(names):
        if not times[name].size:
            before = stopped(comparison.columns[name]).any()
            absent.setdefault("stopped before it had traffic" if before else "never rolled back", []).append(name)
            continue
        # Rollbacks come at whole minutes: a little beside each other, the strategies can be told apart.
        minutes = times[name] + (k - (len(names) - 1) / 2) * 0.012 * latest
        bad = comparison.columns[name]["bad_requests"][reverted[name]]
        fewest, most = min(fewest, float(bad.min())), max(most, float(bad.max()))
        index = strategy_index(comparison.scenario, name)
        colour: dict[str, Any] = {"color": look(index)["color"]}
        ax.plot(minutes[:_DOTS], bad[:_DOTS], ".", alpha=0.25, markersize=5, **colour)
        middle = (float(np.median(minutes)), float(np.median(bad)))
        ax.plot(*middle, "osD^vP*X"[index % 8], markersize=9, markeredgecolor="white", label=drawable(name), **colour)
    if latest:
        ax.set_xlim(
            0 if earliest < 0.6 * latest else earliest - 0.6 * (latest - earliest) - 0.05 * latest, latest * 1.08
        )
        room = max(most - fewest, 1.0)
        ax.set_ylim(0 if fewest < 0.6 * most or not fewest else fewest - 0.15 * room, most + 0.15 * room)
        ax.yaxis.set_major_locator(MaxNLocator(7, integer=True))
    else:
        ax.text(0.5, 0.5, "nothing was rolled back", transform=ax.transAxes, ha="center", color=GREY)
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        ax.set_yticks([])
    ax.set_xlabel("minutes from start to rollback")
    ax.set_ylabel("bad requests in all")
    unseen = [f"{why}: {', '.join(strategies)}" for why, strategies in absent.items()] if latest else []
    subtitle(ax, "When is it caught?", "; ".join(unseen))
    return ax


def comparison_figure(comparison: Comparison) -> Figure:
    """`comparison.png`: how often it is stopped, what it costs of each SLO's budget, when it is caught."""
    slos, names = comparison.scenario.slos, len(comparison.columns)
    panels = 2 + len(slos)
    across = panels if panels <= 3 else 2 if panels == 4 else 3
    down = -(-panels // across)
    lines = sum(wrapped(name, _NAME).count("\n") for name in comparison.columns)
    height = min(3.9 + 0.28 * names + 0.16 * lines, SLIDE[1]) if down == 1 else max(SLIDE[1], 3.6 * down + 0.14 * names)
    with styled():
        width = SLIDE[0] / 3 * (across if panels == 2 else 3)
        figure, grid = plt.subplots(down, across, figsize=(width, height), layout="constrained", squeeze=False)
        axes = list(grid.flat)
        stopping(comparison, ax=axes[0])
        for slo, ax in zip(slos, axes[1:], strict=False):
            budgets(comparison, slo, ax=ax)
        price(comparison, ax=axes[panels - 1])
        for ax in axes[panels:]:
            ax.set_visible(False)
        legend_of(figure, axes[1 if slos else panels - 1], width)
        headline(figure, f"{comparison.scenario.name}: {comparison.replications:,} replications of each strategy")
    return figure


def _same_line(alike: dict[str, str]) -> list[str]:
    """Which strategies one line stands for; empty where each has its own."""
    groups = [[name for name in alike if alike[name] == first] for first in dict.fromkeys(alike.values())]
    return [f"one line: {' = '.join(group)}" for group in groups if len(group) > 1]


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%" if share < 0.995 or share == 1 else f"{share * 100:.4g}%"
