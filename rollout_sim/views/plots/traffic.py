"""The picture of the traffic: who had which share of it, how much it was, what failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from rollout_sim.control.metrics import Target
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.formatting import show_duration
from rollout_sim.views.plots.moments import ONSET, alarms, mark_onsets
from rollout_sim.views.plots.style import (
    HOUR,
    MINUTE,
    SLIDE,
    axes_or_new,
    caption,
    headline,
    legend_below,
    percent_axis,
    period_edges,
    styled,
    time_axis,
    time_unit,
    wrapped,
)

if TYPE_CHECKING:
    from rollout_sim.run.result import RunResult


OLD, NEW = "#7A8B99", "#6A3D9A"
"""The old and the new version, wherever the two are drawn against each other: no strategy's colours."""
_SMALL: Final = (7, 3)
"""Inches of one of the picture's panels on its own."""
_TIGHT: Final = 4.0
"""Inches of a panel below which its ticks and titles get shorter."""
_BINS: Final = 120
_SLOWING: Final = {"latency", "leak", "load", "custom"}
"""Kinds of faults that make invocations longer."""
_ENOUGH: Final = 10
"""Invocations that a bin holds on average, if there are that many."""
_MINUTES: Final = (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440)


def traffic(results: Sequence[RunResult], size: tuple[float, float] | None = None, *, across: int = 4) -> Figure:
    """`traffic.png`: for each strategy the new version's weight, invocations, error rates and durations by version.

    Without a rollout there is no weight to show; durations are there where an SLO or a fault is about them. Where there
    is only room for `across` panels, the first are left out. Counts are added up in bins of whole periods, aligned to the
    rollout's start. `size` is the figure's, in inches: a slide's, or higher where the rows would be too flat.
    """
    first = results[0]
    rolled = first.scenario.new is not None
    per = bin_periods(first)
    width = show_duration(per * first.metrics.resolution)
    every, seconds = _rate_unit(first)
    by = "by version, " if rolled else ""
    panels: list[tuple[Callable[[RunResult, Axes], Axes], str]] = [
        (lambda result, ax: weight(result, ax=ax), "Weight of\nthe new version"),
        (
            lambda result, ax: invocations(result, per, seconds, ax=ax),
            f"Invocations per {every}\n{by}in bins of {width}",
        ),
        (lambda result, ax: error_rates(result, per, ax=ax), f"Errors and throttles\n{by}of attempts in {width}"),
    ]
    if _slow(first):
        panels.append((lambda result, ax: durations(result, per, ax=ax), f"Mean duration\n{by}in {width}"))
    panels = panels[1 if not rolled else 0 :][-across:]
    with styled():
        figure, grid = plt.subplots(
            len(results),
            len(panels),
            figsize=size or (SLIDE[0] / 3 * min(len(panels), 3), 1.7 + len(results) * _row_height(len(results))),
            squeeze=False,
            layout="constrained",
        )
        for row, result in zip(grid, results, strict=True):
            for ax, (draw, _) in zip(row, panels, strict=True):
                draw(result, ax)
                if result is not results[-1]:
                    ax.set_xlabel("")
                    ax.tick_params(labelbottom=False)
                inches = figure.get_figwidth() / len(panels)
                if inches < _TIGHT:
                    ticks = 5 if inches > _TIGHT / 1.5 else 3
                    ax.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 3, 6, 10]))
                mark_onsets(ax, result)
                _mark_alarms(ax, result)
            row[0].set_title(
                wrapped(caption(result), int(row[0].figure.get_figwidth() * 10), 1), fontsize=10, fontweight="normal"
            )
        for k, ax in enumerate(grid[-1]):
            if rolled and k != len(panels) // 2:  # written once: three times it would not fit
                ax.set_xlabel("")
            else:
                ax.set_xlabel(wrapped(ax.get_xlabel(), max(18, int(inches * 11))))
        for k, (ax, (_, title)) in enumerate(zip(grid[0], panels, strict=True)):
            if k or not rolled:  # the same scale for all strategies
                widest = max((other.get_ylim() for other in grid[:, k]), key=lambda limits: limits[1])
                for other in grid[:, k]:
                    other.set_ylim(widest)
            ax.annotate(
                title if inches > _TIGHT / 1.5 else wrapped(title.replace("\n", " "), 15, 6),
                (0, 1),
                xytext=(0, 22),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=11,
                fontweight="bold",
                va="bottom",
            )
        named = {
            label: handle for ax in grid.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        versions = [name for _, name, _ in _versions(first)]
        labels = [*versions, *(label for label in named if label not in versions)]
        legend_below(figure, [named[label] for label in labels], labels, figure.get_figwidth())
        headline(figure, f"{first.scenario.name}: where the traffic of alias {first.scenario.alias} went")
    return figure


def _slow(result: RunResult) -> bool:
    """Whether an SLO or a fault is about how long invocations take."""
    scenario = result.scenario
    faults = [fault for version in scenario.function.versions.values() for fault in version.faults]
    kinds = {fault.kind for fault in (*faults, *scenario.incident)}
    return bool(kinds & _SLOWING) or any(slo.latency is not None for slo in scenario.slos)


def _mark_alarms(ax: Axes, result: RunResult) -> None:
    """A triangle at the top where an alarm of the rollout fires."""
    scale, _ = time_unit(result)
    for k, (at, _) in enumerate(alarms(result)):
        ax.plot(
            at / scale, 1, marker="v", color=ONSET, markersize=7, linestyle="none", clip_on=False, zorder=5,
            transform=ax.get_xaxis_transform(), label="_again" if k else "alarm fires",
        )  # fmt: skip


def weight(result: RunResult, *, ax: Axes | None = None) -> Axes:
    """The new version's weight over time."""
    ax = axes_or_new(ax, _SMALL)
    scale, _ = time_unit(result)
    edges = period_edges(result)
    times = np.array([edges[0], *(s.at - result.scenario.start for s in result.shifts), edges[-1]]) / scale
    weights = [0.0, *(s.weight for s in result.shifts)]
    ax.stairs(weights, times, fill=True, color=NEW, alpha=0.25)
    ax.stairs(weights, times, color=NEW, linewidth=1.6, baseline=None)
    ax.set_ylim(-0.02, 1.08)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    percent_axis(ax)
    time_axis(ax, result, ticks=7)
    return ax


def invocations(
    result: RunResult, per: int | None = None, seconds: float | None = None, *, ax: Axes | None = None
) -> Axes:
    """Invocations by version, stacked: their rate per `seconds` in bins of `per` periods."""
    ax = axes_or_new(ax, _SMALL)
    per = per or bin_periods(result)
    seconds = seconds or _rate_unit(result)[1]
    scale, _ = time_unit(result)
    edges = bin_edges(result, per)
    below = np.zeros(edges.size - 1)
    for version, name, colour in _versions(result):
        above = below + binned(result, version, result.metrics.invocations, per) * seconds / np.diff(edges)
        ax.stairs(above, edges / scale, baseline=below, fill=True, color=colour, alpha=0.85, label=name)
        below = above
    ax.set_ylim(0, 1.1 * float(below.max(initial=0.0)) or 1.0)
    time_axis(ax, result, ticks=7)
    return ax


def error_rates(result: RunResult, per: int | None = None, *, ax: Axes | None = None) -> Axes:
    """Errors and throttles over attempts, by version, in bins of `per` periods; no point where nothing was attempted."""
    ax = axes_or_new(ax, _SMALL)
    per = per or bin_periods(result)

    def failed_of_attempts(version: str) -> tuple[FloatArray, FloatArray]:
        throttles = binned(result, version, result.metrics.throttles, per)
        attempts = binned(result, version, result.metrics.invocations, per) + throttles
        return binned(result, version, result.metrics.errors, per) + throttles, attempts

    top = max(1.12 * _ratio_lines(ax, result, per, failed_of_attempts), 1e-3)
    ax.set_ylim(-0.04 * top, top)
    percent_axis(ax)
    time_axis(ax, result, ticks=7)
    return ax


def durations(result: RunResult, per: int | None = None, *, ax: Axes | None = None) -> Axes:
    """Mean duration of invocations by version, in bins of `per` periods, with the limits of SLOs on the latency."""
    ax = axes_or_new(ax, _SMALL)
    per = per or bin_periods(result)

    def seconds_of_invocations(version: str) -> tuple[FloatArray, FloatArray]:
        total = binned(result, version, result.metrics.duration_sum, per)
        return total, binned(result, version, result.metrics.invocations, per)

    top = _ratio_lines(ax, result, per, seconds_of_invocations)
    for slo in result.scenario.slos:
        if slo.latency is not None and slo.latency < 3 * top:
            top = max(top, slo.latency)
            ax.axhline(slo.latency, color="black", linewidth=0.9, linestyle=(0, (5, 2)), label="SLO: latency limit")
    ax.set_ylim(0, 1.12 * top or 1.0)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show_duration(value)))
    time_axis(ax, result, ticks=7)
    return ax


