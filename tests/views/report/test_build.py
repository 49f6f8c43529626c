"""What a report simulates and asks for: each thing once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import data
from click.testing import CliRunner

from rollout_sim.cli.main import app
from rollout_sim.core.statistics import Estimate
from rollout_sim.errors import ScenarioError
from rollout_sim.planes import selection
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study import comparison, sweep
from rollout_sim.study.recommend import candidates, problem
from rollout_sim.study.recommend.hypotheses import STRATA
from rollout_sim.study.recommend.search import recommend
from rollout_sim.views.report import build
from rollout_sim.views.report.build import make_report
from rollout_sim.views.report.page import html

STUDIES = (comparison, sweep, problem, build)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Scenario]:
    """The scenarios for which a study asked which plane runs them."""
    scenarios: list[Scenario] = []

    def choose_engine(scenario: Scenario, *more: Any) -> selection.EngineChoice:
        scenarios.append(scenario)
        return selection.choose_engine(scenario, *more)

    for module in STUDIES:
        monkeypatch.setattr(module, "choose_engine", choose_engine)
    return scenarios


def test_the_command_says_when_the_single_runs_alone_are_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enough(_: str) -> None:
        raise ScenarioError(["enough"])

    monkeypatch.setattr("rollout_sim.planes.compiled.kernel.ready", lambda **_: False)
    monkeypatch.setattr("rollout_sim.cli.console.progress", enough)
    done = CliRunner().invoke(app, ["report", "scenarios/good-release.yaml", "--out", str(tmp_path / "r")])
    assert "enough" in str(done.exception)
    assert "compiling the kernel of the compiled plane: about ten seconds, once\n" in done.stderr


@pytest.mark.slow
def test_a_report_asks_and_estimates_once(
    tmp_path: Path, asked: list[Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimated: list[object] = []

    def counted(columns: Any, units: Any) -> Any:
        estimated.append(columns)
        return original(columns, units)

    original = comparison._estimated
    monkeypatch.setattr(comparison, "_estimated", counted)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(data(), sort_keys=False))
    report = make_report(path, replications=40)
    page = html(report)
    assert report.recommendation is not None
    assert report.sensitivity is not None
    assert "stops version 2" in page
    swept = [
        report.sensitivity.swept,
        *([] if report.sensitivity.recommended is None else [report.sensitivity.recommended]),
    ]
    assert len({id(scenario) for scenario in asked}) == len(asked), "the same scenario, again"
    # The scenario, the winner's and their good versions; cells; a run without a rollout, and hypotheses with the file's
    # alarms and with others.
    assert len(asked) <= 4 + sum(len(grid.cells) for grid in swept) + 1 + 2 * (STRATA + 2)
    assert len({id(columns) for columns in estimated}) == len(estimated), "the same samples, again"
    assert isinstance(report.compared.estimates("canary")["stopped"], Estimate)


@pytest.mark.slow
def test_a_search_asks_once_for_each_hypothesis(asked: list[Scenario]) -> None:
    given = Scenario.from_dict(data())
    recommendation = recommend(given)
    assert len({evaluation.candidate.alarm for evaluation in recommendation.explored}) > 5
    assert len(asked) == 1 + 2 * (STRATA + 2)


@pytest.mark.parametrize("latency", [False, True])
def test_a_plane_does_not_depend_on_what_is_tried(latency: bool) -> None:
    """Which is why it is asked for once."""
    given = Scenario.from_dict(data())
    tried = candidates.alarms(given, latency=latency)
    strategies = candidates.strategies(given, tested=True)
    choices = {
        selection.choose_engine(candidates.with_candidates(given, [candidate.watched_by(alarm)]))
        for alarm, candidate in zip(tried * 9, strategies, strict=False)
    }
    assert len(choices) == 1
    assert (
        len({selection.choose_engine(candidates.with_candidates(given, [candidate])) for candidate in strategies}) == 1
    )
