"""What each result shows of itself: its picture (`plot`) and its table in a notebook (`html`)."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from rollout_sim.core.formatting import show_duration
from rollout_sim.run.result import RunResult
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.backtest import Backtest
from rollout_sim.study.comparison import Comparison
from rollout_sim.study.recommend.recommendation import Recommendation
from rollout_sim.study.sweep import Sweep
from rollout_sim.study.when import Hours
from rollout_sim.views.backtest import backtest_table
from rollout_sim.views.plots.backtest import week_map
from rollout_sim.views.plots.budget import error_budget
from rollout_sim.views.plots.comparison import stopping
from rollout_sim.views.plots.recommendation import pareto
from rollout_sim.views.plots.sweep import picture
from rollout_sim.views.plots.when import by_hour
from rollout_sim.views.sentences import sentence
from rollout_sim.views.tables import (
    Table,
    comparison_table,
    contender_table,
    run_table,
    scenario_table,
    sweep_table,
    version_table,
)
from rollout_sim.views.when import when_table

if TYPE_CHECKING:
    import pandas as pd


@singledispatch
def plot(result: object, ax: Axes | None = None) -> Axes:
    """The main picture of `result` on the axes `ax`, by default on new ones. Raises TypeError for what has none."""
    raise TypeError(f"{type(result).__name__} has no picture; {ax} stays as it is")


# The remaining error budget over time:
plot.register(RunResult, lambda result, ax=None: error_budget([result], ax=ax))
# How often each strategy stops the bad version, and the good one:
plot.register(Comparison, stopping)
# The power curves where severities vary, else a heat map of how often the version is stopped, or a line:
plot.register(Sweep, lambda result, ax=None, **where: picture(result, where, ax=ax))
# The contenders' expected bad requests against the time to full traffic:
plot.register(Recommendation, pareto)
# When a good version would have been stopped, by weekday and hour, of the `strategy` that is named or stopped most often:
plot.register(Backtest, lambda result, ax=None, strategy=None: week_map(result, strategy, ax=ax))
# The bad requests, or another `measure`, by the hour at which the rollout begins:
plot.register(Hours, lambda result, ax=None, measure="bad_requests_added": by_hour(result, measure, ax=ax))


@singledispatch
def main_table(result: object) -> Table:
    """What `result` shows first in a notebook. Raises TypeError for what has no table."""
    raise TypeError(f"{type(result).__name__} has no table")


main_table.register(Scenario, scenario_table)
main_table.register(Comparison, comparison_table)
main_table.register(Recommendation, contender_table)
main_table.register(Backtest, backtest_table)
main_table.register(Hours, when_table)
main_table.register(RunResult, lambda result: run_table([result]))
main_table.register(Sweep, lambda result: sweep_table(result, "its .table"))


def table(result: object) -> pd.DataFrame:
    """The values of the main table, all of its rows."""
    return (sweep_table(result, "", most=None) if isinstance(result, Sweep) else main_table(result)).frame


@singledispatch
def html(result: object) -> str:
    """The tables of `result` as HTML. Raises TypeError for what has none."""
    return main_table(result).html(repr(result))


@html.register(Scenario)
def _(result: Scenario) -> str:
    about = f"{result.name}: {result.description}" if result.description else result.name
    return main_table(result).html(f"{about} ({show_duration(result.horizon)}, seed {result.seed})")


@html.register(RunResult)
def _(result: RunResult) -> str:
    return main_table(result).html(repr(result)) + version_table([result]).html()


@singledispatch
def text(result: object) -> str:
    """`result` in one line. Raises TypeError for what has no sentence."""
    raise TypeError(f"{type(result).__name__} has no sentence")


@text.register(Recommendation)
def _(result: Recommendation) -> str:
    return f"{result.scenario.name}: {sentence(result)}"
