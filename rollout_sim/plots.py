"""Plots: each takes results and `ax=`, draws on it and returns it; the `*_figure` functions lay out whole pictures.

One style throughout: Okabe and Ito's colours, which colour-blind eyes tell apart, and a line style beside each
colour, so that the same strategy looks the same in every picture and in print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from rollout_sim.metrics import Target
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rollout_sim.result import RunResult
    from rollout_sim.slo import Objective

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F00")
LINES: Final = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)), (0, (1, 2)))
OLD, NEW = "#7A8B99", "#D55E00"
"""The old and the new version, wherever the two are drawn against each other."""
STYLE: Final[Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E6E8",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "rollout_sim",
}
RED: Final = "#B00020"
FIVE_MINUTES, HOUR = 300.0, 3600.0


def look(index: int) -> dict[str, Any]:
    """Colour and line style of the `index`-th strategy of a scenario."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": LINES[index % len(LINES)]}


def close(figure: Figure) -> None:
    """Forgets a figure that has been saved."""
    plt.close(figure)


def error_budget(results: Sequence[RunResult], slo: Objective | None = None, *, ax: Axes | None = None) -> Axes:
    """Remaining error budget of one SLO (the first by default) over time; shifts are ticks, rollbacks crosses."""
    ax = _axes(ax)
    slo = slo or results[0].scenario.slos[0]
    lowest = 1.0 - slo.spent
    scale, unit = _time_unit(results[0])
    for result in results:
        times, remaining = _edges(result), result.budget(slo).remaining
        lowest = min(lowest, float(remaining.min()))
        look_of = look(_index(result))
        ax.plot(times / scale, remaining, label=_label(result), **look_of, linewidth=1.8)
        _mark_shifts(ax, result, times, remaining, scale, look_of["color"])
    if lowest < 0:
        ax.axhspan(min(lowest * 1.08, -0.02), 0, color=RED, alpha=0.08, zorder=0)
        ax.text(
            0.995,
            0,
            " overspent ",
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="top",
            color=RED,
            fontsize=9,
        )
    ax.axhline(0, color=RED, linewidth=1.2)
    top = 1.0 - slo.spent
    room = max(top - lowest, 1e-6)
    ax.set_ylim(lowest - 0.08 * room if lowest >= 0 else min(lowest * 1.08, -0.02), top + 0.05 * room)
    if lowest > 0.3 * top:
        ax.set_ylim(lowest - 0.15 * room, top + 0.08 * room)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylabel("budget left")
    ax.set_title(_budget_title(results[0], slo))
    _time_axis(ax, results[0], scale, unit)
    return ax


def burn_rate(
    results: Sequence[RunResult], slo: Objective | None = None, *, window: float = FIVE_MINUTES, ax: Axes | None = None
) -> Axes:
    """Burn rate of one SLO over a trailing `window` (s), on a logarithmic axis; 1 spends the budget in its window."""
    ax = _axes(ax)
    slo = slo or results[0].scenario.slos[0]
    scale, unit = _time_unit(results[0])
    highest = 1.0
    for result in results:
        periods = max(1, round(window / result.metrics.resolution))
        rate = result.budget(slo).burn_rate(periods)
        highest = max(highest, float(np.nanmax(rate, initial=0.0)))
        ax.plot(_edges(result)[1:] / scale, rate, label=_label(result), **look(_index(result)), linewidth=1.6)
    ax.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    ticks = [0, 1, 3, 6, 14.4, 50, 100, 300, 1000]
    ax.set_ylim(0, max(highest * 1.4, 20))
    ax.set_yticks([tick for tick in ticks if tick <= ax.get_ylim()[1]])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    for level, meaning in ((14.4, "page: 2% of\n30 d in 1 h"), (1.0, "spends the\nbudget exactly")):
        ax.axhline(level, color="#555555", linewidth=0.9, linestyle=(0, (2, 2)))
        ax.text(
            1.005,
            level,
            meaning,
            transform=ax.get_yaxis_transform(),
            ha="left",
            va="center",
            fontsize=8,
            color="#555555",
        )
    ax.set_ylabel(f"burn rate over {window / 60:g} min")
    ax.set_title(f"How fast the {slo.name} budget burns")
    _time_axis(ax, results[0], scale, unit)
    return ax


def error_budget_figure(results: Sequence[RunResult]) -> Figure:
    """`error_budget.png`: one panel per SLO."""
    return _per_slo(results, error_budget)


