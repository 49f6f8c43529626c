"""The picture of queues and streams: how many records waited, and how old the oldest was, over time and by strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.formatting import show_duration
from rollout_sim.views.plots.moments import mark_onsets
from rollout_sim.views.plots.style import (
    SLIDE,
    axes_or_new,
    caption,
    headline,
    legend_below,
    look,
    same,
    strategy_index,
    styled,
    subtitle,
    time_axis,
    time_unit,
)

if TYPE_CHECKING:
    from rollout_sim.run.result import RunResult


def backlog(results: Sequence[RunResult], *, ax: Axes | None = None) -> Axes:
    """Records without a fate over time, those in flight included, crossed where the new version was taken back."""
    ax = axes_or_new(ax)
    _lines(ax, results, [np.sum([source.backlog for source in result.polled], axis=0) for result in results], 1.0)
    ax.set_ylabel("records")
    drained = [
        f"{result.strategy}: {result.backlog_at_rollback:,} at the rollback, "
        + ("not drained" if result.drain_time_s is None else f"drained in {show_duration(result.drain_time_s)}")
        for result in results
        if result.backlog_at_rollback is not None
    ]
    subtitle(ax, "Backlog: records without a fate", "; ".join(drained))
    return ax


def oldest(results: Sequence[RunResult], *, ax: Axes | None = None) -> Axes:
    """The age of the oldest record without a fate over time, of all queues and streams."""
    ax = axes_or_new(ax)
    ages = [np.max([source.oldest for source in result.polled], axis=0) for result in results]
    scale, unit = (60.0, "minutes") if max(float(age.max()) for age in ages) > 300 else (1.0, "seconds")
    _lines(ax, results, ages, scale)
    ax.set_ylabel(unit)
    limits = {slo.limit for slo in results[0].scenario.slos if slo.limit is not None}
    for limit in sorted(limits):
        if limit / scale < ax.get_ylim()[1]:
            ax.axhline(
                limit / scale, color="black", linewidth=0.9, linestyle=(0, (5, 2)), label="SLO: limit of the age"
            )
    subtitle(ax, "Age of the oldest record", "")
    return ax


def backlog_figure(results: Sequence[RunResult]) -> Figure:
    """`backlog.png`: the backlog and the age of the oldest record, over time and by strategy."""
    with styled():
        figure, (above, below) = plt.subplots(2, 1, figsize=SLIDE, sharex=True, layout="constrained")
        backlog(results, ax=above)
        oldest(results, ax=below)
        above.set_xlabel("")
        handles, labels = below.get_legend_handles_labels()
        named = dict(zip(labels, handles, strict=True))
        legend_below(figure, list(named.values()), list(named), figure.get_figwidth())
        headline(figure, f"{results[0].scenario.name}: what waited to be handled")
    return figure


def _lines(ax: Axes, results: Sequence[RunResult], values: Sequence[FloatArray], scale: float) -> None:
    """A line for each strategy; of those with the same one the first is drawn, and the others are named after it."""
    first = results[0]
    seconds, _ = time_unit(first)
    alike = same({result.strategy: value for result, value in zip(results, values, strict=True)})
    highest = 0.0
    for position, (result, value) in enumerate(zip(results, values, strict=True)):
        drawn = look(strategy_index(first.scenario, result.strategy))
        times = (result.polled[0].times - first.scenario.start) / seconds
        own = alike[result.strategy] == result.strategy
        label = caption(result) if own else f"{caption(result)}: line of {alike[result.strategy]}"
        shown = slice(None) if own else slice(0)
        width = max(2.4 - 0.4 * position, 1.2)
        ax.plot(times[shown], value[shown] / scale, label=label, **drawn, linewidth=width)
        highest = max(highest, float(value.max()) / scale)
        back = result.rolled_back_at
        if back is not None and own:
            at = (back - first.scenario.start) / seconds
            level = float(np.interp(at, times, value / scale))
            ax.plot(at, level, marker="X", markersize=9, color=drawn["color"], markeredgecolor="white", zorder=4)
    ax.set_ylim(0, max(highest, 1.0) * 1.05)
    time_axis(ax, first)
    mark_onsets(ax, first)
