"""Figures of a report: SVG that stands in a page, in the page's own letters, and in words what each shows.

Every colour becomes a CSS variable that falls back to itself (`var(--x0072b2, #0072b2)`), so that a page may replace it
where it is dark.
"""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rollout_sim.core.formatting import number, share, share_with_interval, show_duration
from rollout_sim.errors import escaped
from rollout_sim.views.plots import backlog as backlog_plots
from rollout_sim.views.plots import budget as plots
from rollout_sim.views.plots import comparison as comparison_plots
from rollout_sim.views.plots import recommendation as recommendation_plots
from rollout_sim.views.plots import sweep as sweep_plots
from rollout_sim.views.plots import traffic as traffic_plots
from rollout_sim.views.plots.style import COLOURS, STYLE, legend_of, look, styled, valid_svg

if TYPE_CHECKING:
    from rollout_sim.control.slo import Objective
    from rollout_sim.run.result import RunResult
    from rollout_sim.study.comparison import Comparison
    from rollout_sim.study.recommend.recommendation import Recommendation
    from rollout_sim.study.sensitivity import Sensitivity


WIDTH, NARROW = 8.6, 4.1
"""Inches: as wide as the page's column, so that letters keep their size; and as wide as a telephone, or half a sheet."""
INK: Final = "#1b1f24"
_PAGE: Final[Any] = STYLE | {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",
}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LINKS: Final = ("href", f"{{{_XLINK}}}href")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """`svg` is the markup of the whole element, `narrow` the same drawn for little room; `alt` says what both show."""

    svg: str
    narrow: str
    alt: str


def stopping(compared: Comparison) -> Picture:
    """How often each strategy stops the version as described, and a good one."""
    parts = []
    for name in compared.columns:
        text = f"{name} {share_with_interval(compared.estimates(name)['stopped'])}"
        if compared.twin is not None:
            text += f", of a good version {share_with_interval(compared.twin.estimates(name)['stopped'])}"
        parts.append(text)
    alt = f"How often each strategy stops the rollout, with 95% intervals: {'; '.join(parts)}."
    return _chart(
        "stopping",
        partial(comparison_plots.stopping, compared),
        alt,
        height=1.7 + 0.5 * len(compared.columns),
        legend=False,
    )


def budgets(compared: Comparison, slo: Objective, key: str) -> Picture:
    """What share of the replications spends more than so much of the budget."""
    parts = [
        f"{name} {share_with_interval(compared.estimates(name)[f'budget_spent.{slo.name}'])}"
        for name in compared.columns
    ]
    alt = f"Share of the {slo.name} budget that the replications spend; on average: {'; '.join(parts)}."
    return _chart(key, partial(comparison_plots.budgets, compared, slo), alt, height=3.9)


def error_budget(runs: Sequence[RunResult], slo: Objective, key: str) -> Picture:
    """The error budget that is left over time, in one run of each strategy."""
    parts = [f"{run.strategy} {share(1 - run.budget(slo).spent)}" for run in runs]
    alt = f"Error budget of {slo.name} left over time in one run of each strategy; at the end: {'; '.join(parts)}."
    return _chart(key, partial(plots.error_budget, runs, slo), alt, height=4.4 + 0.12 * len(runs))


def burn_rate(runs: Sequence[RunResult], slo: Objective, key: str) -> Picture:
    """How fast the budget burns over time, in one run of each strategy."""
    window = plots.burn_window(runs[0], slo)
    parts = []
    for run in runs:
        rate = run.budget(slo).burn_rate(max(1, round(window / run.metrics.resolution)))
        parts.append(f"{run.strategy} {number(float(np.nanmax(rate, initial=0.0)))} times")
    alt = f"Burn rate of {slo.name} over {show_duration(window)} in one run of each strategy; at its highest: {'; '.join(parts)}."
    return _chart(key, partial(plots.burn_rate, runs, slo), alt, height=4.2)