def burn_rate_figure(results: Sequence[RunResult]) -> Figure:
    """`burn_rate.png`: one panel per SLO."""
    return _per_slo(results, burn_rate)


def traffic(results: Sequence[RunResult]) -> Figure:
    """`traffic.png`: for each strategy the new version's weight, invocations and error rates by version."""
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(results), 3, figsize=(13.3, 1.4 + 1.9 * len(results)), sharex=True, squeeze=False, layout="constrained"
        )
        scale, unit = _time_unit(results[0])
        per = _bin(results[0])
        width = per * results[0].metrics.resolution
        top = max(_error_rates(result, per)[2] for result in results)
        every, seconds = _rate_unit(results[0])
        for row, result in zip(grid, results, strict=True):
            _weight_panel(row[0], result, scale)
            _requests_panel(row[1], result, scale, per, seconds)
            _error_panel(row[2], result, scale, top, per)
            for ax in row:
                ax.axvline(0, color="#555555", linewidth=0.8, linestyle=(0, (2, 2)))
        for ax, title in zip(
            grid[0],
            (
                f"Weight of the new version\n{_label(results[0])}",
                f"Invocations per {every}, by version\nin bins of {show_duration(width)}",
                f"Errors and throttles, by version\nshare of attempts in {show_duration(width)}",
            ),
            strict=True,
        ):
            ax.set_title(title)
        for row, result in zip(grid[1:], results[1:], strict=True):
            row[0].set_title(_label(result), fontsize=10)
        for ax in grid[-1]:
            ax.set_xlabel(_time_label(results[0], unit))
        handles, labels = grid[0][1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
        figure.suptitle(f"{results[0].scenario.name}: where the traffic went", x=0.01, ha="left", fontweight="bold")
    return figure


def _weight_panel(ax: Axes, result: RunResult, scale: float) -> None:
    times = [_edges(result)[0], *(s.at - result.scenario.start for s in result.shifts), _edges(result)[-1]]
    weights = [0.0, *(s.weight for s in result.shifts)]
    ax.stairs(weights, np.array(times) / scale, fill=True, color=NEW, alpha=0.25)
    ax.stairs(weights, np.array(times) / scale, color=NEW, linewidth=1.6, baseline=None)
    ax.set_ylim(0, 1.08)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def _requests_panel(ax: Axes, result: RunResult, scale: float, per: int, seconds: float) -> None:
    old, new = (_of(result, version, result.metrics.invocations, per) for version in _versions(result))
    edges = _edges(result, per)
    rate = np.diff(edges) / seconds
    ax.stairs(
        (old + new) / rate,
        edges / scale,
        baseline=old / rate,
        fill=True,
        color=NEW,
        alpha=0.85,
        label=_name(result, 1),
    )
    ax.stairs(old / rate, edges / scale, fill=True, color=OLD, alpha=0.85, label=_name(result, 0))
    ax.set_ylim(bottom=0)


def _error_panel(ax: Axes, result: RunResult, scale: float, top: float, per: int) -> None:
    old, new, _ = _error_rates(result, per)
    edges = _edges(result, per)
    middles = (edges[:-1] + edges[1:]) / 2 / scale
    ax.plot(middles, old, color=OLD, linewidth=1.8, marker=".", markersize=3)
    ax.plot(middles, new, color=NEW, linewidth=1.5, marker=".", markersize=5)
    ax.set_ylim(-0.03 * top, max(top * 1.1, 1e-3))
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def _error_rates(result: RunResult, per: int) -> tuple[Any, Any, float]:
    """Errors and throttles over attempts, per bin, of the old and the new version, and the larger of their maxima."""
    rates = []
    for version in _versions(result):
        throttles = _of(result, version, result.metrics.throttles, per)
        attempts = _of(result, version, result.metrics.invocations, per) + throttles
        failed = _of(result, version, result.metrics.errors, per) + throttles
        rates.append(np.divide(failed, attempts, out=np.full(attempts.shape, np.nan), where=attempts > 0))
    return rates[0], rates[1], float(np.nanmax(np.concatenate(rates), initial=0.0))


def _bin(result: RunResult) -> int:
    """Periods that one bin of the traffic picture holds: enough for ten invocations, and at most 120 bins."""
    metrics = result.metrics
    for_detail = metrics.periods / 120
    for_counts = 10 * metrics.periods / max(int(metrics.invocations.sum()), 1)
    per = max(1.0, for_detail, min(for_counts, metrics.periods / 12))
    minutes = per * metrics.resolution / 60
    nice = next(
        (m for m in (1, 2, 5, 10, 15, 30, 60, 120, 240, 720, 1440) if m >= minutes), math.ceil(minutes / 1440) * 1440
    )
    return max(1, round(nice * 60 / metrics.resolution)) if minutes > 1 else max(1, math.ceil(per))


def _rate_unit(result: RunResult) -> tuple[str, float]:
    """The unit in which the traffic is a readable number: its name and its seconds."""
    per_second = int(result.metrics.invocations.sum()) / result.metrics.horizon
    return next(
        ((name, seconds) for name, seconds in (("second", 1.0), ("minute", 60.0)) if per_second * seconds >= 1),
        ("hour", HOUR),
    )


def _per_slo(results: Sequence[RunResult], draw: Any) -> Figure:
    slos = results[0].scenario.slos
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            len(slos), 1, figsize=(10, 1.4 + 3.6 * len(slos)), squeeze=False, layout="constrained"
        )
        for ax, slo in zip(axes[:, 0], slos, strict=True):
            draw(results, slo, ax=ax)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        columns = max(1, min(3, 110 // (max(map(len, labels)) + 8)))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=3.2)
    return figure


def _mark_shifts(ax: Axes, result: RunResult, times: Any, remaining: Any, scale: float, colour: str) -> None:
    for shift in result.shifts:
        at = shift.at - result.scenario.start
        level = float(np.interp(at, times, remaining))
        back = shift.weight < shift.before
        ax.plot(
            at / scale,
            level,
            marker="X" if back else "|",
            markersize=9 if back else 8,
            color=colour,
            markeredgecolor="white" if back else colour,
            zorder=4,
        )


def _budget_title(result: RunResult, slo: Objective) -> str:
    whole = result.budget(slo).whole
    what = f"{slo.objective:.6%}".rstrip("%").rstrip("0").rstrip(".") + "%"
    return (
        f"{slo.name} {what} over {show_duration(slo.window)}: share of the error budget left\n"
        f"bad requests observed; whole budget forecast at {whole:,.0f} bad requests;  | shift,  × rollback"
    )


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    with plt.rc_context(STYLE):
        return plt.subplots(figsize=(10, 4.5), layout="constrained")[1]


def _index(result: RunResult) -> int:
    names = list(result.scenario.strategies)
    return names.index(result.strategy) if result.strategy in names else len(names)


def _label(result: RunResult) -> str:
    outcome = result.outcome_text
    return f"{result.strategy} ({outcome})" if outcome != result.strategy else result.strategy


def _edges(result: RunResult, per: int = 1) -> Any:
    """Edges of bins of `per` periods, in seconds from the rollout's start."""
    metrics = result.metrics
    bins = math.ceil(metrics.periods / per)
    return np.minimum(np.arange(bins + 1) * per * metrics.resolution, metrics.horizon) - result.scenario.start


def _versions(result: RunResult) -> tuple[str, str | None]:
    return result.scenario.old, result.scenario.new


def _name(result: RunResult, which: int) -> str:
    version = _versions(result)[which]
    return f"version {version} ({('old', 'new')[which]})" if result.scenario.new is not None else f"version {version}"


def _of(result: RunResult, version: str | None, counts: Any, per: int) -> Any:
    """One version's counts behind the rollout's alias, in bins of `per` periods."""
    target = Target(result.scenario.alias, version or "")
    mine = [k for k, one in enumerate(result.metrics.targets) if one == target]
    return np.add.reduceat(counts[0, mine].sum(axis=0).astype(float), np.arange(0, result.metrics.periods, per))


def _time_unit(result: RunResult) -> tuple[float, str]:
    horizon = result.scenario.horizon
    if horizon > 4 * 86400:
        return 86400.0, "days"
    return (3600.0, "hours") if horizon > 5 * HOUR else (60.0, "minutes")


def _time_label(result: RunResult, unit: str) -> str:
    return f"{unit} from the rollout's start" if result.scenario.rollout is not None else unit


def _time_axis(ax: Axes, result: RunResult, scale: float, unit: str) -> None:
    edges = _edges(result) / scale
    ax.set_xlim(edges[0], edges[-1])
    ax.axvline(0, color="#555555", linewidth=0.8, linestyle=(0, (2, 2)))
    ax.set_xlabel(_time_label(result, unit))
