"""Pictures of a sweep: heat maps, power curves with the closed form over them, catching against false alarms."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator, PercentFormatter

from rollout_sim.core.formatting import share
from rollout_sim.study.analytic import stop_probability
from rollout_sim.study.grid import Severity, SeverityAxis
from rollout_sim.views.plots.style import (
    COLOURS,
    GREY,
    HALF,
    SLIDE,
    axes_or_new,
    drawable,
    headline,
    legend_of,
    look,
    percent_ticks,
    place_names,
    probability_axis,
    strategy_index,
    styled,
    wrapped,
)

if TYPE_CHECKING:
    import pandas as pd

    from rollout_sim.scenario.goals import Goal
    from rollout_sim.study.sweep import Sweep


MAPPED: Final = {
    "stopped": "probability of being stopped",
    "good_version_stopped": "probability that a good version is stopped",
    "bad_requests": "bad requests, mean",
}
"""The estimates that have a heat map."""
SHARES: Final = ("stopped", "good_version_stopped", "rolled_back", "promoted", "failed", "blocked")
"""The estimates that are probabilities."""
_MOST_PANELS: Final = 12
_ROW: Final = 24
"""Letters on a line of a row's label."""
_MARKERS: Final = "osD^vP*X"
_NAMED: Final = 6
"""Points of a panel that all have their names beside them; of more it is the best ones, and fewer."""
_BEST: Final = 4
_CHOICES: Final = ("alarms", "strategies", "rollout")
"""Parts of a scenario that one chooses; an axis of another part, or of the severity, is what happens to one."""
_RINGS: Final = (90, 38, 12)
"""Sizes of points at one place, of which each is seen around the next; the last is also for all others."""
_MANY: Final = 40
"""Points of a panel whose intervals must be pale."""
_SHADES: Final = 8
"""Values of an axis that a legend lists, where their colours follow a scale."""
_LIMIT: Final = "#B00020"
_MEANINGS: Final[dict[Severity, str]] = {
    "errors": "error rate of the fault",
    "crash": "error rate of the fault",
    "hang": "error rate of the fault",
    "responses": "share of failed responses",
    "factor": "factor of the fault",
    "delay": "time that the fault adds",
}


def heat_map(sweep: Sweep, estimate: str, where: dict[str, str], x: str, y: str, *, ax: Axes | None = None) -> Axes:
    """One estimate's means over the axes `x` and `y`, of the rows that have the values `where`."""
    ax = axes_or_new(ax)
    frame = _rows(sweep, estimate, where)
    columns, rows = (_values(sweep, name) for name in (x, y))
    means = np.full((len(rows), len(columns)), np.nan)
    for a, b, mean in zip(frame[y], frame[x], frame["mean"], strict=True):
        means[rows.index(a), columns.index(b)] = mean
    is_share = estimate in SHARES
    # One scale for all panels of an estimate.
    top = 1.0 if is_share else float(_rows(sweep, estimate, {})["mean"].max()) or 1.0
    ax.imshow(means, cmap="cividis", vmin=0.0, vmax=top, aspect="auto", label=estimate)
    for (i, j), mean in np.ndenumerate(means):
        text = (
            "-" if math.isnan(mean) else share(mean) if is_share else f"{mean:,.3g}" if mean < 1000 else f"{mean:,.0f}"
        )
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color="black" if mean > 0.55 * top else "white")
    ax.set_xticks(range(len(columns)), [wrapped(label, _letters(columns)) for label in columns])
    ax.set_yticks(range(len(rows)), [wrapped(label, _ROW) for label in rows])
    ax.set_xlabel(_path(x, max(20, len(columns) * _letters(columns))))
    ax.set_ylabel(_path(y, max(16, 6 * len(rows))))
    ax.grid(visible=False)
    return ax


