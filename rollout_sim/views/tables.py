"""Tables for the terminal and for notebooks: one row per strategy, times and shares as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.core.formatting import interval_of, share, share_interval, shares, show_duration
from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.views._sweep_output import FILES

if TYPE_CHECKING:
    from rich.table import Table

    from rollout_sim.run.result import RunResult
    from rollout_sim.scenario.goals import Goal
    from rollout_sim.scenario.scenario import Scenario
    from rollout_sim.study.comparison import Comparison
    from rollout_sim.study.recommend.hypotheses import Evaluation
    from rollout_sim.study.recommend.search import Recommendation
    from rollout_sim.study.sweep import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Headings (lines separated by newlines) and rows of text; the first `left` columns are names, the others numbers."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    caption: str = ""

    def tables(self, width: int) -> list[Table]:
        """The sheet as one table if it fits into `width` characters, else turned around, a few rows at a time.

        Nothing is ever cut: a row on its own is written however narrow the terminal is.
        """
        columns = list(zip(self.headings, *self.rows, strict=True))
        if _needed(columns) <= width:
            return [_table(self.headings, self.rows, self.left, self.caption)]
        headings = tuple(heading.replace("\n", " ") for heading in self.headings)
        tables, rows = [], list(self.rows)
        while rows:
            count = 1
            while count < len(rows) and _needed([headings, *rows[: count + 1]]) <= width:
                count += 1
            part, rows = rows[:count], rows[count:]
            lines = list(zip(headings, *part, strict=True))
            tables.append(_table(lines[0], tuple(lines[1:]), 1, "" if rows else self.caption))
        return tables

    def html(self, heading: str = "") -> str:
        """The sheet as an HTML table under a heading, all text escaped: what a notebook shows."""
        sides = ["left" if k < self.left else "right" for k in range(len(self.headings))]

        def line(tag: str, cells: Sequence[str]) -> str:
            parts = [
                f'<{tag} style="text-align:{side}">{escape(cell).replace(chr(10), "<br>")}</{tag}>'
                for side, cell in zip(sides, cells, strict=True)
            ]
            return f"<tr>{''.join(parts)}</tr>"

        top = f"<p><b>{escape(heading)}</b></p>" if heading else ""
        below = f"<p>{escape(self.caption)}</p>" if self.caption else ""
        body = "".join(line("td", row) for row in self.rows)
        return f"{top}<table><thead>{line('th', self.headings)}</thead><tbody>{body}</tbody></table>{below}"


def _needed(columns: Sequence[Sequence[str]]) -> int:
    """Characters that a table with these columns takes."""
    return sum(max(len(line) for cell in column for line in cell.split("\n")) + 3 for column in columns)


def _table(headings: tuple[str, ...], rows: tuple[tuple[str, ...], ...], left: int, caption: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption=caption or None)
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="left" if k < left else "right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def run_sheet(results: Sequence[RunResult]) -> Sheet:
    """What came out of one run per strategy."""
    first = results[0]
    headings = ["strategy", "outcome", "rolled back\nafter", "at 100%\nafter", "requests", "bad\nrequests"]
    headings += ["by new\nversion"]
    for slo in first.scenario.slos:
        headings += [f"budget spent\n{slo.name}"]
        headings += ["of it by\nrollout"] if first.baseline is not None else []
    headings += ["cold\nstarts", "throttles"]
    with_users = any(result.users is not None for result in results)
    if with_users:
        headings += ["users\nreached", "reached\nwhile split", "users\naffected"]
    rows = []
    for result in results:
        back = result.time_to_rollback_s if result.on_call_rollback_s is None else result.on_call_rollback_s
        cells = [result.strategy, result.outcome_text, show_duration(back), show_duration(result.time_to_full_s)]
        cells += [f"{result.requests:,}", f"{result.bad_requests:,}"]
        cells += [share(result.bad_requests_new_version / result.bad_requests) if result.bad_requests else "-"]
        for slo in first.scenario.slos:
            cells.append(share(result.budget(slo).spent))
            cells += [share(result.caused(slo))] if first.baseline is not None else []
        cells += [f"{result.cold_starts:,}", f"{result.throttles:,}"]
        if with_users:
            cells += [share(result.users_reached), share(result.users_reached_while_split)]
            cells += [share(result.users_affected)]
        rows.append(tuple(cells))
    return Sheet(headings=tuple(headings), rows=tuple(rows), left=2)


def version_sheet(results: Sequence[RunResult]) -> Sheet:
    """Each version's invocations and environments, averaged over the run."""
    headings = ("strategy", "version", "invocations", "errors", "cold\nstarts", "P(cold)", "environments")
    rows = []
    for result in results:
        for number, one in result.versions.items():
            if not one.invocations:
                continue
            averages = [("-" if x is None else f"{x:.4g}") for x in (one.environments, one.running, one.idle)]
            cold = "-" if one.cold_starts is None else f"{one.cold_starts:,}"
            counts = (f"{one.invocations:,}", f"{one.errors:,}", cold, share(one.cold_start_probability))
            rows.append((result.strategy, number, *counts, *averages))
    return Sheet(headings=(*headings, "running", "idle"), rows=tuple(rows), left=2)


