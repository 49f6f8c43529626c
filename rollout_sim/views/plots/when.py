"""The picture of when to deploy: bad requests, and the time until they end, by the hour at which the rollout begins."""

from __future__ import annotations

from typing import Final

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from rollout_sim.study.when import HOURS, MEASURES, Hours
from rollout_sim.views.plots.style import axes_or_new, drawable, headline, legend_of, look, strategy_index, styled

_LABELS: Final = {
    "bad_requests_added": "bad requests that the rollout adds",
    "time_to_stop_s": "minutes until it is stopped",
}
_MINUTE: Final = 60.0
_FAR: Final = 20.0
"""How far apart figures are that no common linear axis tells from each other."""


def by_hour(result: Hours, measure: str = MEASURES[0], *, ax: Axes | None = None) -> Axes:
    """A measure by the hour of the day (UTC) at which the rollout begins, a line with its 95% band for each strategy."""
    ax = axes_or_new(ax)
    unit = _MINUTE if measure == "time_to_stop_s" else 1.0
    for strategy in result.columns:
        known = [(hour, e) for hour, e in enumerate(result.estimates(strategy, measure)) if e is not None]
        style = look(strategy_index(result.scenario, strategy))
        hours = [hour for hour, _ in known]
        ax.plot(hours, [e.mean / unit for _, e in known], label=drawable(strategy), **style)
        low = [(e.mean if e.low is None else e.low) / unit for _, e in known]
        high = [(e.mean if e.high is None else e.high) / unit for _, e in known]
        ax.fill_between(hours, low, high, alpha=0.15, linewidth=0, color=style["color"])
    ax.set_xticks(range(0, HOURS, 3), [f"{hour:02}" for hour in range(0, HOURS, 3)])
    ax.set_xlabel("hour at which the rollout begins, UTC")
    ax.set_ylabel(_LABELS[measure])
    means = [e.mean for strategy in result.columns for e in result.estimates(strategy, measure) if e is not None]
    if means and min(means) > 0 and max(means) > _FAR * min(means):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(bottom=0.0)
    return ax


def when_figure(result: Hours) -> Figure:
    """Both measures, one below the other."""
    with styled():
        width = 8.0
        figure, axes = plt.subplots(2, 1, figsize=(width, 7.0), sharex=True, layout="constrained")
        for ax, measure in zip(axes, MEASURES, strict=True):
            by_hour(result, measure, ax=ax)
        axes[0].set_xlabel("")
        legend_of(figure, axes[0], width)
        headline(figure, f"{result.scenario.name}: when to deploy, if the version has {result.fault}")
    return figure
