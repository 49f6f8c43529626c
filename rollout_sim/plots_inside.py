"""Pictures from inside one run: every invocation as a point, and the states of the alarms."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from rollout_sim.plots_style import styled, time_axis, time_unit
from rollout_sim.plots_traffic import NEW, OLD
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rollout_sim.result import RunResult

FAILED: Final = "#B00020"
STATES: Final = {"OK": "#56B4E9", "INSUFFICIENT_DATA": "#C9CED2", "ALARM": "#D55E00"}


def each_invocation(result: RunResult, between: tuple[float, float] | None = None, *, ax: Axes | None = None) -> Axes:
    """Every invocation of a run with `events`: when it started, and for how long (init included) its caller waited.

    `between` (s from the rollout's start) shows a part of the run. Raises ValueError for a run without events.
    """
    if result.events is None:
        raise ValueError("the run kept no invocations; simulate with events=True")
    ax = _axes(ax, 3.6)
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
        mine = (version == number) & ~failed
        ax.plot(times[mine], waited[mine], ".", color=colour, markersize=3, alpha=0.6, label=name, rasterized=True)
    ax.plot(times[cold], waited[cold], "o", color="black", markersize=7, markerfacecolor="none", label="cold start")
    ax.plot(times[failed], waited[failed], "x", color=FAILED, markersize=6, label="failed")
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show_duration(value)))
    ax.set_ylabel("caller waits")
    ax.set_title(f"{result.strategy}: every invocation")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=1.6)
    return ax


def alarm_states(result: RunResult, *, ax: Axes | None = None) -> Axes:
    """The state of each alarm over time, as CloudWatch would show it."""
    names = list(result.scenario.alarms)
    ax = _axes(ax, 0.9 + 0.45 * len(names))
    scale, _ = time_unit(result)
    start, end = -result.scenario.start, result.metrics.horizon - result.scenario.start
    for row, name in enumerate(names):
        changes = [(at - result.scenario.start, new) for at, alarm, _, new in result.alarm_log if alarm == name]
        stays = [(start, "INSUFFICIENT_DATA"), *changes, (end, "")]
        for (since, state), (until, _) in pairwise(stays):
            ax.barh(row, (until - since) / scale, left=since / scale, height=0.6, color=STATES[state])
    for state, colour in STATES.items():
        ax.barh(0, 0, color=colour, label=state)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    time_axis(ax, result)
    ax.set_title(f"{result.strategy}: the alarms")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is not None:
        return ax
    with styled():
        return plt.subplots(figsize=(10, height), layout="constrained")[1]
