"""Pictures of a sweep: heat maps with the numbers in their cells, and power curves with the closed form over them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator, PercentFormatter

from rollout_sim.core.formatting import share
from rollout_sim.study.analytic import stop_probability
from rollout_sim.study.grid import Severity, SeverityAxis
from rollout_sim.views.plots.style import HALF, SLIDE, axes_or_new, look, strategy_index, styled

if TYPE_CHECKING:
    import pandas as pd

    from rollout_sim.study.sweep import Sweep


MAPPED: Final = {"stopped": "probability of being stopped", "bad_requests": "bad requests, mean"}
"""The estimates that have a heat map."""
SHARES: Final = ("stopped", "rolled_back", "promoted", "failed", "blocked")
"""The estimates that are probabilities."""
_MOST_PANELS: Final = 12
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
    is_share = estimate == "stopped"
    # One scale for all panels of an estimate.
    top = 1.0 if is_share else float(_rows(sweep, estimate, {})["mean"].max()) or 1.0
    ax.imshow(means, cmap="cividis", vmin=0.0, vmax=top, aspect="auto")
    for (i, j), mean in np.ndenumerate(means):
        text = (
            "-" if math.isnan(mean) else share(mean) if is_share else f"{mean:,.3g}" if mean < 1000 else f"{mean:,.0f}"
        )
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color="black" if mean > 0.55 * top else "white")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(visible=False)
    return ax


def power_curve(sweep: Sweep, lines: str | None, where: dict[str, str], *, ax: Axes | None = None) -> Axes:
    """Probability of being stopped against severity, the closed form dashed.

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
        label = f"{value}%" if lines == "percent" else value or "simulated"
        ax.errorbar(
            x, mean, yerr=[mean - low, high - mean], fmt="o", color=colour, capsize=2, markersize=4, label=label
        )
        exact = _closed_form(sweep, chosen)
        if exact is not None:
            ax.plot(x, exact[order], color=colour, linestyle="--", linewidth=1.4)
            dashed = True
        else:
            ax.plot(x, mean, color=colour, linewidth=1.0, alpha=0.6)
    if dashed:
        ax.plot([], [], color="#555555", linestyle="--", linewidth=1.4, label="closed form")
    written = {value: label for label, value in severities.items()}
    positive = sorted(set(written) - {0.0})
    if len(positive) > 1 and positive[-1] / positive[0] >= 8:
        ax.set_xscale("symlog", linthresh=positive[0])
        ax.set_xlim(0 if 0.0 in written else positive[0] * 0.8, positive[-1] * 1.25)
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_locator(FixedLocator(list(written)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: written.get(v, "")))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"severity: {_MEANINGS[axis.severity]}")
    ax.set_ylabel("probability of being stopped")
    return ax


def trend(
    sweep: Sweep, estimate: str, x: str, lines: str | None, where: dict[str, str], *, ax: Axes | None = None
) -> Axes:
    """One estimate against the values of the axis `x`, evenly spaced; one line per value of the axis `lines`, if any."""
    ax = axes_or_new(ax)
    columns, values = _values(sweep, x), _values(sweep, lines) if lines else [""]
    for k, value in enumerate(values):
        frame = _rows(sweep, estimate, where | ({lines: value} if lines else {})).set_index(x).reindex(columns)
        mean, low, high = (np.asarray(frame[name], float) for name in ("mean", "low", "high"))
        style = look(strategy_index(sweep.cells[0].scenario, value) if lines == "strategy" else k)
        # A little beside each other, so that intervals can be told apart.
        places = np.arange(len(columns)) + (k - (len(values) - 1) / 2) * 0.06
        reach = np.maximum([mean - low, high - mean], 0.0)
        ax.errorbar(places, mean, yerr=reach, marker="o", capsize=3, markersize=5, label=value, **style)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_xlim(-0.4, len(columns) - 0.6)
    ax.set_xlabel(x)
    if estimate in SHARES:
        ax.set_ylabel(f"probability of being {estimate.replace('_', ' ')}")
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        ax.set_ylabel(f"{estimate.replace('_', ' ')}, mean")
        ax.set_ylim(bottom=0)
    if lines:
        ax.legend(title=lines)
    return ax


