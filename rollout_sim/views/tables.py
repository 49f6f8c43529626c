"""Tables: the values that results hand over, one row per strategy, and their two renderers: text and HTML."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rollout_sim.core.formatting import NONE
from rollout_sim.core.statistics import Estimate
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.errors import escaped
from rollout_sim.planes.polling import PolledTotals
from rollout_sim.run.result import RunResult, VersionSummary
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.change import Change
from rollout_sim.study.comparison import Comparison
from rollout_sim.study.judgement import goal_of, limits_by_name, limits_of
from rollout_sim.study.recommend.hypotheses import Evaluation
from rollout_sim.study.recommend.limits import Limit
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.sweep import Sweep
from rollout_sim.views.cells import (
    Average,
    Cell,
    Count,
    Duration,
    EstimatedDuration,
    EstimatedNumber,
    EstimatedShare,
    Judgement,
    MedianDuration,
    Share,
    Text,
    Tone,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    from rollout_sim.control.slo import Objective

T = TypeVar("T")


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

    def for_terminal(self, width: int) -> list[RichTable | RichText]:
        """The table as one of `rich`, with its caption, in lines of `width` characters: one row per row, never turned around.

        Where a line for each row is too wide, intervals stand below their values; where that is too wide, too, the last
        columns stand in tables of their own under the same names. Nothing is ever cut, however narrow the terminal is.
        """
        lines = [[_Entry((cell.text,), (cell.tone,)) for cell in row] for row in self.rows]
        one_line = _Layout(self.headings, lines, self.names)
        if one_line.width <= width:
            return [one_line.table(), *_captions(self.caption)]
        entries = [self._entries(row) for row in self.rows]
        names = sum(column.names and not column.below for column in self.columns)
        parts = _Layout(self.page_headings, entries, names).narrowed(width).parts(width)
        level = "95% intervals below the values" if any(column.interval for column in self.columns) else ""
        return [*(part.table() for part in parts), *_captions(level, self.caption)]

    @property
    def names(self) -> int:
        """How many columns of names stand to the left."""
        return next((k for k, column in enumerate(self.columns) if not column.names), len(self.columns))

    def markdown(self) -> str:
        """The table in GitHub's Markdown, all text escaped, with the caption as a line below it."""

        def line(texts: Sequence[str]) -> str:
            return f"| {' | '.join(texts)} |"

        headings = [in_markdown_text(heading.replace("\n", " ")) for heading in self.headings]
        rule = line(["---" if column.names else "---:" for column in self.columns])
        body = [line([in_markdown_text(text) for text in row]) for row in self.texts]
        below = ["", in_markdown_text(self.caption)] if self.caption else []
        return "\n".join([line(headings), rule, *body, *below])

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
    def page_headings(self) -> tuple[str, ...]:
        """The columns' titles without the level of the intervals, which a caption says once where they stand below their values."""
        return tuple(column.title for column in self.columns if not column.below)

    @property
    def page_rows(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """For each row of a page the lines of each of its cells."""
        return tuple(tuple(entry.lines for entry in self._entries(row)) for row in self.rows)

    def _entries(self, row: tuple[Cell, ...]) -> list[_Entry]:
        """The cells of a row on a page, where those with a `below` are lines of the one to their left."""
        entries: list[_Entry] = []
        for column, cell in zip(self.columns, row, strict=True):
            if not column.below:
                entries.append(_Entry(cell.lines, (cell.tone,) * len(cell.lines)))
            elif cell.text != NONE:
                above = entries[-1]
                entries[-1] = _Entry((*above.lines, f"{column.below} {cell.text}"), (*above.tones, cell.tone))
        return entries


@dataclass(frozen=True, slots=True)
class _Entry:
    """The lines of a cell, and how each of them is judged."""

    lines: tuple[str, ...]
    tones: tuple[Tone, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Columns of a terminal: their headings, each row's entries, and how many columns to the left are names."""

    headings: tuple[str, ...]
    rows: list[list[_Entry]]
    names: int
    most: tuple[int, ...] = ()
    """By column how wide it may be; names and headings are broken at words to keep to it."""

    @property
    def widths(self) -> list[int]:
        """By column the characters that it takes."""
        widths = []
        for k, heading in enumerate(self.headings):
            texts = [line for row in self.rows for line in row[k].lines]
            wide = max(len(line) for text in (heading, *texts) for line in text.split("\n"))
            widths.append(min(wide, self.most[k]) if self.most else wide)
        return widths

    @property
    def width(self) -> int:
        """The characters of a line."""
        return sum(self.widths) + _BETWEEN * len(self.headings)

    @property
    def telling(self) -> int:
        """How many of the names, from the left, tell the rows apart: one if it can."""
        for count in range(1, self.names):
            if len({tuple(entry.lines for entry in row[:count]) for row in self.rows}) == len(self.rows):
                return count
        return self.names

    def narrowed(self, width: int) -> _Layout:
        """This layout for lines of `width` characters: headings no wider than what stands below them, names broken if need be."""
        longest = max((len(word) for row in self.rows for line in row[0].lines for word in line.split()), default=0)
        least = []
        for k, heading in enumerate(self.headings):
            lines = [line for row in self.rows for line in row[k].lines]
            words = max(len(word) for word in heading.split())
            values = longest if k == 0 else max(map(len, lines), default=0)
            least.append(max(words, min(values, _NAME) if k < self.names else values))
        spare = width - sum(least) - _BETWEEN * len(least)
        if spare < 0:  # it takes several tables, so names have room
            first = min(max(width // 3, min(longest, width * 2 // 5)), self.widths[0])  # a long word stays whole
            others = (2 * (width // 3) - first) // max(self.names - 1, 1)
            room = (first, *(min(others, wide) for wide in self.widths[1 : self.names]))[: self.names]
            least = [*map(max, least, room), *least[self.names :]]
            spare = 0
        most = []
        for k, wide in enumerate(self.widths):
            extra = min(spare, wide - least[k])
            spare -= extra
            most.append(min(least[k] + extra, width - _BETWEEN))
        return replace(self, most=tuple(most))

    def parts(self, width: int) -> list[_Layout]:
        """The columns in as many tables as are needed for lines of `width` characters, each with the names that tell rows apart."""
        widths, telling = self.widths, list(range(self.telling))
        parts, chosen, taken = [], list(range(self.names)), sum(widths[: self.names]) + _BETWEEN * self.names
        for k in range(self.names, len(widths)):
            if taken + widths[k] + _BETWEEN > width and any(column >= self.names for column in chosen):
                parts.append(chosen)
                chosen, taken = telling.copy(), sum(widths[k] + _BETWEEN for k in telling)
            chosen.append(k)
            taken += widths[k] + _BETWEEN
        return [self._only(columns) for columns in (*parts, chosen)]

    def _only(self, columns: list[int]) -> _Layout:
        return _Layout(
            tuple(self.headings[k] for k in columns),
            [[row[k] for k in columns] for row in self.rows],
            sum(k < self.names for k in columns),
            tuple(self.most[k] for k in columns) if self.most else (),
        )

    def table(self) -> RichTable:
        """A table of `rich`: what stands below a value is dim, and a judged cell has its colour."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text as RichText

        table = RichTable(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
        )
        widths = self.widths
        for k, heading in enumerate(self.headings):
            lines = [part for line in heading.split("\n") for part in textwrap.wrap(line, widths[k]) or [""]]
            table.add_column(
                RichText("\n".join(lines)), justify="left" if k < self.names else "right", vertical="top", overflow="fold",
                no_wrap=False, width=widths[k],
            )  # fmt: skip
        for row in self.rows:
            cells = []
            for entry in row:
                text = RichText()
                for position, (line, tone) in enumerate(zip(entry.lines, entry.tones, strict=True)):
                    text.append(
                        f"\n{line}" if position else line, style=f"{'dim ' if position else ''}{_COLOURS[tone]}"
                    )
                cells.append(text)
            table.add_row(*cells)
        return table


def _captions(*texts: str) -> list[RichText]:
    """What stands below a table, a line each, without what is empty."""
    from rich.text import Text as RichText

    return [RichText(text, style="dim") for text in texts if text]


_BETWEEN: Final = 2
"""Characters between two columns."""
_NAME: Final = 18
"""Characters of a name that stay on one line where they are one word."""
_COLOURS: Final[dict[Tone, str]] = {"": "", "good": "green", "bad": "bold red", "open": "yellow"}


def in_markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, also in a cell of a table; commands keep their backticks."""
    return re.sub(r"([\\*_\[\]<>|~])", r"\\\1", text)


def repeated(columns: Sequence[Column], rows: Sequence[tuple[Cell, ...]]) -> str:
    """Which rows are the same as an earlier one, or the same but for one column; empty where none is.

    The first column is the name.
    """
    told = []
    for k, (name, *cells) in enumerate(rows):
        for earlier, *others in rows[:k]:
            apart = [
                column.line for column, cell, other in zip(columns[1:], cells, others, strict=True) if cell != other
            ]
            if len(apart) <= (len(cells) > _ALIKE):
                but = f" but for: {apart[0]}" if apart else ""
                told.append(f"{name.text}: same as {earlier.text}{but}")
                break
    return "\n".join(told)


_ALIKE: Final = 4
"""A row of more cells than this may differ in one and is the same all the same."""


Field = tuple[Column, Callable[[T], Cell]]
"""A column, and how its cell is made of what a row is about."""


def table_of(items: Iterable[T], fields: Sequence[Field[T]], caption: str = "") -> Table:
    """A table with a row for each item."""
    rows = tuple(tuple(cell(item) for _, cell in fields) for item in items)
    return Table(columns=tuple(column for column, _ in fields), rows=rows, caption=caption)


def words_table(titles: Sequence[str], rows: Iterable[Sequence[str]], names: int = 1) -> Table:
    """A table of texts; that many columns to the left are names."""
    columns = tuple(Column(title=title, names=number < names) for number, title in enumerate(titles))
    return Table(columns=columns, rows=tuple(tuple(map(Text, row)) for row in rows))


def run_table(results: Sequence[RunResult]) -> Table:
    """What came out of one run per strategy; last, whether the outcome is the right one for the version."""
    scenario = results[0].scenario
    new = scenario.new
    fields: list[Field[RunResult]] = [
        (Column(title="strategy", names=True), lambda run: Text(run.strategy)),
        (Column(title="outcome", names=True), lambda run: Text(run.outcome_text)),
        (Column(title="rolled back\nafter", below="after"), _rolled_back_after),
        (Column(title="all traffic\nafter", below="full after"), lambda run: Duration(run.time_to_full_s)),
        (Column(title="requests"), lambda run: Count(run.requests)),
        (Column(title="bad\nrequests"), lambda run: Count(run.bad_requests)),
    ]
    if new is not None:
        fields.append((Column(title=f"of them by\nversion {new}", below="new"), _bad_by_new_version))
    for slo in scenario.slos:
        spent = Column(title=f"{escaped(slo.name)}\nbudget spent")
        fields.append((spent, partial(_budget_spent, slo)))
        if results[0].baseline is not None:
            added = Column(title="added by\nthe rollout", below="added")
            fields.append((added, partial(_budget_added, slo)))
    managed = scenario.function.managed is not None  # no invocation starts cold there
    if not managed:
        fields.append((Column(title="cold\nstarts"), lambda run: Count(run.cold_starts)))
    below = "" if managed else "throttled"
    fields.append((Column(title="throttled", below=below), lambda run: Count(run.throttles)))
    if any(result.users is not None for result in results):
        split = Column(title="reached\nwhile split", below="while split")
        fields += [
            (Column(title="users\nreached"), lambda run: Share(run.users_reached)),
            (split, lambda run: Share(run.users_reached_while_split)),
            (Column(title="users with a\nbad request", below="bad for"), lambda run: Share(run.users_affected)),
        ]
    if new is not None:
        bad = bool(scenario.function.versions[new].faults)
        fields.append((Column(title="verdict"), lambda run: Judgement(run.outcome, bad)))
    table = table_of(results, fields)
    return replace(table, caption=repeated(table.columns, table.rows))


def _rolled_back_after(run: RunResult) -> Cell:
    return Duration(run.time_to_rollback_s if run.on_call_rollback_s is None else run.on_call_rollback_s)


def _budget_spent(slo: Objective, run: RunResult) -> Cell:
    return Share(run.budget(slo).spent)


def _budget_added(slo: Objective, run: RunResult) -> Cell:
    return Share(run.caused(slo))


def _bad_by_new_version(run: RunResult) -> Cell:
    return Share(run.bad_requests_new_version / run.bad_requests if run.bad_requests else None)


def record_table(results: Sequence[RunResult]) -> Table:
    """What became of the records of queues and streams: by strategy, or by strategy and source where there are several."""
    several = len(results[0].polled) > 1
    fields: list[Field[tuple[RunResult, PolledTotals]]] = [
        (Column(title="strategy", names=True), lambda row: Text(row[0].strategy)),
        (Column(title="source", names=True), lambda row: Text(row[1].source)),
        (Column(title="records"), lambda row: Count(row[1].arrived)),
        (Column(title="bad"), lambda row: Count(row[1].bad)),
        (Column(title="lost"), lambda row: Count(row[1].lost)),
        (Column(title="waiting"), lambda row: Count(row[1].waiting)),
        (Column(title="age\np50"), lambda row: Duration(row[1].age_quantile(0.5))),
        (Column(title="age\np95", below="p95"), lambda row: Duration(row[1].age_quantile(0.95))),
        (Column(title="longest\nbacklog"), lambda row: Count(int(row[1].backlog.max()))),
        (Column(title="at the\nrollback", below="at the rollback"), lambda row: Count(row[0].backlog_at_rollback)),
        (Column(title="drained\nafter"), lambda row: Duration(row[0].drain_time_s)),
    ]
    if not several:
        del fields[1]
    rows = [(result, source) for result in results for source in result.polled]
    return table_of(rows, fields, "at the rollback, drained after: all sources together" if several else "")


def version_table(results: Sequence[RunResult]) -> Table:
    """Each version's invocations, with how many began cold where any can, and its environments, averaged over the run."""
    fields: list[Field[tuple[str, str, VersionSummary]]] = [
        (Column(title="strategy", names=True), lambda row: Text(row[0])),
        (Column(title="version", names=True), lambda row: Text(row[1])),
        (Column(title="invocations"), lambda row: Count(row[2].invocations)),
        (Column(title="errors"), lambda row: Count(row[2].errors)),
    ]
    if results[0].scenario.function.managed is None:
        fields += [
            (Column(title="cold\nstarts"), lambda row: Count(row[2].cold_starts)),
            (Column(title="cold per\ninvocation"), lambda row: Share(row[2].cold_start_probability)),
        ]
    fields += [
        (Column(title="environments\non average"), lambda row: Average(row[2].environments)),
        (Column(title="of them\nbusy", below="busy"), lambda row: Average(row[2].running)),
    ]
    versions = [(result.strategy, number, totals) for result in results for number, totals in result.versions.items()]
    return table_of([row for row in versions if row[2].invocations], fields)


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
    return words_table(("part", "name", "description"), lines, names=3)


def _one_line(value: Any) -> str:
    """Plain data as YAML on one line, without braces around it."""
    if isinstance(value, str):
        return value
    text = to_yaml(value, layout="line")
    return text[1:-1] if text[:1] + text[-1:] in ("{}", "[]") else text


MANY_WAITING: Final = 0.01
"""The share of requests without an answer at the horizon from which on a table of estimates has a column for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Strategy:
    """A strategy of a comparison: its name, its estimates, and by name the limits of the goal that are about them."""

    name: str
    estimates: Mapping[str, Estimate | None]
    limits: Mapping[str, Limit]
    file: str = ""
    """Of several files the one that it is in."""

    def share(self, estimate: str, limit: str = "") -> EstimatedShare:
        """The cell of an estimate that is a share."""
        return EstimatedShare(self.estimates[estimate], self.limits.get(limit))

    def high(self, estimate: str) -> Share:
        """The cell of the 95th percentile of an estimate that is a share."""
        value = self.estimates[estimate]
        return Share(None if value is None else value.quantiles["p95"][0])


def comparison_table(comparison: Comparison) -> Table:
    """One row per strategy; each cell an estimate with its 95% interval, judged by the limit of the goal that is about it."""
    twin, columns = comparison.twin, comparison.columns.values()
    rows = [
        _Strategy(name=name, estimates=comparison.estimates(name), limits=judged(comparison, name))
        for name in comparison.columns
    ]
    fields: list[Field[_Strategy]] = [
        (Column(title="strategy", names=True), lambda row: Text(row.name)),
        (  # without a twin, the version may be a good one
            Column(title="stopped", interval=True),
            lambda row: row.share(
                "stopped", "false_rollback" if twin is None and "false_rollback" in row.limits else "catch"
            ),
        ),
    ]
    if any((blocked := row.estimates["blocked"]) is not None and blocked.mean > 0 for row in rows):
        fields.append((Column(title="blocked", interval=True), lambda row: row.share("blocked")))
    if twin is not None:
        fields.append((
            Column(title="good version\nstopped", interval=True),
            lambda row: EstimatedShare(twin.estimates(row.name)["stopped"], row.limits.get("false_rollback")),
        ))  # fmt: skip
    rolled_out = comparison.scenario.rollout is not None
    if rolled_out:
        fields.append((
            Column(title="full traffic\nafter", interval=True, below="full"),
            lambda row: EstimatedDuration((twin or comparison).time_to_full(row.name), row.limits.get("time_to_full")),
        ))  # fmt: skip
    back = Column(title="rolled back after\nmedian / p95")
    fields.append((back, lambda row: MedianDuration(row.estimates["time_to_rollback_s"])))
    in_all = Column(title="bad requests\nin all", interval=True)
    if all("bad_requests_added" in of_strategy for of_strategy in columns):
        added = Column(title="bad requests\nadded", interval=True)
        fields.append((added, lambda row: EstimatedNumber(row.estimates["bad_requests_added"])))
        in_all = Column(title=in_all.title, below="in all")
        fields.append((in_all, lambda row: Average(getattr(row.estimates["bad_requests"], "mean", None))))
    else:
        fields.append((in_all, lambda row: EstimatedNumber(row.estimates["bad_requests"])))
    for slo in comparison.scenario.slos:
        budget = f"budget_spent.{slo.name}"
        mean = Column(title=f"{escaped(slo.name)} budget\nmean", interval=True)
        fields.append((mean, partial(_Strategy.share, estimate=budget)))
        high = Column(title=f"{escaped(slo.name)}\np95", below="p95")
        fields.append((high, partial(_Strategy.high, estimate=budget)))
    if any(
        of_strategy["pending"].mean() > MANY_WAITING * (of_strategy["requests"] + of_strategy["pending"]).mean()
        for of_strategy in columns
    ):
        waiting = Column(title="unanswered\nat the end", interval=True)
        fields.append((waiting, lambda row: EstimatedNumber(row.estimates["pending"])))
    table = table_of(rows, fields)
    whose = "the" if twin is None else "a good"
    shown = rolled_out and any((twin or comparison).time_to_full(row.name) is not None for row in rows)
    full = f"full: {whose} version has all traffic after this time, if it is not stopped" if shown else ""
    notes = (full, repeated(table.columns, table.rows), comparison.undecided)
    return replace(table, caption="\n".join(filter(None, notes)))


def judged(comparison: Comparison, strategy: str) -> dict[str, Limit]:
    """By name the limits of the scenario's goal that a strategy's estimates are about."""
    return {limit.name: limit for limit in limits_of(comparison, strategy, goal_of(comparison.scenario))}


SHOWN: Final = 40
"""Rows of a sweep's table; the file has all of them."""


def sweep_table(swept: Sweep, rest: str = "sweep.csv", *, most: int | None = SHOWN) -> Table:
    """One row per cell and strategy, the first `most` of them; `rest` says where all are."""
    lines: dict[tuple[str, ...], dict[str, Cell]] = {}
    for cell, cell_rows in swept.by_cell():
        strategies: dict[str, dict[str, Cell]] = {}
        for row in cell_rows:
            cells = strategies.setdefault(row["strategy"], {"plane": Text(row["engine"])})
            estimate = Estimate(n=row["n"], mean=row["mean"], low=row["low"], high=row["high"], quantiles={})
            is_share = row["estimate"] in ("stopped", "blocked", "good_version_stopped")
            cells[row["estimate"]] = EstimatedShare(estimate) if is_share else EstimatedNumber(estimate)
        for strategy, cells in strategies.items():
            _judge(cells, cell.scenario)
            lines[*cell.labels, strategy] = cells
    titles = {"stopped": "stopped", "good_version_stopped": "good version\nstopped", "blocked": "blocked"}
    if not swept.twin:
        del titles["good_version_stopped"]
    if not any(row["estimate"] == "blocked" and row["mean"] > 0 for row in swept.rows):
        del titles["blocked"]
    titles["bad_requests"] = "bad requests\nin all"
    columns = [Column(title=name, names=True) for name in (*(axis.name for axis in swept.axes), "strategy")]
    columns += [*(Column(title=title, interval=True) for title in titles.values()), Column(title="plane")]
    rows = tuple(
        (*map(Text, values), *(cells.get(name, Text("-")) for name in (*titles, "plane")))
        for values, cells in lines.items()
    )
    caption = f"{len(rows) - most:,} more rows in {rest}" if most is not None and len(rows) > most else ""
    return Table(columns=tuple(columns), rows=rows[:most], caption=caption)


def _judge(cells: dict[str, Cell], scenario: Scenario) -> None:
    """Gives the shares among the `cells` of a row (by estimate) the limits of the goal that are about them."""
    shares = {name: cells.get(name) for name in ("stopped", "good_version_stopped")}
    estimates = [cell.estimate if isinstance(cell, EstimatedShare) else None for cell in shares.values()]
    limits = {limit.name: limit for limit in limits_by_name(scenario, goal_of(scenario), *estimates)}
    for (name, cell), limit in zip(shares.items(), ("catch", "false_rollback"), strict=True):
        if isinstance(cell, EstimatedShare):
            cells[name] = replace(cell, limit=limits.get(limit))


def change_table(change: Change, names: tuple[str, str]) -> Table:
    """For each strategy a row of each of two files, called `names`, and one of what the second changes."""
    slos = [slo.name for slo in change.before.scenario.slos if slo in change.after.scenario.slos]
    fields: list[Field[_Strategy]] = [
        (Column(title="strategy", names=True), lambda row: Text(row.name)),
        (Column(title="file", names=True), lambda row: Text(row.file)),
        (Column(title="stopped", interval=True), lambda row: row.share("stopped", "catch")),
        (
            Column(title="good version\nstopped", interval=True),
            lambda row: row.share("good_version_stopped", "false_rollback"),
        ),
        (
            Column(title="rolled back after\nmedian / p95"),
            lambda row: MedianDuration(row.estimates.get("time_to_rollback_s")),
        ),
        (Column(title="bad requests\nmean", interval=True), lambda row: EstimatedNumber(row.estimates["bad_requests"])),
    ]
    for slo in slos:
        budget = Column(title=f"{escaped(slo)} budget\nmean", interval=True)
        fields.append((budget, partial(_Strategy.share, estimate=f"budget_spent.{slo}")))
    rows: list[_Strategy] = []
    for name in change.strategies:
        for file, side in zip(names, (change.before, change.after), strict=True):
            good = None if side.twin is None else side.twin.estimates(name)["stopped"]
            estimates = {**side.estimates(name), "good_version_stopped": good}
            rows.append(_Strategy(name=name, file=file, estimates=estimates, limits=judged(side, name)))
        rows.append(_Strategy(name=name, file="change", estimates=change.differences(name), limits={}))
    paired = "replications are paired: both files meet the same traffic" if change.paired else ""
    return table_of(rows, fields, paired or "replications are not paired: the traffic or the data plane differs")


def contender_table(recommendation: Recommendation) -> Table:
    """The confirmed candidates and the contenders, each estimate with its 95% interval; the verdict by the intervals last."""
    goal, confirmed = recommendation.goal, recommendation.confirmed
    fresh = {evaluation.candidate.label for evaluation in confirmed}
    others = [evaluation for evaluation in recommendation.contenders if evaluation.candidate.label not in fresh]

    def limit(evaluation: Evaluation, name: str) -> Limit | None:
        return next((limit for limit in evaluation.limits(goal) if limit.name == name), None)

    fields: list[Field[Evaluation]] = [
        (Column(title="strategy", names=True), lambda row: Text(row.candidate.name)),
        (Column(title="alarm", names=True), lambda row: Text(row.candidate.alarm_text)),
        (Column(title="caught", interval=True), lambda row: EstimatedShare(row.caught, limit(row, "catch"))),
        (
            Column(title="good version\nstopped", interval=True),
            lambda row: EstimatedShare(row.false_rollback, limit(row, "false_rollback")),
        ),
        (Column(title="bad requests added\nmean", interval=True), lambda row: EstimatedNumber(row.bad)),
        (Column(title="budget\np95", interval=True), lambda row: EstimatedShare(row.budget, limit(row, "budget"))),
        (Column(title="full after"), lambda row: Duration(row.time_to_full)),
        (Column(title="limits of\nthe goal"), lambda row: Verdict(row.limits(goal))),
    ]
    return table_of((*confirmed, *others), fields)