def traffic(runs: Sequence[RunResult]) -> Picture:
    """The new version's weight, invocations and error rates by version, in one run of each strategy."""
    parts = [f"{run.strategy} {_course(run)}" for run in runs if run.scenario.new is not None]
    if not parts:
        alt = f"Invocations and error rates of version {runs[0].scenario.old} over time in one run."
    else:
        alt = f"Weight of the new version, invocations and error rates over time in one run of each strategy: {'; '.join(parts)}."
    rows = min(1.25, max(0.95, 6.5 / len(runs)))
    drawn = []
    for width, across, key in ((WIDTH, 3, "traffic"), (NARROW, 2, "traffic-n")):
        with _page():
            figure = traffic_plots.traffic(runs, (width, 1.7 + rows * len(runs)), across=across)
            figure.suptitle("")
        drawn.append(_inline(figure, key, alt))
    return Picture(svg=drawn[0], narrow=drawn[1], alt=alt)


def backlog(runs: Sequence[RunResult]) -> Picture:
    """The backlogs of queues and streams together, in one run of each strategy."""
    longest = (
        f"{run.strategy} {max(int(run.backlog.records.max()), 0):,}" if run.backlog else run.strategy for run in runs
    )
    alt = f"Records without a fate over time; at most: {'; '.join(longest)}."
    return _chart("backlog", partial(backlog_plots.backlog, runs), alt, height=4.2)


def oldest(runs: Sequence[RunResult]) -> Picture:
    """How old the oldest record of queues and streams is, in one run of each strategy."""
    ages = (
        f"{run.strategy} {show_duration(max(float(source.oldest.max(initial=0.0)) for source in run.polled))}"
        for run in runs
    )
    alt = f"Age of the oldest record over time; at most: {'; '.join(ages)}."
    return _chart("oldest", partial(backlog_plots.oldest, runs), alt, height=4.2)


def fates(runs: Sequence[RunResult]) -> Picture:
    """The bad records by what became of them, in one run of each strategy."""
    lost = []
    for run in runs:
        told = ", ".join(f"{count:,} {fate}" for fate, count in backlog_plots.bad_by_fate(run).items() if count)
        lost.append(f"{run.strategy} {run.records_bad:,} of {run.records:,}{f' ({told})' if told else ''}")
    alt = f"Bad records by what became of them: {'; '.join(lost)}."
    return _chart("fates", partial(backlog_plots.fates, runs), alt, height=1.9 + 0.45 * len(runs))


def candidates(recommendation: Recommendation) -> Picture:
    """What the candidates of the search cost and how long they take."""
    parts = [
        f"{evaluation.candidate.label} takes {show_duration(evaluation.time_to_full)} "
        f"and adds {number(evaluation.bad.mean)} bad requests"
        for evaluation in recommendation.confirmed
    ]
    alt = (
        f"Budget that a release spends on average against time to full traffic, for all candidates: {'; '.join(parts)}."
    )
    return _chart("candidates", partial(recommendation_plots.pareto, recommendation), alt, height=4.6, legend=False)


def power(sensitivity: Sensitivity) -> Picture:
    """How often each strategy stops the new version, against how bad it is."""

    def draw(ax: Axes) -> None:
        several = len(sensitivity.swept.cells[0].batches[0].strategies) > 1
        sweep_plots.power_curve(sensitivity.swept, "strategy" if several else None, {}, ax=ax)
        if sensitivity.recommended is not None:
            frame = sensitivity.recommended.frame
            rows = frame[frame["estimate"] == "stopped"]
            looks = look(len(sensitivity.swept.cells[0].scenario.strategies))
            axis = sweep_plots.severity_axis(sensitivity.recommended)
            severities = dict(zip(axis.labels, axis.values, strict=True))
            at = np.array([severities[label] for label in rows["severity"]])
            mean, low, high = (np.asarray(rows[name], float) for name in ("mean", "low", "high"))
            ax.errorbar(
                at, mean, yerr=[mean - low, high - mean], color=looks["color"], capsize=2, marker="D", markersize=5,
                linewidth=2, label="recommended",
            )  # fmt: skip
        if ax.figure.get_figwidth() < WIDTH:  # type: ignore[union-attr]
            ax.tick_params(axis="x", rotation=60)
        if sensitivity.described is not None:
            ax.axvline(sensitivity.described, color=COLOURS[6], linewidth=0.8, linestyle=(0, (2, 2)))
            ax.annotate(
                "the file", (sensitivity.described, 1.03), xycoords=ax.get_xaxis_transform(), ha="center",
                va="bottom", fontsize=9, annotation_clip=False,
            )  # fmt: skip

    parts = []
    for swept, word in ((sensitivity.swept, ""), (sensitivity.recommended, "recommended: ")):
        for name in swept.cells[0].batches[0].strategies if swept is not None else ():
            assert swept is not None
            rates = [row for row in swept.rows if (row["strategy"], row["estimate"]) == (name, "stopped")]
            caught = next((row["severity"] for row in rates if row["mean"] >= 0.95), None)
            first, last = rates[0], rates[-1]
            ends = f"{share(first['mean'])} at {first['severity']}, {share(last['mean'])} at {last['severity']}"
            from_where = (
                "never in 95% of the rollouts" if caught is None else f"in 95% of the rollouts from {caught} on"
            )
            parts.append(f"{word}{name} {ends}, {from_where}")
    alt = f"How often the new version is stopped, against how bad it is: {'; '.join(parts)}."
    return _chart("power", draw, alt, height=4.6)


