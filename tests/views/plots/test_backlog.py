"""The pictures of queues and streams, alone and in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import yaml
from builders import data
from web import Page

from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.views.plots.backlog import backlog_figure, bad_by_fate, fates
from rollout_sim.views.report.build import make_report
from rollout_sim.views.report.page import html

QUEUE: dict[str, Any] = {
    "source": "queue", "alias": "prod", "arrivals": {"poisson": "4/s"}, "batch": {"partial_failures": True},
    "visibility_timeout": "20 s", "max_receives": 2,
}  # fmt: skip


def polled(*more: dict[str, Any], **changes: Any) -> dict[str, Any]:
    versions = {
        "1": {"duration": "10 ms", "error_rate": "5%", "failed_responses": "2%"},
        "2": {"like": "1", "faults": [{"errors": "50%"}]},
    }
    slos = [{"name": "in time", "sli": {"age": "15 s"}, "objective": "99%"}]
    given = {"traffic": [QUEUE, *more], "function__versions": versions, "slos": slos, "horizon": "4 min"}
    return data(**(given | {"rollout__start": "1 min", "strategies": {"instant": {"type": "all_at_once"}}} | changes))


@pytest.mark.parametrize("mixed", [False, True])
def test_bad_records_by_fate_are_all_bad_records(mixed: bool) -> None:
    """Late, wrong, in the dead-letter queue, or waiting for longer than the SLO allows, each of them once."""
    web = {"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}}
    result = simulate(Scenario.from_dict(polled(*([web] if mixed else [])), path="test.yaml"), "instant")
    counts = bad_by_fate(result)
    assert sum(counts.values()) == result.records_bad
    assert counts["dead letter"] == result.records_lost > 50
    assert counts["handled late or wrong"] > 50
    unfinished = [record for record in result.polled if record.waiting]
    assert bool(counts["waiting too long"]) == (bool(unfinished) and not mixed)


def test_a_bar_for_each_fate_and_strategy() -> None:
    results = [simulate(Scenario.from_dict(polled(), path="test.yaml"), name) for name in ("no rollout", "instant")]
    ax = fates(results)
    assert {label for _, label in zip(*ax.get_legend_handles_labels(), strict=True)} == {
        "handled late or wrong", "dead letter", "waiting too long",
    }  # fmt: skip
    widths = [sum(bars[k].get_width() for bars in ax.containers) for k in range(2)]
    assert widths == [result.records_bad for result in results]
    assert f"{results[1].records_bad:,} of {results[1].records:,}" in {text.get_text() for text in ax.texts}
    assert len(backlog_figure(results).axes) == 3
    plt.close("all")


@pytest.mark.slow
def test_the_report_shows_them(tmp_path: Path) -> None:
    path = tmp_path / "queue.yaml"
    path.write_text(yaml.safe_dump(polled(rollout__alarms=[], horizon="90 s", rollout__start="30 s"), sort_keys=False))
    page = Page(html(make_report(path, replications=1)))
    assert "records" in [section["id"] for section in page.all("section")]
    shown = [svg["aria-label"] for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    for start in (
        "Records without a fate over time; at most: instant ",
        "Age of the oldest record",
        "Bad records by what became of them",
    ):
        assert sum(label.startswith(start) for label in shown) == 2, "wide and narrow"
