"""Figures of a report: each picture as SVG, with a text that says what it shows to those who cannot see it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from rollout_sim import comparison_plots, plots, recommendation_plots, sweep_plots
from rollout_sim.plots_style import write_svg
from rollout_sim.plots_traffic import traffic
from rollout_sim.tables import number, share, shares
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rollout_sim.comparison import Comparison
    from rollout_sim.recommendation import Recommendation
    from rollout_sim.result import RunResult
    from rollout_sim.sweeps import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure for a page: `source` is a data URI of its SVG, `text` its alternative, `caption` stands below it."""

    source: str
    text: str
    caption: str


def picture(figure: Figure, text: str, caption: str) -> Picture:
    """The figure as SVG: a file of its own inside the page, so that its names cannot meet those of another."""
    drawn = io.BytesIO()
    write_svg(figure, drawn)
    source = "data:image/svg+xml;base64," + base64.b64encode(drawn.getvalue()).decode("ascii")
    return Picture(source=source, text=text, caption=caption)


def one_run(results: Sequence[RunResult]) -> list[Picture]:
    """Error budget and burn rate of one run per strategy."""
    first = results[0]
    if not first.scenario.slos:
        return []
    slo = first.scenario.slos[0]
    left = "; ".join(f"{one.strategy} {share(1 - one.budget(slo).spent)}" for one in results)
    back = "; ".join(
        f"{one.strategy} after {show_duration(one.time_to_rollback_s)}"
        for one in results
        if one.time_to_rollback_s is not None
    )
    seed = f"One run, seed {first.seed}: an anecdote that shows how it happens, not how often."
    return [
        picture(
            plots.error_budget_figure(results),
            f"Error budget left over time, a line per strategy. Left of the {slo.name} budget at the end: {left}.",
            seed,
        ),
        picture(
            plots.burn_rate_figure(results),
            f"How fast the {slo.name} budget burns over time, a line per strategy. Rolled back: {back or 'none'}.",
            "A burn rate of 1 spends the budget in exactly one window of the SLO.",
        ),
    ]


def traffic_shift(results: Sequence[RunResult]) -> Picture:
    """How the traffic moves from version to version."""
    first = results[0]
    full = "; ".join(f"{one.strategy} {show_duration(one.time_to_full_s)}" for one in results)
    return picture(
        traffic(results),
        f"Weight of the new version, invocations and error rates by version over time, a row per strategy. "
        f"At 100% after: {full}.",
        f"The same run, seed {first.seed}.",
    )


def compared(comparison: Comparison) -> Picture:
    """How often each strategy stops the version, what it costs, and when."""
    stopped = "; ".join(f"{name} {shares(comparison.estimates(name)['stopped'])}" for name in comparison.columns)
    return picture(
        comparison_plots.comparison_figure(comparison),
        f"How often each strategy stops the version, what it costs and when. Stopped, with 95% intervals: {stopped}.",
        f"{comparison.replications:,} replications of each strategy, with 95% intervals.",
    )


def power(swept: Sweep) -> Picture | None:
    """How often each strategy stops a version, against how bad it is; None where there is nothing to draw."""
    figure = sweep_plots.power_figure(swept)
    if figure is None:
        return None
    rows = [row for row in swept.rows if row["estimate"] == "stopped"]
    said = "; ".join(f"{row['strategy']} at {row['severity']} {share(row['mean'])}" for row in rows)
    return picture(
        figure,
        f"Probability of being stopped against the severity of the fault, a line per strategy: {said}.",
        f"{swept.replications:,} replications of each point, with 95% intervals; 0% is a good version.",
    )


def pareto(found: Recommendation) -> Picture:
    """What the candidates of the search cost, and how long they take."""
    count = len({one.candidate.label for one in (*found.explored, *found.contenders, *found.confirmed)})
    if found.winner is None:
        said = "None keeps the goal."
    else:
        first = found.confirmed[0]
        said = (
            f"Recommended: {found.winner.label}, {number(first.bad.mean)} bad requests per release, "
            f"full traffic after {show_duration(first.time_to_full)}."
        )
    return picture(
        recommendation_plots.pareto_figure(found),
        f"Expected error budget against minutes to full traffic of the {count} candidates that were simulated. {said}",
        "Everything that the search simulated; the Pareto front joins what no other candidate beats in both.",
    )