def scenario_sheet(scenario: Scenario) -> Sheet:
    """What a scenario describes, part by part, each in the words of its file."""
    data = scenario.dump()
    function = dict(data["function"])
    named: dict[str, Mapping[str, Any]] = {"version": function.pop("versions"), "alias": function.pop("aliases")}
    rows = [("function", function.pop("name"), _one_line(function))]
    rows += [("source", one.pop("name", one["alias"]), _one_line(one)) for one in map(dict, data.get("traffic", ()))]
    rows += [("SLO", one.pop("name"), _one_line(one)) for one in map(dict, data.get("slos", ()))]
    named |= {"alarm": data.get("alarms", {}), "strategy": data.get("strategies", {})}
    rows += [(part, name, _one_line(one)) for part, those in named.items() for name, one in those.items()]
    for part in ("rollout", "incident", "on_call", "promotions", "risk", "goal"):
        rows += [(part, "", _one_line(data[part]))] if part in data else []
    return Sheet(headings=("part", "name", "description"), rows=tuple(rows), left=3)


def _one_line(value: Any) -> str:
    """Plain data as YAML on one line, without braces around it."""
    if isinstance(value, str):
        return value
    text = to_yaml(value, layout="line")
    return text[1:-1] if text[:1] + text[-1:] in ("{}", "[]") else text


def comparison_sheet(comparison: Comparison) -> Sheet:
    """One row per strategy; each cell an estimate with its 95% interval."""
    slos, twin = comparison.scenario.slos, comparison.twin
    headings = ["strategy", "stopped\n[95%]"]
    headings += [] if twin is None else ["good version\nstopped [95%]"]
    headings += ["rolled back after\nmedian / p95", "bad requests\nmean [95%]"]
    for slo in slos:
        headings += [f"{slo.name} budget\nmean [95%]", f"{slo.name}\np95"]
    rows = []
    for name in comparison.columns:
        found = comparison.estimates(name)
        cells = [name, shares(found["stopped"])]
        cells += [] if twin is None else [shares(twin.estimates(name)["stopped"])]
        back, bad = found["time_to_rollback_s"], found["bad_requests"]
        cells.append("-" if back is None else " / ".join(show_duration(back.quantiles[q][0]) for q in ("p50", "p95")))
        cells.append("-" if bad is None else interval_of(bad.mean, bad.low, bad.high))
        for slo in slos:
            budget = found[f"budget_spent.{slo.name}"]
            cells += [shares(budget), "-" if budget is None else share(budget.quantiles["p95"][0])]
        rows.append(tuple(cells))
    return Sheet(headings=tuple(headings), rows=tuple(rows))


SHOWN: Final = 40
"""Rows of the table in the terminal; the file has all of them."""


def sweep_sheet(swept: Sweep, rest: str = FILES[0]) -> Sheet:
    """One row per cell and strategy, the first `SHOWN`; `rest` says where all of them are."""
    names = [one.name for one in swept.axes]
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for row in swept.rows:
        cells = found.setdefault((*(row[name] for name in names), row["strategy"]), {"plane": row["engine"]})
        show = share_interval if row["estimate"] == "stopped" else interval_of
        cells[row["estimate"]] = show(row["mean"], row["low"], row["high"])
    rows = tuple(
        (*values, *(cells.get(name, "-") for name in ("stopped", "bad_requests", "plane")))
        for values, cells in found.items()
    )
    return Sheet(
        headings=(*names, "strategy", "stopped\n[95%]", "bad requests\nmean [95%]", "plane"),
        rows=rows[:SHOWN],
        left=len(names) + 1,
        caption=f"{len(rows) - SHOWN:,} more rows in {rest}" if len(rows) > SHOWN else "",
    )


def contender_sheet(found: Recommendation) -> Sheet:
    """The confirmed candidates and the contenders, each figure with its 95% interval."""
    headings = (
        "strategy", "alarm", "caught\n[95%]", "good version\nstopped [95%]", "bad requests added\nmean [95%]",
        "budget\np95 [95%]", "full after", "misses",
    )  # fmt: skip
    fresh = {one.candidate.label for one in found.confirmed}
    shown = (*found.confirmed, *(one for one in found.contenders if one.candidate.label not in fresh))
    return Sheet(headings=headings, rows=tuple(_cells(one, found.goal) for one in shown), left=2)


def _cells(one: Evaluation, goal: Goal) -> tuple[str, ...]:
    caught = shares(one.caught)
    budget = shares(one.budget)
    bad = interval_of(one.bad.mean, one.bad.low, one.bad.high)
    return (
        one.candidate.name, one.candidate.alarm_text, caught, shares(one.false_rollback), bad, budget,
        show_duration(one.time_to_full), ", ".join(name.replace("_", " ") for name in one.misses(goal)) or "-",
    )  # fmt: skip
