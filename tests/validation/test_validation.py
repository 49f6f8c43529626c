"""Every row of VALIDATION.md, and what would turn it red."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from validation import polled, recommendation, unseen
from validation.environments import MEASUREMENTS
from validation.page import PAGE, ROWS, alarm_fired, bad, number, replicated, stats
from validation.rows import Row, share

from rollout_sim.traffic import pollers
from rollout_sim.traffic.polling import Mapping

pytest.importorskip("numba", reason="the extra `compiled` is not installed")
pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first forty of the page's two hundred functions and of its races, each of which takes a third of a second."""
    monkeypatch.setattr(unseen, "FUNCTIONS", 40)
    monkeypatch.setattr(recommendation, "RACES", 40)


AGAIN = [row for row in ROWS if not row.what.endswith(("interval ends, seed 2", "interval ends, seed 3"))]
"""All but two of the three searches that are set beside an enumeration, which takes half a minute each."""


@pytest.mark.parametrize("row", AGAIN, ids=[f"{row.what}, {row.plane}" for row in AGAIN])
def test_the_figure_is_met(row: Row) -> None:
    assert row.met, f"expected {row.expected}, got {row.ours()}"


def test_the_page_is_current() -> None:
    """Its rows and expected figures; ours move with the library that draws the random numbers."""
    text = PAGE.read_text(encoding="utf-8")
    if not MEASUREMENTS.exists():
        text = text.partition("## Measurements")[0]
    rows = [line.split(" | ") for line in text.splitlines() if line.endswith(" met |")]
    assert [(one[0].removeprefix("| "), one[1], one[2]) for one in rows] == [
        (row.what, number(row.expected), row.plane) for row in ROWS
    ]
    if MEASUREMENTS.exists():
        assert f"**{len(ROWS)} of {len(ROWS)} rows are met.**" in text


@pytest.mark.skipif(not unseen.TRACE.exists(), reason="the real trace is not beside the project")
def test_the_real_arrivals_are_among_the_rows_and_clump() -> None:
    """All rows of the file count, and one function's calls come in bursts that no Poisson process has."""
    counts = unseen.real_minutes()
    assert counts.shape == (31, 21)
    assert counts.sum() == 199
    assert (counts.var(axis=1) / counts.mean(axis=1)).max() > 10
    assert any(row.group.endswith("real arrivals") for row in ROWS)


@pytest.mark.skipif(not MEASUREMENTS.exists(), reason="the measurements are not beside the project")
def test_the_measurements_are_among_the_rows() -> None:
    assert sum(row.at_most and row.group == "Measurements on AWS Lambda" for row in ROWS) == 2


def chain_row(words: str, m: int, n: int, lag: int) -> Row:
    """A row that simulates the alarm `words` and expects the chain of `m` of `n` with `lag`."""
    expected = alarm_fired(float(stats.poisson.sf(2, 60 * 0.1 * 0.25)), m, n, 10, lag)
    hits = replicated("1/s", "25%", "canary 10", 601, "aggregate", words)["time_to_rollback_s"]
    return Row(group="", what="", expected=expected, decimals=None, ours=share(lambda: ~np.isnan(hits), expected))


def test_a_wrong_weight_turns_the_page_red() -> None:
    for row in ROWS:
        if row.plane == "aggregate" and row.what.startswith("P(at least 5 errors in 300 s)"):
            assert row.met
            wrong = share(lambda: bad("10/s", "2%", "canary 11", 300) >= 5, row.expected)
            assert not replace(row, ours=wrong).met
            return
    pytest.fail("the row is gone")


@pytest.mark.parametrize(("m", "n", "lag"), [(2, 3, 0), (3, 3, 1), (2, 2, 1), (2, 4, 1)])
def test_a_wrong_lag_or_an_off_by_one_in_m_or_n_turns_it_red(m: int, n: int, lag: int) -> None:
    assert chain_row("2 3 60 2", 2, 3, 1).met
    assert not chain_row("2 3 60 2", m, n, lag).met


@pytest.mark.parametrize("change", [{"size": 9}, {"concurrency": 3}])
def test_other_batches_turn_the_twin_of_a_queue_red(change: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """One message less in a batch, or one batch more at once, than the scenario says."""
    original = pollers.QueuePoller.__init__

    def changed(self: pollers.QueuePoller, mapping: Mapping) -> None:
        original(self, replace(mapping, **change))

    monkeypatch.setattr(polled, "BULK_RUNS", 4)
    monkeypatch.setattr(pollers.QueuePoller, "__init__", changed)
    for cached in (polled.runs, polled.twins):
        monkeypatch.setattr(polled, cached.__name__, cached.__wrapped__)
    every = (polled.against_twin("a window of 100 ms", column)() for column in (0, 1))
    assert any(abs(ours.value - 1) > 4 * ours.error for ours in every)
