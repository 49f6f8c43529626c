"""Plots: each takes results and `ax=`, draws on it and returns it; the `*_figure` functions lay out whole pictures.

One style throughout: Okabe and Ito's colours, which colour-blind eyes tell apart, and a line style beside each
colour, so that the same strategy looks the same in every picture and in print. Where strategies coincide, the
later lines are thinner, so that the earlier ones stay visible under them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

from rollout_sim.core.formatting import show_duration
from rollout_sim.views.plots.moments import alarms, mark_onsets
from rollout_sim.views.plots.style import (
    GREY,
    HALF,
    HOUR,
    axes_or_new,
    caption,
    headline,
    legend_of,
    look,
    narrow,
    percent_axis,
    period_edges,
    same,
    strategy_index,
    styled,
    time_axis,
    time_unit,
    wrapped,
)

if TYPE_CHECKING:
    from rollout_sim.control.slo import Objective
    from rollout_sim.run.result import RunResult


RED: Final = "#B00020"
STRIP: Final = 11.0
"""Height of one strategy's strip above the budget, in points."""
_NAME: Final = 22
"""Letters of a strategy's name beside its strip."""
_LEAST: Final = 0.01
"""The share of the budget that the axis shows at least: what costs next to nothing is to look like it."""
PAGE: Final = 14.4
"""The usual burn rate to page at: it spends 2% of a 30 days' budget in an hour."""
_APART: Final = 1.6
"""Times that two levels must be apart for each line of the lower one's note."""
_WINDOWS: Final = (5, 10, 15, 30, 60, 120, 240, 360, 720, 1440)
_ENOUGH: Final = 20
"""Requests that the window of a burn rate holds on average, if the horizon is long enough for that."""


def error_budget(results: Sequence[RunResult], slo: Objective | None = None, *, ax: Axes | None = None) -> Axes:
    """Remaining error budget of one SLO (the first by default) over time, crossed where the new version is taken back.

    The strips above show, per strategy, how long the new version had traffic, each shift of its weight and each alarm;
    the axis on the right counts the bad requests (or time slices) of this run. Of strategies with the same line the first is drawn.
    """
    ax = axes_or_new(ax)
    first = results[0]
    slo = slo or first.scenario.slos[0]
    scale, _ = time_unit(first)
    left = {result.strategy: result.budget(slo).remaining for result in results}
    alike = same(left)
    top = 1.0 - slo.spent
    lowest = min(top, *(float(remaining.min()) for remaining in left.values()))
    for result, width in zip(results, _widths(results), strict=True):
        own, drawn = alike[result.strategy], _look(results, result)
        times, remaining = period_edges(result), left[result.strategy]
        label = caption(result) if own == result.strategy else f"{caption(result)}: line of {wrapped(own, 30, 1)}"
        shown = slice(None) if own == result.strategy else slice(0)
        ax.plot((times / scale)[shown], remaining[shown], label=label, **drawn, linewidth=width)
        for at in _rollbacks(result) if own == result.strategy else ():
            level = float(np.interp(at, times, remaining))
            ax.plot(
                at / scale, level, marker="X", markersize=9, color=drawn["color"], markeredgecolor="white", zorder=4
            )
    _budget_axis(ax, first, slo, top, lowest)
    strips = _strips(ax, results, scale) if first.scenario.rollout is not None else 0.0
    ax.set_ylabel("budget left")
    title = wrapped(f"{slo.name} {_objective(slo)} over {show_duration(slo.window)}: error budget left", 80)
    marks = (
        "; above, new version in use:  | shift,  \N{BLACK DOWN-POINTING TRIANGLE} alarm,  × rollback" if strips else ""
    )
    allowed = (
        f"{first.budget(slo).whole:,.4g} allowed"
        if slo.slices
        else f"{first.budget(slo).whole:,.0f} allowed by forecast"
    )
    forecast = f"bad {slo.counted} observed, {allowed}{marks}"
    forecast = wrapped(forecast, int(ax.get_figure(root=True).get_figwidth() * 11), 4)  # type: ignore[union-attr]
    ax.set_title(title, pad=24 + strips + 12 * forecast.count("\n"))
    _note(ax, forecast, (0, 1), (0, 8 + strips), ha="left", va="bottom")
    time_axis(ax, first)
    mark_onsets(ax, first)
    return ax


