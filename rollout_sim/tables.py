"""Tables for the terminal: one row per strategy, times and shares as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollout_sim.units import show_duration

if TYPE_CHECKING:
    from rich.table import Table

    from rollout_sim.result import RunResult


def run_table(results: Sequence[RunResult]) -> Table:
    """What came out of one run per strategy."""
    from rich import box
    from rich.table import Table

    first = results[0]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("strategy", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    headings = ["rolled back\nafter", "at 100%\nafter", "requests", "bad\nrequests", "by new\nversion"]
    headings += [f"budget spent\n{slo.name}" for slo in first.scenario.slos]
    headings += ["cold\nstarts", "throttles"]
    if first.users_affected is not None:
        headings += ["users\nreached", "users\naffected"]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        spent = [share(result.budget(slo).spent) for slo in first.scenario.slos]
        cells = [
            show_duration(
                result.time_to_rollback_s if result.on_call_rollback_s is None else result.on_call_rollback_s
            ),
            show_duration(result.time_to_full_s),
            f"{result.requests:,}",
            f"{result.bad_requests:,}",
            share(result.bad_requests_new_version / result.bad_requests) if result.bad_requests else "-",
            *spent,
            f"{result.cold_starts:,}",
            f"{result.throttles:,}",
        ]
        if first.users_affected is not None:
            cells += [share(result.users_reached), share(result.users_affected)]
        table.add_row(result.strategy, result.outcome_text, *cells)
    return table


def version_table(results: Sequence[RunResult]) -> Table:
    """Each version's invocations and environments, averaged over the run."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in ("strategy", "version"):
        table.add_column(heading, no_wrap=True)
    for heading in ("invocations", "errors", "cold starts", "P(cold)", "environments", "running", "idle"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        for number, one in result.versions.items():
            if not one.invocations:
                continue
            averages = [("-" if x is None else f"{x:.4g}") for x in (one.environments, one.running, one.idle)]
            cold = "-" if one.cold_starts is None else f"{one.cold_starts:,}"
            table.add_row(
                result.strategy,
                number,
                f"{one.invocations:,}",
                f"{one.errors:,}",
                cold,
                share(one.cold_start_probability),
                *averages,
            )
    return table


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


def interval_of(mean: float, low: float | None, high: float | None) -> str:
    """A number and its interval."""
    return f"{number(mean)} [{number(low)}, {number(high)}]"


def number(value: float | None) -> str:
    """A number with three digits or its thousands marked, `-` for none."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
