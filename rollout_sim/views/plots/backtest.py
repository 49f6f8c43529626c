"""Pictures of a backtest: at which hours of the week a good version would have been stopped, and the recording beside the scenario."""

from __future__ import annotations

import math
from typing import Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from rollout_sim.core.formatting import share
from rollout_sim.core.statistics import Estimate
from rollout_sim.study.backtest import Backtest
from rollout_sim.views.backtest import WEEKDAYS
from rollout_sim.views.plots.style import (
    axes_or_new,
    drawable,
    headline,
    legend_of,
    percent_ticks,
    styled,
    wrapped,
)

_MOST: Final = 12
"""Panels at most; those of the strategies that are stopped most often."""


def week_map(
    result: Backtest, strategy: str | None = None, *, ax: Axes | None = None, top: float | None = None
) -> Axes:
    """How often a good version would have been stopped, by weekday and hour (UTC) at which its rollout begins.

    Without a `strategy` that of the one which is stopped most often. `top` is the share at the end of the colours.
    """
    ax = axes_or_new(ax)
    names = list(result.good)
    strategy = max(names, key=lambda name: result.good[name].stopped.mean()) if strategy is None else strategy
    table = result.by_hour(strategy)
    highest = float(np.nanmax(table)) if top is None else top
    image = ax.imshow(table, cmap="cividis", vmin=0.0, vmax=highest or 0.01, aspect="auto", label=strategy)
    ax.set_xticks(range(0, 24, 3), [f"{hour:02}" for hour in range(0, 24, 3)])
    ax.set_yticks(range(7), WEEKDAYS)
    ax.set_xlabel("hour of the day, UTC")
    ax.set_title(wrapped(f"{strategy}: {share(float(result.good[strategy].stopped.mean()))} of all", 44), fontsize=10)
    ax.grid(visible=False)
    bar = ax.figure.colorbar(image, ax=ax, format=FuncFormatter(percent_ticks))
    bar.set_label("stopped for nothing", fontsize=8)
    return ax


def week_figure(result: Backtest) -> Figure:
    """A map of the week for each strategy, on one scale of colours."""
    names = sorted(result.good, key=lambda name: -float(result.good[name].stopped.mean()))[:_MOST]
    names = [name for name in result.good if name in names]
    columns = 1 if len(names) == 1 else 2
    rows = math.ceil(len(names) / columns)
    top = max(float(np.nanmax(result.by_hour(name))) for name in names)
    with styled():
        figure, axes = plt.subplots(
            rows, columns, figsize=(6.2 * columns, 2.5 * rows + 0.9), squeeze=False, layout="constrained"
        )
        for ax, name in zip(axes.flat, names, strict=False):
            week_map(result, name, ax=ax, top=top)
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        days = result.recording.size * result.recording.period / 86400
        headline(figure, f"{result.scenario.name}: when {days:.3g} recorded days would have stopped a good version")
    return figure


def beside_prediction(result: Backtest, *, ax: Axes | None = None) -> Axes:
    """How often each strategy stops a good version and one with the fault: on the recording, and as the scenario predicts."""
    ax = axes_or_new(ax)
    names = list(result.good)
    places = np.arange(len(names), dtype=float)
    series: list[tuple[str, str, str, float, list[Estimate | None]]] = [
        ("good version, recorded", "C0", "o", -0.18, [result.stopped_for_nothing(name) for name in names]),
        ("good version, predicted", "C0", "x", -0.06, [result.predicted_stops(name, good=True) for name in names]),
    ]
    if result.bad:
        series += [
            (f"with {result.fault}, recorded", "C1", "o", 0.06, [result.caught(name) for name in names]),
            (
                f"with {result.fault}, predicted",
                "C1",
                "x",
                0.18,
                [result.predicted_stops(n, good=False) for n in names],
            ),
        ]
    for label, colour, marker, shift, estimates in series:
        for k, estimate in enumerate(estimates):
            if estimate is None:
                continue
            low, high = (estimate.mean if end is None else end for end in (estimate.low, estimate.high))
            ax.errorbar(
                [estimate.mean], [places[k] + shift], xerr=[[estimate.mean - low], [high - estimate.mean]], fmt=marker,
                color=colour, capsize=2, label=drawable(label) if k == 0 else None,
            )  # fmt: skip
    ax.set_yticks(places, [wrapped(name, 24) for name in names])
    ax.invert_yaxis()
    ax.set_xlim(-0.02, 1.02)
    ax.xaxis.set_major_formatter(FuncFormatter(percent_ticks))
    ax.set_xlabel("probability of being stopped, 95% intervals")
    return ax


def prediction_figure(result: Backtest) -> Figure:
    """`beside_prediction` as a figure of its own."""
    with styled():
        width = 8.0
        figure, ax = plt.subplots(figsize=(width, 0.55 * len(result.good) + 2.2), layout="constrained")
        beside_prediction(result, ax=ax)
        legend_of(figure, ax, width)
        headline(figure, f"{result.scenario.name}: the recording beside what the scenario predicts")
    return figure