def burn_rate(
    results: Sequence[RunResult], slo: Objective | None = None, *, window: float | None = None, ax: Axes | None = None
) -> Axes:
    """Burn rate of one SLO over a trailing `window` (s), on a logarithmic axis; 1 spends the budget in its window.

    Without a `window` it is 5 min, or more where there are few requests. No line where a window has none. Dashed are
    the thresholds of the burn-rate alarms on this SLO, or the usual one to page at.
    """
    ax = axes_or_new(ax)
    first = results[0]
    slo = slo or first.scenario.slos[0]
    window = burn_window(first, slo) if window is None else window
    scale, _ = time_unit(first)
    highest = 1.0
    for result, width in zip(results, _widths(results), strict=True):
        rate = result.budget(slo).burn_rate(max(1, round(window / result.metrics.resolution)))
        highest = max(highest, float(np.nanmax(rate, initial=0.0)))
        ax.plot(
            period_edges(result)[1:] / scale, rate, label=caption(result), **_look(results, result), linewidth=width
        )
    levels = _levels(first, slo)
    highest = max(highest, *levels)
    ax.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    ax.set_ylim(-0.06, highest * 1.4)
    usual = [
        t for t in (3, 6, PAGE, 50, 100, 300, 1000) if t < highest * 1.4 and all(abs(t / k - 1) > 0.3 for k in levels)
    ]
    ax.yaxis.set_major_locator(FixedLocator([0, *levels, *usual]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    for level, meaning in levels.items():
        ax.axhline(level, color=GREY, linewidth=0.9, linestyle=(0, (2, 2)))
        _note(ax, meaning, (1, level), (5, 0), transform=ax.get_yaxis_transform(), ha="left", va="center")
    ax.set_ylabel(f"burn rate over {show_duration(window)}\n(logarithmic above 1×)")
    ax.set_title(wrapped(f"How fast the error budget of {slo.name} {_objective(slo)} burns", 80))
    time_axis(ax, first)
    mark_onsets(ax, first)
    return ax


def error_budget_figure(results: Sequence[RunResult]) -> Figure:
    """`error_budget.png`: one panel per SLO."""
    strips = STRIP * len(results) / 72 if results[0].scenario.rollout is not None else 0.0
    return _per_slo(results, error_budget, strips)


def burn_rate_figure(results: Sequence[RunResult]) -> Figure:
    """`burn_rate.png`: one panel per SLO."""
    return _per_slo(results, burn_rate, 0.0)


def burn_window(result: RunResult, slo: Objective) -> float:
    """The window (s) over which a burn rate can be read: 5 min, or up to an eighth of the horizon for enough requests.

    Where the budget counts time slices, five of them.
    """
    if slo.slices is not None:
        return 5 * slo.slices.every
    metrics = result.metrics
    rate = float(result.budget(slo).requests.sum()) / metrics.horizon
    fitting = [m * 60.0 for m in _WINDOWS if m == _WINDOWS[0] or m * 60.0 <= metrics.horizon / 8]
    return next((window for window in fitting if window * rate >= _ENOUGH), fitting[-1])


def _per_slo(results: Sequence[RunResult], draw: Any, extra: float) -> Figure:
    """One panel per SLO over one legend; `extra` inches of each are not for its axes."""
    slos = results[0].scenario.slos
    with styled():
        size = (HALF[0], max(HALF[1], (3.2 + extra) * len(slos)))
        figure, axes = plt.subplots(len(slos), 1, figsize=size, squeeze=False, layout="constrained")
        for ax, slo in zip(axes[:, 0], slos, strict=True):
            draw(results, slo, ax=ax)
        lines = legend_of(figure, axes[0, 0], HALF[0], letters=100)
        figure.set_figheight(max(HALF[1], (3.2 + extra) * len(slos) + 0.5 + 0.21 * lines))
        headline(figure, f"{results[0].scenario.name}, one run of each strategy")
    return figure


def _budget_axis(ax: Axes, result: RunResult, slo: Objective, top: float, lowest: float) -> None:
    """Room for what was spent, at least for a few bad requests; zero and below in red where it comes into sight."""
    whole = result.budget(slo).whole
    room = max(top - lowest, _LEAST, 5 / whole if whole else 0.0)
    bottom = top - 1.08 * room
    if lowest < 0.3 * top:
        bottom = min(bottom, -0.03 * room)
    ax.set_ylim(bottom, top + 0.05 * room)
    if bottom < 0:
        ax.axhline(0, color=RED, linewidth=1.2)
    if lowest < 0:
        ax.axhspan(bottom, 0, color=RED, alpha=0.08, zorder=0)
        _note(ax, "overspent", (0, 0), (6, -4), transform=ax.get_yaxis_transform(), color=RED, ha="left", va="top")
    percent_axis(ax)
    if whole:
        to_bad: Callable[[Any], Any] = lambda left: (top - left) * whole  # noqa: E731
        to_left: Callable[[Any], Any] = lambda bad: top - bad / whole  # noqa: E731
        count = ax.secondary_yaxis("right", functions=(to_bad, to_left))
        count.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        count.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value > -0.5 else ""))
        count.set_ylabel("bad requests" if slo.slices is None else "bad time slices")
        count.spines["right"].set_visible(False)
        count.tick_params(length=0)


def _strips(ax: Axes, results: Sequence[RunResult], scale: float) -> float:
    """Draws each strategy's strip above the axes, in the legend's order from the top; returns their height in points."""
    start = results[0].scenario.start
    end = results[0].metrics.horizon - start
    across = blended_transform_factory(ax.transData, ax.transAxes)
    for k, result in enumerate(results):
        colour = _look(results, result)["color"]
        height = STRIP * (len(results) - k - 0.1)
        strip = across + ScaledTranslation(0, height / 72, ax.figure.dpi_scale_trans)
        drawn: dict[str, Any] = {"color": colour, "transform": strip, "clip_on": False}
        times = [*(shift.at - start for shift in result.shifts), end]
        for shift, at, until in zip(result.shifts, times, times[1:], strict=False):
            if shift.weight > 0:
                ax.plot([at / scale, until / scale], [1, 1], linewidth=1.2, solid_capstyle="butt", **drawn)
            size = 6.5 if shift.weight < shift.before else 6
            mark = "X" if shift.weight < shift.before else "|"
            edge = "white" if mark == "X" else colour
            ax.plot(at / scale, 1, marker=mark, markersize=size, markeredgecolor=edge, zorder=4, **drawn)
        for at, _ in alarms(result):  # a little above the rollback, which may come in the same instant
            above = drawn | {"transform": strip + ScaledTranslation(0, 4 / 72, ax.figure.dpi_scale_trans)}
            ax.plot(
                at / scale,
                1,
                marker="v",
                markersize=4.5,
                markeredgecolor="white",
                markeredgewidth=0.4,
                zorder=5,
                **above,
            )
        name = wrapped(result.strategy, 10 if narrow(ax) else _NAME, 1)
        _note(ax, name, (1, 1), (6, height), ha="left", va="center", fontsize=7)
    return STRIP * (len(results) + 0.5)


def _rollbacks(result: RunResult) -> list[float]:
    """When the new version lost weight again (s from the rollout's start), by an alarm or by on-call."""
    return [shift.at - result.scenario.start for shift in result.shifts if shift.weight < shift.before]


def _levels(result: RunResult, slo: Objective) -> dict[float, str]:
    """Burn rates that mean something, and what; what lies too close for two notes stands in one."""
    levels = {1.0: "spends the\nbudget exactly"}
    for name, alarm in sorted(result.scenario.alarms.items(), key=lambda item: item[1].limit):
        if alarm.metric == "burn_rate" and alarm.slo == slo.name and alarm.limit > 1.5:
            windows = f"over {show_duration(alarm.long)} and {show_duration(alarm.short)}"
            meaning = wrapped(f"alarm {name},", 26, 2) + f"\n{windows}"
            near = max(level for level in levels if level <= alarm.limit)
            if near > 1 and alarm.limit / near < _APART ** levels[near].count("\n"):
                levels[near] += f"\n{meaning}" if near == alarm.limit else f"\n{meaning} (at {alarm.limit:g}×)"
            else:
                levels[alarm.limit] = meaning
    if len(levels) == 1:
        levels[PAGE] = f"{PAGE * HOUR / slo.window * 100:.3g}% of\nbudget in 1 h"
    return levels


def _objective(slo: Objective) -> str:
    return f"{slo.objective:.6%}".rstrip("%").rstrip("0").rstrip(".") + "%"


def _look(results: Sequence[RunResult], result: RunResult) -> dict[str, Any]:
    """Colour and line style of the result's strategy, by the first result's scenario: one of another comes after its own."""
    return look(strategy_index(results[0].scenario, result.strategy))


def _widths(results: Sequence[RunResult]) -> Any:
    """Line widths, falling in the order of drawing."""
    return np.linspace(2.6, 1.5, len(results)) if len(results) > 1 else [1.8]


def _note(ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **how: Any) -> None:
    """A small text at the point `at` of the axes, moved by `offset` points."""
    coordinates = how.pop("transform", "axes fraction")
    drawn = {"fontsize": 9, "color": GREY, **how}
    ax.annotate(
        text, at, xytext=offset, xycoords=coordinates, textcoords="offset points", annotation_clip=False, **drawn
    )
