"""Tables for the terminal and for notebooks: one row per strategy, times and shares as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from rollout_sim.estimates import Estimate
from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rich.table import Table

    from rollout_sim.result import RunResult
    from rollout_sim.scenario import Scenario


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
    import yaml

    if isinstance(value, str):
        return value

    def listed(one: Any) -> Any:
        if isinstance(one, Mapping):
            return {key: listed(part) for key, part in one.items()}
        return [listed(part) for part in one] if isinstance(one, list | tuple) else one

    text: str = yaml.safe_dump(listed(value), sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**6)
    text = text.removesuffix("\n").removesuffix("\n...")
    return text[1:-1] if text[:1] + text[-1:] in ("{}", "[]") else text


def share(value: float | None) -> str:
    """A share as a percentage with three digits, of what it misses 100% by where that is little; `-` for none."""
    if value is None:
        return "-"
    if 0.99 < value < 1:
        return f"{100 - float(f'{(1 - value) * 100:.2g}'):.10g}%"
    return f"{value * 100:.0f}%" if abs(value) >= 0.995 else f"{value * 100:.3g}%"


def share_interval(mean: float, low: float | None, high: float | None) -> str:
    """A share and its interval."""
    return f"{share(mean)} [{share(low)}, {share(high)}]"


def shares(estimate: Estimate | None) -> str:
    """An estimated share and its interval, `-` for none."""
    return "-" if estimate is None else share_interval(estimate.mean, estimate.low, estimate.high)


def interval_of(mean: float, low: float | None, high: float | None) -> str:
    """A number and its interval."""
    return f"{number(mean)} [{number(low)}, {number(high)}]"


def number(value: float | None) -> str:
    """A number with three digits or its thousands marked, `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
