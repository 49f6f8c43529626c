"""Moments of a run that pictures over time mark: when a fault or an incident sets in, and when an alarm fires."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.axes import Axes

from rollout_sim.views.plots.style import time_unit

if TYPE_CHECKING:
    from rollout_sim.run.result import RunResult


ONSET: Final = "#B00020"


def onsets(result: RunResult) -> list[tuple[float, str]]:
    """When something goes wrong within the horizon (s from the rollout's start), and what, in the order of the file."""
    scenario = result.scenario
    faults = scenario.function.versions[scenario.new].faults if scenario.new is not None else ()
    end = result.metrics.horizon - scenario.start
    whens = [(fault.onset, "fault sets in") for fault in faults]
    whens += [(fault.onset, "incident begins") for fault in scenario.incident]
    return [(at, what) for at, what in dict.fromkeys(whens) if -scenario.start <= at <= end]


def alarms(result: RunResult) -> list[tuple[float, str]]:
    """When each alarm that watches the rollout began to fire while it ran (s from its start), and which."""
    rollout, start = result.scenario.rollout, result.scenario.start
    if rollout is None:
        return []
    end = result.metrics.horizon if result.time_to_end_s is None else start + result.time_to_end_s
    return [
        (at - start, name)
        for at, name, _, state in result.alarm_log
        if state == "ALARM" and name in rollout.alarms and start <= at <= end
    ]


def mark_onsets(ax: Axes, result: RunResult) -> None:
    """A dotted line where each fault and incident sets in, named in the legend."""
    scale, _ = time_unit(result)
    named: set[str] = set()
    for at, what in onsets(result):
        style = (0, (1, 1.5)) if what == "fault sets in" else (0, (4, 1.5))
        label = what if what not in named else "_again"
        named.add(what)
        ax.axvline(at / scale, color=ONSET, linewidth=1.1, linestyle=style, zorder=1, label=label)