def _ratio_lines(ax: Axes, result: RunResult, per: int, parts: Callable[[str], tuple[FloatArray, FloatArray]]) -> float:
    """Draws a ratio by version, in bins of `per` periods, and returns the greatest.

    `parts` gives a version's numerators and denominators, of shape (bins,); there is no point where the latter is 0.
    """
    scale, _ = time_unit(result)
    edges = bin_edges(result, per)
    middles = (edges[:-1] + edges[1:]) / 2 / scale
    top = 0.0
    for version, name, colour in _versions(result):
        numerators, denominators = parts(version)
        ratio = np.divide(numerators, denominators, out=np.full(denominators.shape, np.nan), where=denominators > 0)
        top = max(top, float(np.nanmax(ratio, initial=0.0)))
        size = 6 if np.count_nonzero(denominators) < 10 else 4
        ax.plot(middles, ratio, color=colour, linewidth=1.5, marker=".", markersize=size, label=name)
    return top


def bin_periods(result: RunResult) -> int:
    """Periods that one bin of the traffic picture holds: enough for ten invocations, and at most 120 bins."""
    metrics = result.metrics
    for_detail = metrics.periods / _BINS
    for_counts = _ENOUGH * metrics.periods / max(_total(result), 1)
    least = max(1.0, for_detail, min(for_counts, metrics.periods / 12)) * metrics.resolution / MINUTE
    widths = [m for m in _MINUTES if m >= least and (m * MINUTE) % metrics.resolution == 0]
    if least <= metrics.resolution / MINUTE:
        return 1
    return round(widths[0] * MINUTE / metrics.resolution) if widths else math.ceil(least * MINUTE / metrics.resolution)