def power_curve(sweep: Sweep, lines: str | None, where: dict[str, str], *, ax: Axes | None = None) -> Axes:
    """Probability of being stopped against severity, the closed form dashed; where there is none, that is said.

    One line per value of the axis `lines`, or per strategy for `strategy`; None is a single line.
    """
    ax = axes_or_new(ax)
    axis = severity_axis(sweep)
    severities = dict(zip(axis.labels, axis.values, strict=True))
    dashed = False
    for k, value in enumerate(_values(sweep, lines) if lines else [""]):
        chosen = where | ({lines: value} if lines else {})
        frame = _rows(sweep, "stopped", chosen)
        severity = np.array([severities[label] for label in frame["severity"]])
        order = np.argsort(severity)
        x, mean, low, high = (
            np.asarray(a, float)[order] for a in (severity, frame["mean"], frame["low"], frame["high"])
        )
        strategy = chosen.get("strategy")
        colour = look(k if strategy is None else strategy_index(sweep.cells[0].scenario, strategy))["color"]
        label = drawable(f"{value}%" if lines == "percent" else value or "simulated")
        ax.errorbar(
            x, mean, yerr=[mean - low, high - mean], fmt="o", color=colour, capsize=2, markersize=4, label=label,
            clip_on=False, zorder=3,
        )  # fmt: skip
        exact = _closed_form(sweep, chosen)
        if exact is not None:
            ax.plot(x, exact[order], color=colour, linestyle="--", linewidth=1.4)
            dashed = True
        else:
            ax.plot(x, mean, color=colour, linewidth=1.0, alpha=0.6)
    if dashed:
        ax.plot([], [], color="#555555", linestyle="--", linewidth=1.4, label="closed form")
    else:
        ax.plot([], [], color="none", label="no closed form")
    written = {value: label for label, value in severities.items()}
    positive = sorted(set(written) - {0.0})
    if len(positive) > 1 and positive[-1] / positive[0] >= 8:
        ax.set_xscale("symlog", linthresh=positive[0])
        ax.set_xlim(0 if 0.0 in written else positive[0] * 0.8, positive[-1] * 1.25)
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(FixedLocator(list(written)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: written.get(v, "")))
    ax.xaxis.set_minor_formatter(NullFormatter())
    probability_axis(ax)
    ax.set_xlabel(f"severity: {_MEANINGS[axis.severity]}")
    ax.set_ylabel("probability of being stopped")
    return ax


def trend(
    sweep: Sweep, estimate: str, x: str, lines: str | None, where: dict[str, str], *, ax: Axes | None = None
) -> Axes:
    """One estimate against the values of the axis `x`, evenly spaced; one line per value of the axis `lines`, if any."""
    ax = axes_or_new(ax)
    columns, values = _values(sweep, x), _values(sweep, lines) if lines else [""]
    ordered = any(character.isdigit() for character in "".join(columns))  # words have no order that a line could follow
    for k, value in enumerate(values):
        frame = _rows(sweep, estimate, where | ({lines: value} if lines else {})).set_index(x).reindex(columns)
        mean, low, high = (np.asarray(frame[name], float) for name in ("mean", "low", "high"))
        style = look(strategy_index(sweep.cells[0].scenario, value) if lines == "strategy" else k)
        # A little beside each other, so that intervals can be told apart.
        places = np.arange(len(columns)) + (k - (len(values) - 1) / 2) * 0.06
        reach = np.maximum([mean - low, high - mean], 0.0)
        joined = style if ordered else style | {"linestyle": "none"}
        ax.errorbar(places, mean, yerr=reach, marker="o", capsize=3, markersize=5, label=drawable(value), **joined)
    room = max(4, int(60 / len(columns)))
    every = max(1, -(-len(columns) // 20))
    ax.set_xticks(range(0, len(columns), every), [wrapped(label, room) for label in columns[::every]])
    ax.set_xlim(-0.4, len(columns) - 0.6)
    ax.set_xlabel(_path(x, 60))
    if estimate in SHARES:
        ax.set_ylabel("share of the rollouts")
        probability_axis(ax)
    else:
        ax.set_ylabel(f"{estimate.replace('_', ' ')}, mean")
        ax.set_ylim(bottom=0)
    if lines:
        ax.legend(title=_path(lines, 30))
    return ax


def picture(sweep: Sweep, where: dict[str, str], *, ax: Axes | None = None) -> Axes:
    """What a sweep shows of itself: power curves, a heat map, or a line, of the rows that have the values `where`.

    Raises ValueError for a value that is not there, and where an axis is left that the picture has no room for.
    """
    strategies = _values(sweep, "strategy")
    names = {axis.name: list(axis.labels) for axis in sweep.axes if len(axis.values) > 1}
    names |= {"strategy": strategies} if len(strategies) > 1 else {}
    for name, value in where.items():
        if value not in names.get(name, ()):
            raise ValueError(f"there is no {name} {value!r}; allowed {', '.join(names.get(name, ())) or 'none'}")
    free = [name for name in names if name not in where]
    if len(free) > 2:
        raise ValueError(f"say which {free[-1]}; allowed {', '.join(names[free[-1]])}")
    if "severity" in free:
        return power_curve(sweep, next((name for name in free if name != "severity"), None), where, ax=ax)
    if "strategy" in free:
        return trend(sweep, "stopped", free[0] if free[1:] else sweep.axes[0].name, "strategy", where, ax=ax)
    if len(free) == 2:
        return heat_map(sweep, "stopped", where, free[1], free[0], ax=ax)
    return trend(sweep, "stopped", free[0] if free else sweep.axes[0].name, None, where, ax=ax)


def severity_axis(sweep: Sweep) -> SeverityAxis:
    """The severities of a sweep. Raises ValueError where it has none."""
    for axis in sweep.axes:
        if isinstance(axis, SeverityAxis):
            return axis
    raise ValueError(f"{sweep.name}: a power curve needs severities; the axes are {', '.join(_names(sweep))}")


def heat_map_figure(sweep: Sweep) -> Figure | None:
    """`heat_maps.png`: rows per estimate, a panel per combination of the other axes; None with a single axis.

    The panels of one estimate share one scale of colours, which stands beside them.
    """
    wide = [axis.name for axis in sweep.axes if len(axis.values) > 1]
    if len(wide) < 2:
        return None
    y, x = wide[0], wide[1]
    panels, left_out = _panels(sweep, {x, y})
    mapped = {name: title for name, title in MAPPED.items() if len(_rows(sweep, name, {}))}
    columns, rows = _values(sweep, x), _values(sweep, y)
    names = 0.085 * min(max(map(len, rows)), _ROW) + 0.5
    size = (
        max(2.8, (0.085 * _letters(columns) + 0.15) * len(columns) + names),
        max(1.5, 0.42 * len(rows)) + 1.1,
    )
    across = max(1, min(len(panels), int(SLIDE[0] / size[0])))
    down = -(-len(panels) // across)
    width = max(size[0] * across + 1.0, 6.0)
    letters = int((width - 1.0) / across * 11)
    with styled():
        figure, grid = plt.subplots(
            len(mapped) * down, across, figsize=(width, (size[1] + 0.3) * len(mapped) * down + 0.6), squeeze=False,
            layout="constrained",
        )  # fmt: skip
        for block, (estimate, title) in enumerate(mapped.items()):
            axes = grid[block * down : (block + 1) * down]
            for ax, where in zip(axes.flat, panels, strict=False):
                heat_map(sweep, estimate, where, x, y, ax=ax)
                ax.set_title(wrapped(_where(where), letters) if where else "", fontsize=9, fontweight="normal")
            for ax in list(axes.flat)[len(panels) :]:
                ax.set_visible(False)
            share_of_all = PercentFormatter(1.0) if estimate in SHARES else None
            bar = figure.colorbar(
                axes.flat[0].images[0], ax=list(axes.flat), format=share_of_all, fraction=0.04, aspect=14
            )
            bar.set_label(wrapped(title, 22))
            bar.outline.set_visible(False)
        _headline(figure, sweep, left_out)
    return figure


def trend_figure(sweep: Sweep) -> Figure | None:
    """`trend.png`: each estimate along the only axis that varies, a line per strategy; None where another picture shows it."""
    wide = [axis.name for axis in sweep.axes if len(axis.values) > 1]
    if len(wide) != 1 or wide == ["severity"]:
        return None
    lines = "strategy" if len(_values(sweep, "strategy")) > 1 else None
    mapped = {name: title for name, title in MAPPED.items() if len(_rows(sweep, name, {}))}
    with styled():
        figure, grid = plt.subplots(
            1, len(mapped), figsize=(SLIDE[0] / 3 * max(len(mapped), 2), 5.0), squeeze=False, layout="constrained"
        )
        for ax, (estimate, title) in zip(grid.flat, mapped.items(), strict=True):
            trend(sweep, estimate, wide[0], lines, {}, ax=ax)
            ax.set_title(title)
            if (legend := ax.get_legend()) is not None:
                legend.remove()
        if lines:
            legend_of(figure, grid[0, 0])
        _headline(figure, sweep, 0)
    return figure


def power_figure(sweep: Sweep) -> Figure | None:
    """`power.png`: the power curves, a panel per combination of the remaining axes; None without a severity axis."""
    names = _names(sweep)
    if "severity" not in names or len(_values(sweep, "severity")) < 2:
        return None
    lines = next((name for name in ("percent", *names) if name in names and name != "severity"), None)
    if lines is None and len(_values(sweep, "strategy")) > 1:
        lines = "strategy"
    panels, left_out = _panels(sweep, {"severity", lines})
    with styled():
        figure, axes = _titled_panels(panels, 3.4, 0.9)
        for ax, where in zip(axes, panels, strict=True):
            power_curve(sweep, lines, where, ax=ax)
        legend_of(figure, axes[0], letters=60, title=_path(lines, 60) if lines else None)
        _headline(figure, sweep, left_out)
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A cell of the grid and a strategy, as one point of a trade-off."""

    labels: Mapping[str, str]
    """By axis, and for `strategy`, its value."""
    good: tuple[float, float, float]
    """How often a good version is stopped: mean, and the ends of its interval."""
    bad: tuple[float, float, float]
    """The same of the version as the cell describes it."""
    goal: Goal | None

    @property
    def place(self) -> tuple[float, float]:
        """Where it is drawn."""
        return self.good[0], self.bad[0]


def _points(sweep: Sweep) -> list[_Point]:
    """The points of all cells whose version is a bad one and has a good twin."""
    names, points = _names(sweep), list[_Point]()
    for cell, rows in sweep.by_cell():
        estimates: dict[str, dict[str, tuple[float, float, float]]] = {}
        for row in rows:
            estimates.setdefault(row["strategy"], {})[row["estimate"]] = (row["mean"], row["low"], row["high"])
        for strategy in cell.batches[0].strategies if cell.twin is not None else ():
            labels = dict(zip((*names, "strategy"), (*cell.labels, strategy), strict=True))
            of, goal = estimates[strategy], cell.scenario.goal
            points.append(_Point(labels=labels, good=of["good_version_stopped"], bad=of["stopped"], goal=goal))
    return points


def _chosen(points: Sequence[_Point], where: Mapping[str, str]) -> list[_Point]:
    """The points of the cells that have these values, by axis and for `strategy` (`where`)."""
    return [point for point in points if all(point.labels[name] == value for name, value in where.items())]


def trade_off(sweep: Sweep, where: dict[str, str], *, ax: Axes | None = None) -> Axes:
    """How often a bad version is stopped against how often a good one is: a point per cell and strategy, with intervals.

    The best are up and to the left. Of the cells with the values `where` (by axis, and for `strategy`); coloured by strategy
    or by the first of the other axes, and marked by the next one. Those that no other beats in both have their names, of
    points at one place the number is said, and the goal's limits are lines. Raises ValueError where there is no such cell
    with a bad version and a good twin.
    """
    ax = axes_or_new(ax)
    place_names(ax, _draw_trade_off(sweep, _points(sweep), where, ax))
    return ax


def _draw_trade_off(
    sweep: Sweep, every: Sequence[_Point], where: dict[str, str], ax: Axes
) -> list[tuple[str, tuple[float, float]]]:
    """Draws the points with the values `where` out of `every` one; what is to stand beside points, and where."""
    points = _chosen(every, where)
    if not points:
        raise ValueError(f"{sweep.name}: no cell has a bad version and a good twin")
    free = [name for name in ("strategy", *_names(sweep)) if name not in where and len(_values(sweep, name)) > 1]
    coloured, marked = (*free, "", "")[:2]
    colours, markers = _shades(sweep, coloured), _markers(sweep, marked)
    groups: dict[str, list[_Point]] = {}
    for point in points:
        groups.setdefault(markers[point.labels.get(marked, "")], []).append(point)
    here: Counter[tuple[int, int]] = Counter()
    for marker, group in groups.items():
        x, y = (np.array([getattr(point, side) for point in group]).T for side in ("good", "bad"))
        shades = [colours[point.labels.get(coloured, "")] for point in group]
        bars: dict[str, Any] = {
            "colors": shades,
            "linewidth": 0.9,
            "zorder": 0.7,
            "alpha": 0.3 if len(points) > _MANY else 0.8,
        }
        ax.hlines(y[0], x[1], x[2], **bars)
        ax.vlines(x[0], y[1], y[2], **bars)
        sizes = []
        for point in group:
            sizes.append(_RINGS[min(here[_spot(point)], len(_RINGS) - 1)])
            here[_spot(point)] += 1
        looks: dict[str, Any] = {"c": shades, "marker": marker, "edgecolor": "white", "linewidth": 0.6}
        ax.scatter(x[0], y[0], s=sizes, zorder=3, clip_on=False, **looks)
    _explain(sweep, ax, coloured, _present(colours, coloured, points), marked, _present(markers, marked, points))
    _limits(ax, points)
    _trade_off_scales(ax, every)
    return _trade_off_names(points, free, here)


def _shades(sweep: Sweep, name: str | None) -> dict[str, Any]:
    """The colour of each value of an axis or of `strategy`; one colour where nothing is told apart."""
    values = _values(sweep, name) if name else [""]
    if name == "strategy":
        return {value: look(strategy_index(sweep.cells[0].scenario, value))["color"] for value in values}
    if len(values) <= len(COLOURS):
        return dict(zip(values, COLOURS, strict=False))
    return dict(zip(values, plt.get_cmap("cividis")(np.linspace(0.0, 0.95, len(values))), strict=True))


def _markers(sweep: Sweep, name: str | None) -> dict[str, str]:
    """The marker of each value of an axis; one for all where there are too many to tell apart."""
    values = _values(sweep, name) if name else [""]
    return dict(zip(values, _MARKERS if len(values) <= len(_MARKERS) else "o" * len(values), strict=False))


def _present(looks: Mapping[str, Any], name: str, points: Sequence[_Point]) -> dict[str, Any]:
    """The colours or markers of an axis (`name`), without those of values that no point has."""
    values = {point.labels.get(name, "") for point in points}
    return {value: drawn for value, drawn in looks.items() if value in values}


def _explain(
    sweep: Sweep, ax: Axes, coloured: str, colours: Mapping[str, Any], marked: str, markers: Mapping[str, str]
) -> None:
    """Entries of a legend for colours and markers; of a long scale some of its values."""
    every = max(1, -(-len(colours) // _SHADES)) if len(colours) > len(COLOURS) and coloured != "strategy" else 1
    for value in list(colours)[::every] if coloured else ():
        label = wrapped(_short(sweep, coloured, value), 40)
        ax.scatter([], [], s=60, marker="o", color=colours[value], edgecolor="white", label=label)
    for value, marker in markers.items() if marked and len(set(markers.values())) > 1 else ():
        label = wrapped(_short(sweep, marked, value), 40)
        ax.scatter([], [], s=50, marker=marker, color=GREY, edgecolor="white", label=label)


def _short(sweep: Sweep, name: str, value: str) -> str:
    """A value of an axis with the last part of the field's path, or all of it where another axis has the same last part."""
    if name == "strategy":
        return value
    last = name.rpartition(".")[2]
    alike = sum(other.rpartition(".")[2] == last for other in _names(sweep))
    return f"{last if alike == 1 else name} {_value(name, value)}"


def _value(name: str, value: str) -> str:
    """A value of an axis as people read it."""
    return f"{value}%" if name == "percent" else value


def _spot(point: _Point) -> tuple[int, int]:
    """The place of a point, so coarse that those with the same one lie over each other."""
    x, y = point.place
    return round(x * 200), round(y * 200)


def _limits(ax: Axes, points: Sequence[_Point]) -> None:
    """Lines at the limits of the goal that all points have in common."""
    goals = {point.goal for point in points}
    goal = goals.pop() if len(goals) == 1 else None
    if goal is not None and goal.false_rollback is not None:
        most = goal.false_rollback.at_most
        ax.axvline(most, color=_LIMIT, linewidth=1.2, zorder=0.7, label=f"goal: at most {share(most)}")
    if goal is not None and goal.catch is not None:
        least, of = goal.catch.at_least, goal.catch.of
        words = f"goal: at least {share(least)} with {of.show(of.spread.low)}"
        ax.axhline(least, color=_LIMIT, linewidth=1.2, linestyle="--", zorder=0.7, label=words)


def _trade_off_scales(ax: Axes, points: Sequence[_Point]) -> None:
    """Scales for all points of a sweep, the same in each panel; that of the good version is stretched near zero if need be."""
    highest = max(point.good[2] for point in points)
    limits = [point.goal.false_rollback.at_most for point in points if point.goal and point.goal.false_rollback]
    near_zero = any(0 < value < 0.05 for value in (*limits, *(point.good[0] for point in points)))
    if highest > 0.2 and near_zero:
        ax.set_xscale("symlog", linthresh=0.01)
        ax.xaxis.set_major_locator(FixedLocator([0, 0.01, 0.1, 1]))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlim(-0.001, 1.2)
    else:
        top = max(highest, *limits, 0.01) * 1.1
        ax.set_xlim(-0.03 * top, top)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(FuncFormatter(percent_ticks))
    probability_axis(ax)
    ax.set_xlabel("good version stopped (95% intervals)")
    ax.set_ylabel("bad version stopped")


def _trade_off_names(
    points: Sequence[_Point], free: Sequence[str], taken: Counter[tuple[int, int]]
) -> list[tuple[str, tuple[float, float]]]:
    """What stands beside points, and where: all where there are few, else the best and places that hide many."""
    at: dict[tuple[int, int], _Point] = {}
    for point in points:
        at.setdefault(_spot(point), point)
    front, best = [], -1.0
    for point in sorted(points, key=lambda point: (point.good[0], -point.bad[0])):
        if point.bad[0] > best:
            front.append(_spot(point))
            best = point.bad[0]
    front = list(dict.fromkeys(front))
    chosen = list(at) if len(at) <= _NAMED else front[:: max(1, -(-len(front) // _BEST))]
    named = []
    for spot in chosen:
        name = ", ".join(_value(axis, at[spot].labels[axis]) for axis in free)
        more = f" and {taken[spot] - 1} more" if taken[spot] > 1 else ""
        named.append((f"{name}{more}", at[spot].place))
    crowded = [(spot, count) for spot, count in taken.most_common(_BEST) if count > len(_RINGS) and spot not in chosen]
    return [*named, *((f"{count} points", at[spot].place) for spot, count in crowded)]


def trade_off_figure(sweep: Sweep) -> Figure | None:
    """`trade_off.png`: catching against false alarms, a panel per severity and other thing that is not one's choice.

    None where no two cells with a bad version have a good twin, and where they differ in nothing but how bad it is.
    """
    points = _points(sweep)
    varied = {name for name in (*_names(sweep), "strategy") if len(_values(sweep, name)) > 1}
    if len(points) < 2 or varied <= {"severity"}:
        return None
    chosen: set[str | None] = {"strategy"}
    chosen |= {axis.name for axis in sweep.axes if axis.name in ("percent", "interval") or axis.path[0] in _CHOICES}
    if not chosen & varied:
        chosen |= set(_names(sweep))
    panels, left_out = _panels(sweep, chosen, drawn=lambda where: bool(_chosen(points, where)))
    with styled():
        figure, axes = _titled_panels(panels, 3.6, 1.4)
        names = [(ax, _draw_trade_off(sweep, points, where, ax)) for ax, where in zip(axes, panels, strict=True)]
        legend_of(figure, axes[0])
        _headline(figure, sweep, left_out)
        for ax, of_panel in names:  # when everything else has its place
            place_names(ax, of_panel)
    return figure


def _closed_form(sweep: Sweep, where: dict[str, str]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """The closed form of each cell with the values `where`, in the grid's order; None where any has none."""
    names, probabilities = _names(sweep), []
    for cell in sweep.cells:
        labels = dict(zip(names, cell.labels, strict=True))
        if all(labels.get(name, where[name]) == where[name] for name in where):
            strategy = where.get("strategy", cell.batches[0].strategies[0])
            probabilities.append(stop_probability(cell.scenario, strategy))
    return None if None in probabilities else np.array(probabilities, float)


def _panels(
    sweep: Sweep, used: set[str | None], *, drawn: Callable[[dict[str, str]], bool] = lambda _: True
) -> tuple[list[dict[str, str]], int]:
    """The first combinations of everything that a panel does not show, strategies included; how many are left out.

    Only of those that have something `drawn`.
    """
    names = [name for name in (*_names(sweep), "strategy") if name not in used]
    if "strategy" in names and len(_values(sweep, "strategy")) == 1:
        names.remove("strategy")
    every = itertools.product(*(_values(sweep, name) for name in names))
    combinations = [dict(zip(names, values, strict=True)) for values in every]
    combinations = [where for where in combinations if drawn(where)]
    return combinations[:_MOST_PANELS], max(0, len(combinations) - _MOST_PANELS)


def _titled_panels(panels: Sequence[dict[str, str]], height: float, more: float) -> tuple[Figure, list[Axes]]:
    """A figure with axes for each of the panels, three in a row: `height` inches high each, and `more` for what is below."""
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    size = HALF if len(panels) == 1 else (SLIDE[0] / 3 * columns, height * rows + more)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax, where in zip(grid.flat, panels, strict=False):
        ax.set_title(wrapped(_where(where), int(size[0] / columns * 9.5)), fontsize=10)
    for ax in grid.flat[len(panels) :]:
        ax.set_visible(False)
    return figure, list(grid.flat)[: len(panels)]


def _rows(sweep: Sweep, estimate: str, where: dict[str, str]) -> pd.DataFrame:
    frame = sweep.frame
    chosen = frame["estimate"] == estimate
    for name, value in where.items():
        chosen &= frame[name] == value
    return frame[chosen]


def _values(sweep: Sweep, name: str) -> list[str]:
    """The labels of the axis of that name; `strategy` stands for the strategies."""
    if name == "strategy":
        return list(dict.fromkeys(strategy for cell in sweep.cells for strategy in cell.batches[0].strategies))
    return [label for axis in sweep.axes if axis.name == name for label in axis.labels]


def _names(sweep: Sweep) -> list[str]:
    """The names of the axes."""
    return [axis.name for axis in sweep.axes]


def _where(where: dict[str, str]) -> str:
    return ", ".join(value if name == "strategy" else f"{name} {value}" for name, value in where.items())


def _letters(labels: list[str]) -> int:
    """Letters on a line of a column's label: what the longest word takes, within what a cell may be wide."""
    return max(6, min(16, max(len(word) for label in labels for word in label.split()) + 1))


def _path(name: str, width: int) -> str:
    """An axis's name, a field's path, in lines of at most `width` letters that end at its dots where they can."""
    lines = [""]
    for part in drawable(name).replace(".", ".\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(wrapped(line, max(width, 12)) for line in lines)


def _headline(figure: Figure, sweep: Sweep, left_out: int) -> None:
    text = f"{sweep.name}: {sweep.replications:,} replications of each of {len(sweep.cells):,} cells"
    more = f"; {left_out} more panels are left out, sweep.csv has them" if left_out else ""
    headline(figure, f"{text}{more}")