def picture(sweep: Sweep, where: dict[str, str], *, ax: Axes | None = None) -> Axes:
    """What a sweep shows of itself: power curves, a heat map, or a line, of the rows that have the values `where`.

    Raises ValueError for a value that is not there, and where an axis is left that the picture has no room for.
    """
    strategies = list(dict.fromkeys(name for cell in sweep.cells for name in cell.batches[0].strategies))
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
    """`heat_maps.png`: a row per estimate, a column per combination of the other axes; None with a single axis."""
    wide = [axis.name for axis in sweep.axes if len(axis.values) > 1]
    if len(wide) < 2:
        return None
    y, x = wide[0], wide[1]
    panels = _panels(sweep, {x, y})
    with styled():
        cells = (len(_values(sweep, x)), len(_values(sweep, y)))
        size = (max(2.6, 0.75 * cells[0] + 1.2), max(1.6, 0.42 * cells[1] + 1.1))
        figure, grid = plt.subplots(
            len(MAPPED),
            len(panels),
            figsize=(max(size[0] * len(panels), 5.5), size[1] * len(MAPPED) + 0.6),
            squeeze=False,
            layout="constrained",
        )
        for row, (estimate, title) in zip(grid, MAPPED.items(), strict=True):
            for ax, where in zip(row, panels, strict=True):
                heat_map(sweep, estimate, where, x, y, ax=ax)
                ax.set_title(f"{title}\n{_where(where)}" if where else title, fontsize=10)
        _headline(figure, sweep)
    return figure


def power_figure(sweep: Sweep) -> Figure | None:
    """`power.png`: the power curves, a panel per combination of the remaining axes; None without a severity axis."""
    names = _names(sweep)
    if "severity" not in names or len(_values(sweep, "severity")) < 2:
        return None
    lines = next((name for name in ("percent", *names) if name in names and name != "severity"), None)
    if lines is None and len(_values(sweep, "strategy")) > 1:
        lines = "strategy"
    panels = _panels(sweep, {"severity", lines})
    with styled():
        columns = min(len(panels), 3)
        rows = math.ceil(len(panels) / columns)
        size = HALF if len(panels) == 1 else (SLIDE[0] / 3 * columns, 3.4 * rows + 0.9)
        figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        for ax, where in zip(grid.flat, panels, strict=False):
            power_curve(sweep, lines, where, ax=ax)
            ax.set_title(_where(where), fontsize=10)
        for ax in grid.flat[len(panels) :]:
            ax.set_visible(False)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=_fitting(labels, size[0]), title=lines)
        _headline(figure, sweep)
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


def _panels(sweep: Sweep, used: set[str | None]) -> list[dict[str, str]]:
    """The combinations of everything that a panel does not show, strategies included."""
    combinations: list[dict[str, str]] = [{}]
    strategies = _values(sweep, "strategy") if "strategy" not in used else []
    for name in _names(sweep):
        if name not in used:
            combinations = [chosen | {name: value} for chosen in combinations for value in _values(sweep, name)]
    if len(strategies) > 1:
        combinations = [chosen | {"strategy": value} for chosen in combinations for value in strategies]
    return combinations[:_MOST_PANELS]


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


def _fitting(labels: list[str], width: float) -> int:
    """Columns of a legend that fit into `width` inches."""
    each = 0.7 + 0.09 * max(len(label) for label in labels)
    return max(1, min(len(labels), 7, int(width / each)))


def _headline(figure: Figure, sweep: Sweep) -> None:
    text = f"{sweep.name}: {sweep.replications:,} replications of each of {len(sweep.cells):,} cells"
    figure.suptitle(text, x=0.01, ha="left", fontweight="bold")
