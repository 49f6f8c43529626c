"""What the hours of the day say: their table, and the answer in a line for each strategy."""

from __future__ import annotations

from rollout_sim.core.formatting import NONE, duration_with_interval, number_with_interval
from rollout_sim.study.when import MEASURES, Hours
from rollout_sim.views.cells import Cell, EstimatedDuration, EstimatedNumber, Text
from rollout_sim.views.tables import Column, Table


def when_table(result: Hours) -> Table:
    """A row per strategy: the hours with the fewest and the most bad requests, and those that find the fault first and last."""
    columns = (
        Column(title="strategy", names=True),
        Column(title="fewest\nbad requests", interval=True), Column(title="at", below="at"),
        Column(title="most\nbad requests", interval=True), Column(title="at ", below="at"),
        Column(title="found\nsoonest after", interval=True), Column(title="at  ", below="at"),
        Column(title="found\nlatest after", interval=True), Column(title="at   ", below="at"),
    )  # fmt: skip
    return Table(
        columns=columns, rows=tuple(_row(result, strategy) for strategy in result.columns), caption="hours are UTC"
    )


def _row(result: Hours, strategy: str) -> tuple[Cell, ...]:
    cells: list[Cell] = [Text(strategy)]
    for measure in MEASURES:
        ends = result.extremes(strategy, measure)
        for hour, estimate in ends or ((None, None), (None, None)):
            cells.append(EstimatedNumber(estimate) if measure == MEASURES[0] else EstimatedDuration(estimate))
            cells.append(Text(NONE if hour is None else f"{hour:02}:00"))
    return tuple(cells)


def answers(result: Hours) -> list[str]:
    """For each strategy the hour to deploy at and the one to avoid, as far as the intervals tell them apart."""
    lines = []
    for strategy in result.columns:
        bad, time = (result.extremes(strategy, measure) for measure in MEASURES)
        if bad is None:
            continue
        (best, least), (worst, most) = bad
        if result.told_apart(strategy, MEASURES[0]):
            line = (
                f"deploy at {best:02}:00 UTC, where {result.fault} add {number_with_interval(least)} bad requests; "
                f"the worst hour is {worst:02}:00 with {number_with_interval(most)}"
            )
        else:
            line = f"no hour is better than another by bad requests: {number_with_interval(least)} to {number_with_interval(most)}"
        if time is not None and result.told_apart(strategy, MEASURES[1]):
            (soon, first), (late, last) = time
            line += (
                f"; the fault is found soonest at {soon:02}:00 (after {duration_with_interval(first)}), "
                f"latest at {late:02}:00 (after {duration_with_interval(last)})"
            )
        lines.append(f"{strategy}: {line}")
    return lines