def bin_edges(result: RunResult, per: int) -> Any:
    """Edges of bins of `per` periods, in seconds from the rollout's start; one edge is the period it falls into."""
    return period_edges(result)[np.append(_first_periods(result, per), result.metrics.periods)]


def binned(result: RunResult, version: str, counts: Any, per: int) -> Any:
    """One version's counts behind the rollout's alias, in bins of `per` periods."""
    target = Target(result.scenario.alias, version)
    chosen = [k for k, other in enumerate(result.metrics.targets) if other == target]
    return np.add.reduceat(counts[0, chosen].sum(axis=0).astype(float), _first_periods(result, per))


def _row_height(rows: int) -> float:
    """Inches: what a slide has left for each of so many rows, within what can be read and what looks empty."""
    return min(1.9, max(0.95, (SLIDE[1] - 1.4) / rows))


def _first_periods(result: RunResult, per: int) -> Any:
    """The first period of each bin; the first bin is the shorter one where the rollout starts in between."""
    offset = int(result.scenario.start // result.metrics.resolution) % per
    starts = np.arange(offset, result.metrics.periods, per)
    return starts if offset == 0 else np.append(0, starts)


def _versions(result: RunResult) -> list[tuple[str, str, str]]:
    """The versions behind the rollout's alias: number, name and colour; the old one first."""
    old, new = result.scenario.old, result.scenario.new
    if new is None:
        return [(old, f"version {old}", OLD)]
    return [(old, f"version {old} (old)", OLD), (new, f"version {new} (new)", NEW)]


def _rate_unit(result: RunResult) -> tuple[str, float]:
    """The unit in which the traffic is a readable number: its name and its seconds."""
    per_second = _total(result) / result.metrics.horizon
    return next(
        ((name, seconds) for name, seconds in (("second", 1.0), ("minute", MINUTE)) if per_second * seconds >= 1),
        ("hour", HOUR),
    )


def _total(result: RunResult) -> int:
    """Invocations through the rollout's alias."""
    chosen = [k for k, target in enumerate(result.metrics.targets) if target.alias == result.scenario.alias]
    return int(result.metrics.invocations[0, chosen].sum())


FAILED: Final = "#B00020"
STATES: Final = {"OK": "#56B4E9", "INSUFFICIENT_DATA": "#C9CED2", "ALARM": "#D55E00"}


def each_invocation(result: RunResult, between: tuple[float, float] | None = None, *, ax: Axes | None = None) -> Axes:
    """Every invocation of a run with `events`: when it started, and for how long (init included) its caller waited.

    `between` (s from the rollout's start) shows a part of the run. Raises ValueError for a run without events.
    """
    if result.events is None:
        raise ValueError("the run kept no invocations; simulate with events=True")
    ax = axes_or_new(ax, (10, 3.6))
    scale, _ = time_unit(result)
    frame = result.events[result.events["alias"] == result.scenario.alias]
    time_axis(ax, result)
    if between is not None:
        frame = frame[frame["start_s"].between(*between)]
        ax.set_xlim(between[0] / scale, between[1] / scale)
    waited = np.asarray(frame["init_s"] + frame["duration_s"], float)
    times, version = np.asarray(frame["start_s"], float) / scale, frame["version"].to_numpy()
    failed, cold = (frame["outcome"] != "ok").to_numpy(), frame["cold"].to_numpy(bool)
    sides = [(result.scenario.old, f"version {result.scenario.old} (old)", OLD)]
    if result.scenario.new is not None:
        sides.append((result.scenario.new, f"version {result.scenario.new} (new)", NEW))
    for number, name, colour in sides:
        served = (version == number) & ~failed
        ax.plot(times[served], waited[served], ".", color=colour, markersize=3, alpha=0.6, label=name, rasterized=True)
    ax.plot(times[cold], waited[cold], "o", color="black", markersize=7, markerfacecolor="none", label="cold start")
    ax.plot(times[failed], waited[failed], "x", color=FAILED, markersize=6, label="failed")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show_duration(value)))
    ax.set_ylabel("caller waits")
    ax.set_title(wrapped(f"{result.strategy}: every invocation", 80))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=1.6)
    return ax


def alarm_states(result: RunResult, *, ax: Axes | None = None) -> Axes:
    """The state of each alarm over time, as CloudWatch would show it."""
    names = list(result.scenario.alarms)
    ax = axes_or_new(ax, (10, 0.9 + 0.45 * len(names)))
    scale, _ = time_unit(result)
    start, end = -result.scenario.start, result.metrics.horizon - result.scenario.start
    for row, name in enumerate(names):
        changes = [(at - result.scenario.start, new) for at, alarm, _, new in result.alarm_log if alarm == name]
        stays = [(start, "INSUFFICIENT_DATA"), *changes, (end, "")]
        for (since, state), (until, _) in pairwise(stays):
            ax.barh(row, (until - since) / scale, left=since / scale, height=0.6, color=STATES[state])
    for state, colour in STATES.items():
        ax.barh(0, 0, color=colour, label=state)
    ax.set_yticks(range(len(names)), [wrapped(name, 24, 2) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    time_axis(ax, result)
    ax.set_title(wrapped(f"{result.strategy}: the alarms", 80))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax
