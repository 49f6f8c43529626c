"""Tables: the values that results hand over, one row per strategy, and their two renderers: text and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.statistics import Estimate
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import escaped
from rollout_sim.run.result import RunResult
from rollout_sim.scenario.goals import Goal
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import Comparison
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.search import Recommendation
from rollout_sim.study.sweep import Sweep
from rollout_sim.views.cells import (
    Average,
    Cell,
    Count,
    Duration,
    EstimatedNumber,
    EstimatedShare,
    MedianDuration,
    Share,
    Text,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's heading, in lines separated by newlines.

    With `interval` each cell is an estimate, and the heading says at which level its interval is. `names` marks a column
    of names, which stand to the left; numbers stand to the right. Where `below` is not empty, a page shows the cell
    below the one to its left, after that word, and needs no column for it.
    """

    title: str
    interval: bool = False
    names: bool = False
    below: str = ""

    @property
    def heading(self) -> str:
        """The title and, for an estimate, the level of the intervals."""
        if not self.interval:
            return self.title
        return f"{self.title} [95%]" if "\n" in self.title else f"{self.title}\n[95%]"

    @property
    def line(self) -> str:
        """The title on one line."""
        return self.title.replace("\n", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns, and rows with a cell for each of them; `caption` stands below."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns' headings."""
        return tuple(column.heading for column in self.columns)

    @property
    def texts(self) -> tuple[tuple[str, ...], ...]:
        """Each row's cells as text."""
        return tuple(tuple(cell.text for cell in row) for row in self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """The values as a DataFrame: names as the index, a column for each part of a cell's `values`."""
        import pandas as pd

        rows = [
            {f"{column.line.removesuffix(' median / p95')}{ending}": value for column, cell in zip(self.columns, row, strict=True)
             for ending, value in cell.values.items()}
            for row in self.rows
        ]  # fmt: skip
        return pd.DataFrame(rows).set_index([column.line for column in self.columns[:-1] if column.names])

    def for_terminal(self, width: int) -> list[RichTable]:
        """The table as one of `rich` if it fits into `width` characters, else turned around, a few rows at a time.

        Nothing is ever cut: a row on its own is written however narrow the terminal is.
        """
        names = sum(column.names for column in self.columns)
        columns = list(zip(self.headings, *self.texts, strict=True))
        if _needed(columns) <= width:
            return [_rich_table(self.headings, self.texts, names, self.caption)]
        headings = tuple(heading.replace("\n", " ") for heading in self.headings)
        tables, rows = [], list(self.texts)
        while rows:
            count = 1
            while count < len(rows) and _needed([headings, *rows[: count + 1]]) <= width:
                count += 1
            part, rows = rows[:count], rows[count:]
            lines = list(zip(headings, *part, strict=True))
            tables.append(_rich_table(lines[0], tuple(lines[1:]), 1, "" if rows else self.caption))
        return tables

    def html(self, heading: str = "") -> str:
        """The table in HTML under a heading, all text escaped: what a notebook shows."""
        sides = ["left" if column.names else "right" for column in self.columns]

        def line(tag: str, texts: Sequence[str]) -> str:
            parts = [
                f'<{tag} style="text-align:{side}">{escape(text).replace(chr(10), "<br>")}</{tag}>'
                for side, text in zip(sides, texts, strict=True)
            ]
            return f"<tr>{''.join(parts)}</tr>"

        top = f"<p><b>{escape(heading)}</b></p>" if heading else ""
        below = f"<p>{escape(self.caption)}</p>" if self.caption else ""
        body = "".join(line("td", row) for row in self.texts)
        return f"{top}<table><thead>{line('th', self.headings)}</thead><tbody>{body}</tbody></table>{below}"

    @property
    def page_columns(self) -> tuple[str, ...]:
        """The headings of a page, where columns with a `below` are lines of the cell to their left."""
        return tuple(column.line for column in self.columns if not column.below)

    @property
    def page_rows(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """For each row of a page the lines of each of its cells."""
        rows = []
        for row in self.rows:
            cells: list[tuple[str, ...]] = []
            for column, cell in zip(self.columns, row, strict=True):
                if column.below:
                    cells[-1] += (f"{column.below} {cell.text}",)
                else:
                    cells.append(cell.lines)
            rows.append(tuple(cells))
        return tuple(rows)


def _needed(columns: Sequence[Sequence[str]]) -> int:
    """Characters that a table with these columns takes."""
    return sum(max(len(line) for text in column for line in text.split("\n")) + 3 for column in columns)


def _rich_table(headings: tuple[str, ...], rows: tuple[tuple[str, ...], ...], names: int, caption: str) -> RichTable:
    """A table of texts; the first `names` columns stand to the left."""
    from rich import box
    from rich.table import Table as RichTable

    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption=caption or None)
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k < names else "right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def run_table(results: Sequence[RunResult]) -> Table:
    """What came out of one run per strategy."""
    first = results[0]
    with_baseline = first.baseline is not None
    with_users = any(result.users is not None for result in results)
    columns = [Column(title="strategy", names=True), Column(title="outcome", names=True)]
    titles = ["rolled back\nafter", "at 100%\nafter", "requests", "bad\nrequests", "by new\nversion"]
    for slo in first.scenario.slos:
        titles += [f"budget spent\n{escaped(slo.name)}", *(["of it by\nrollout"] if with_baseline else [])]
    titles += ["cold\nstarts", "throttles"]
    titles += ["users\nreached", "reached\nwhile split", "users\naffected"] if with_users else []
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        back = result.time_to_rollback_s if result.on_call_rollback_s is None else result.on_call_rollback_s
        by_new = result.bad_requests_new_version / result.bad_requests if result.bad_requests else None
        cells: list[Cell] = [Text(result.strategy), Text(result.outcome_text)]
        cells += [Duration(back), Duration(result.time_to_full_s)]
        cells += [Count(result.requests), Count(result.bad_requests), Share(by_new)]
        for slo in first.scenario.slos:
            cells.append(Share(result.budget(slo).spent))
            cells += [Share(result.caused(slo))] if with_baseline else []
        cells += [Count(result.cold_starts), Count(result.throttles)]
        if with_users:
            cells += [Share(result.users_reached), Share(result.users_reached_while_split)]
            cells += [Share(result.users_affected)]
        rows.append(tuple(cells))
    return Table(columns=(*columns, *(Column(title=title) for title in titles)), rows=tuple(rows))


def version_table(results: Sequence[RunResult]) -> Table:
    """Each version's invocations and environments, averaged over the run."""
    titles = ("invocations", "errors", "cold\nstarts", "P(cold)", "environments", "running", "idle")
    columns = (Column(title="strategy", names=True), Column(title="version", names=True))
    rows: list[tuple[Cell, ...]] = [
        (
            Text(result.strategy),
            Text(number),
            Count(version.invocations),
            Count(version.errors),
            Count(version.cold_starts),
            Share(version.cold_start_probability),
            Average(version.environments),
            Average(version.running),
            Average(version.idle),
        )
        for result in results
        for number, version in result.versions.items()
        if version.invocations
    ]
    return Table(columns=(*columns, *(Column(title=title) for title in titles)), rows=tuple(rows))


def scenario_table(scenario: Scenario) -> Table:
    """What a scenario describes, part by part, each in the words of its file."""
    data = scenario.dump()
    function = dict(data["function"])
    named: dict[str, Mapping[str, Any]] = {"version": function.pop("versions"), "alias": function.pop("aliases")}
    lines = [("function", function.pop("name"), _one_line(function))]
    sources, slos = (map(dict, data.get(part, ())) for part in ("traffic", "slos"))
    lines += [("source", source.pop("name", source["alias"]), _one_line(source)) for source in sources]
    lines += [("SLO", slo.pop("name"), _one_line(slo)) for slo in slos]
    named |= {"alarm": data.get("alarms", {}), "strategy": data.get("strategies", {})}
    lines += [(part, name, _one_line(value)) for part, values in named.items() for name, value in values.items()]
    for part in ("rollout", "incident", "on_call", "promotions", "risk", "goal"):
        lines += [(part, "", _one_line(data[part]))] if part in data else []
    return Table(
        columns=tuple(Column(title=title, names=True) for title in ("part", "name", "description")),
        rows=tuple(tuple(map(Text, line)) for line in lines),
    )


def _one_line(value: Any) -> str:
    """Plain data as YAML on one line, without braces around it."""
    if isinstance(value, str):
        return value
    text = to_yaml(value, layout="line")
    return text[1:-1] if text[:1] + text[-1:] in ("{}", "[]") else text


MANY_WAITING: Final = 0.01
"""The share of requests without an answer at the horizon from which on a table of estimates has a column for them."""


def comparison_table(comparison: Comparison) -> Table:
    """One row per strategy; each cell an estimate with its 95% interval."""
    slos, twin = comparison.scenario.slos, comparison.twin
    waiting = any(
        columns["pending"].mean() > MANY_WAITING * (columns["requests"] + columns["pending"]).mean()
        for columns in comparison.columns.values()
    )
    columns = [Column(title="strategy", names=True), Column(title="stopped", interval=True)]
    columns += [] if twin is None else [Column(title="good version\nstopped", interval=True)]
    columns += [Column(title="rolled back after\nmedian / p95"), Column(title="bad requests\nmean", interval=True)]
    for slo in slos:
        columns += [
            Column(title=f"{escaped(slo.name)} budget\nmean", interval=True),
            Column(title=f"{escaped(slo.name)}\np95", below="p95"),
        ]
    columns += [Column(title="unanswered\nat the end", interval=True)] if waiting else []
    rows: list[tuple[Cell, ...]] = []
    for name in comparison.columns:
        estimates = comparison.estimates(name)
        cells: list[Cell] = [Text(name), EstimatedShare(estimates["stopped"])]
        cells += [] if twin is None else [EstimatedShare(twin.estimates(name)["stopped"])]
        cells += [MedianDuration(estimates["time_to_rollback_s"]), EstimatedNumber(estimates["bad_requests"])]
        for slo in slos:
            budget = estimates[f"budget_spent.{slo.name}"]
            cells += [EstimatedShare(budget), Share(None if budget is None else budget.quantiles["p95"][0])]
        cells += [EstimatedNumber(estimates["pending"])] if waiting else []
        rows.append(tuple(cells))
    return Table(columns=tuple(columns), rows=tuple(rows), caption=comparison.undecided)


SHOWN: Final = 40
"""Rows of a sweep's table; the file has all of them."""


def sweep_table(swept: Sweep, rest: str = "sweep.csv", *, most: int | None = SHOWN) -> Table:
    """One row per cell and strategy, the first `most` of them; `rest` says where all are."""
    names = [axis.name for axis in swept.axes]
    lines: dict[tuple[str, ...], dict[str, Cell]] = {}
    for row in swept.rows:
        cells = lines.setdefault((*(row[name] for name in names), row["strategy"]), {"plane": Text(row["engine"])})
        estimate = Estimate(n=row["n"], mean=row["mean"], low=row["low"], high=row["high"], quantiles={})
        stopped = row["estimate"] == "stopped"
        cells[row["estimate"]] = EstimatedShare(estimate) if stopped else EstimatedNumber(estimate)
    rows = tuple(
        (*map(Text, values), *(cells.get(name, Text("-")) for name in ("stopped", "bad_requests", "plane")))
        for values, cells in lines.items()
    )
    return Table(
        columns=(
            *(Column(title=name, names=True) for name in (*names, "strategy")),
            Column(title="stopped", interval=True),
            Column(title="bad requests\nmean", interval=True),
            Column(title="plane"),
        ),
        rows=rows[:most],
        caption=f"{len(rows) - most:,} more rows in {rest}" if most is not None and len(rows) > most else "",
    )


def contender_table(recommendation: Recommendation) -> Table:
    """The confirmed candidates and the contenders, each estimate with its 95% interval; the verdict by the intervals last."""
    columns = (
        Column(title="strategy", names=True),
        Column(title="alarm", names=True),
        Column(title="caught", interval=True),
        Column(title="good version\nstopped", interval=True),
        Column(title="bad requests added\nmean", interval=True),
        Column(title="budget\np95", interval=True),
        Column(title="full after"),
        Column(title="limits of\nthe goal"),
    )
    confirmed = recommendation.confirmed
    fresh = {evaluation.candidate.label for evaluation in confirmed}
    others = [evaluation for evaluation in recommendation.contenders if evaluation.candidate.label not in fresh]
    return Table(columns=columns, rows=tuple(_contender(row, recommendation.goal) for row in (*confirmed, *others)))


def _contender(evaluation: Evaluation, goal: Goal) -> tuple[Cell, ...]:
    return (
        Text(evaluation.candidate.name),
        Text(evaluation.candidate.alarm_text),
        EstimatedShare(evaluation.caught),
        EstimatedShare(evaluation.false_rollback),
        EstimatedNumber(evaluation.bad),
        EstimatedShare(evaluation.budget),
        Duration(evaluation.time_to_full),
        Verdict(evaluation.limits(goal)),
    )