def swatch(index: int) -> str:
    """A short line in the colour and line style of a scenario's `index`-th strategy; beside its name it says nothing new."""
    key = look(index)
    dashes = (
        {"-": "", "--": "7 3", "-.": "8 3 2 3"}.get(key["linestyle"]) if isinstance(key["linestyle"], str) else None
    )
    if dashes is None:
        dashes = " ".join(str(2 * part) for part in key["linestyle"][1])
    colour = key["color"].lower()
    return (
        f'<svg class="swatch" viewBox="0 0 26 8" width="26" height="8" aria-hidden="true"><line x1="0" y1="4" x2="26" y2="4" '
        f'stroke-width="3" stroke-dasharray="{dashes}" style="stroke: var(--x{colour[1:]}, {colour})"/></svg>'
    )


def _course(run: RunResult) -> str:
    """What became of the new version's weight."""
    highest = max((shift.weight for shift in run.shifts), default=0.0)
    text = f"reaches {share(highest)} of the traffic and is {run.outcome_text}"
    return text if run.time_to_rollback_s is None else f"{text} after {show_duration(run.time_to_rollback_s)}"


@contextmanager
def _page() -> Iterator[None]:
    """A context in which figures have the page's style; the reader's browser has the letters that our font lacks."""
    with styled(_PAGE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph ")
        yield


def _chart(key: str, draw: Callable[..., object], alt: str, *, height: float, legend: bool = True) -> Picture:
    """One chart without a title, wide and narrow; with a `legend` below it, or without where it has one itself."""
    drawn = []
    for width, name in ((WIDTH, key), (NARROW, f"{key}-n")):
        with _page():
            figure, ax = plt.subplots(figsize=(width, min(height, 0.9 * height + 0.2)), layout="constrained")
            draw(ax=ax)
            ax.set_title("")
            if legend and ax.get_legend_handles_labels()[1]:
                lines = legend_of(figure, ax, width, letters=int(width * 10.5) - 8)
                figure.set_figheight(height + 0.2 * max(0, lines - 2))
        drawn.append(_inline(figure, name, alt))
    return Picture(svg=drawn[0], narrow=drawn[1], alt=alt)


def _inline(figure: Figure, key: str, alt: str) -> str:
    """The figure as an element of a page; `key` makes its ids its own."""
    file = io.StringIO()
    with _page():
        figure.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    plt.close(figure)
    root = ET.fromstring(valid_svg(file.getvalue()))  # noqa: S314 - matplotlib wrote it a line ago
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        if "id" in element.attrib:
            element.set("id", f"{key}-{element.attrib['id']}")
        for link in _LINKS:
            if (target := element.attrib.pop(link, None)) is not None:
                element.set("href", f"#{key}-{target[1:]}" if target.startswith("#") else target)
        for name, value in list(element.attrib.items()):
            if "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{key}-"))
        if "style" in element.attrib:
            element.set("style", re.sub(r"#([0-9a-f]{6})\b", r"var(--x\1, #\1)", element.attrib["style"]))
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", escaped(alt))
    return ET.tostring(root, encoding="unicode")
