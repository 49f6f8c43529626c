"""Report page: a report as one HTML file, by the template in `templates/`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import yaml

from rollout_sim import report_figures as figures
from rollout_sim.comparison_output import comparison_sheet
from rollout_sim.recommendation_output import assumed, contender_sheet, remarks, sentence

if TYPE_CHECKING:
    from jinja2 import Template

    from rollout_sim.report import Report


def page(report: Report) -> str:
    """The whole page."""
    import matplotlib as mpl

    mpl.use("Agg")
    found = report.recommended
    results = list(report.results)
    return _template().render(
        report=report,
        name=report.scenario.name,
        resolved=yaml.safe_dump(report.scenario.dump(), sort_keys=False, allow_unicode=True, width=100),
        comparison=comparison_sheet(report.comparison),
        compared=figures.compared(report.comparison),
        budgets=figures.one_run(results),
        traffic=figures.traffic_shift(results),
        power=None if report.swept is None else figures.power(report.swept),
        pareto=None if found is None else figures.pareto(found),
        recommended=None if found is None else sentence(found),
        remarks=[] if found is None else remarks(found),
        assumed=[] if found is None else assumed(found),
        searched=[] if found is None else found.notes,
        contenders=None if found is None else contender_sheet(found),
    )


def parted(cell: str) -> tuple[str, str]:
    """A figure and its interval, such as `5%` and `[4%, 6%]`; the interval is empty where there is none."""
    value, bracket, interval = cell.partition(" [")
    return value, bracket.strip() + interval


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("rollout_sim", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["parted"] = parted
    return environment.get_template("report.html.j2")
