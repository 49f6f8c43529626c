"""Error rates that change: the moments that their definitions promise, held by tests at a level that is stated.

Each comparison is a two-sided test of a mean over independent replications at `LEVEL`; there are fewer than ten of them, so
that a right program fails with a chance below 0.1% for a seed, and the seeds are fixed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import data, scenario
from scipy import stats

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.function.error_rates import Dispersed, ErrorRate, Spells, mean_of, paths_of
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario

LEVEL = 1e-4


def assert_mean(figures: FloatArray, expected: float) -> None:
    """The mean of independent `figures` is `expected`, by a t test at `LEVEL`."""
    assert stats.ttest_1samp(figures, expected).pvalue > LEVEL, f"{figures.mean()} is not {expected}"


def slow_spells(rate: Spells, minutes: int, rng: np.random.Generator) -> FloatArray:
    """The regime by its definition, another way: the length of each stay, geometric with its mean, one after the other."""
    path: list[float] = []
    inside = rng.random() < rate.spell / (rate.spell + rate.every)
    while len(path) < minutes:
        mean = (rate.spell if inside else rate.every) / 60.0
        path += [rate.spells if inside else rate.calm] * int(rng.geometric(1.0 / mean))
        inside = not inside
    return np.array(path[:minutes])


def test_errors_of_a_scattered_share_are_beta_binomial() -> None:
    """n invocations of one span have a variance of n m (1 - m) (1 + (n - 1) dispersion)."""
    rate, n = Dispersed(mean=0.02, dispersion=0.01), 300
    errors = np.random.default_rng(1).binomial(n, paths_of(rate, Streams(seed=1), 60.0, 20_000)[:, 0])
    mean = n * rate.mean
    assert_mean(errors.astype(float), mean)
    assert_mean((errors - mean) ** 2, mean * (1 - rate.mean) * (1 + (n - 1) * rate.dispersion))


def test_spells_last_and_return_as_long_as_they_are_said_to() -> None:
    rate = Spells(calm=0.001, spells=0.2, spell=300.0, every=1800.0)
    drawn = paths_of(rate, Streams(seed=2), 3 * 3600.0, 2000)
    rng = np.random.default_rng(3)
    slow = np.array([slow_spells(rate, drawn.shape[1], rng) for _ in range(2000)])
    assert_mean(drawn.mean(axis=1), rate.mean)
    for figures in (lambda path: (path > 0.1).sum(axis=1), lambda path: np.diff(path > 0.1, axis=1).sum(axis=1)):
        assert stats.ks_2samp(figures(drawn), figures(slow)).pvalue > LEVEL


def test_versions_share_what_makes_a_minute_bad() -> None:
    """Equal figures give equal paths, and a higher mean is higher in every span."""
    streams = Streams(seed=4, replication=7)
    low, same, high = (paths_of(Dispersed(mean=mean, dispersion=0.05), streams, 3600.0) for mean in (0.01, 0.01, 0.03))
    np.testing.assert_array_equal(low, same)
    assert (low <= high).all()
    assert (low < high).any()


MINUTES = "time,of,invocations,errors\n" + "".join(
    f"2026-11-24T{14 + k // 60}:{k % 60:02}:00Z,alias:prod,100,{k}\n" for k in range(90)
)


def recorded(folder: Path, **fields: Any) -> ErrorRate:
    (folder / "minutes.csv").write_text(MINUTES, encoding="utf-8")
    spec = {"minutes": "minutes.csv", "of": "alias:prod", **fields}
    given = Scenario.from_dict(data(function__versions__1__error_rate=spec), path=folder / "s.yaml")
    again = Scenario.from_dict(given.dump(), path=folder / "s.yaml")
    assert again == given
    return given.function.versions["1"].error_rate


def test_recorded_minutes_are_replayed_in_step_and_begin_again(tmp_path: Path) -> None:
    path = paths_of(recorded(tmp_path), Streams(seed=1), 100 * 60.0)[0]
    np.testing.assert_allclose(path, [(k % 90) / 100 for k in range(100)])
    later = paths_of(recorded(tmp_path, begin="2026-11-24 14:30"), Streams(seed=1), 600.0)[0]
    np.testing.assert_allclose(later, [(30 + k) / 100 for k in range(10)])


def test_blocks_keep_an_hour_together(tmp_path: Path) -> None:
    rate = recorded(tmp_path, draw="blocks")
    paths = paths_of(rate, Streams(seed=1), 2.5 * 3600.0, 4000)
    follows = np.isclose(
        np.diff(paths, axis=1) % 0.9, 0.01, atol=1e-9
    )  # the minute after, the first one after the last
    assert follows[:, np.arange(149) % 60 != 59].all()
    assert not follows[:, 59].all()
    assert_mean(paths[:, 0], mean_of(rate))
    assert len(np.unique(paths[:, 0])) == 90


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        ({"mean": "1%", "dispersion": 1.5}, "`dispersion` is a correlation above 0 and below 1, got 1.5"),
        ({"mean": "1%", "dispersal": 0.1}, "unknown field; did you mean 'dispersion'?"),
        ({"calm": "1%", "spells": "9%", "spell": "10 s", "every": "6 h"}, "`spell` must be at least 1 min, got 10 s"),
        ({"minutes": "nothing.csv"}, "nothing.csv: cannot be read"),
        (
            {"minutes": "minutes.csv", "of": "alias:pord"},
            "holds no row of 'alias:pord'; allowed alias:prod; did you mean",
        ),
        (
            {"minutes": "minutes.csv", "of": "alias:prod", "begin": "2026-11-25 14:00"},
            "2026-11-25 14:00 is not recorded",
        ),
        (
            {"minutes": "minutes.csv", "draw": "blocks", "begin": "2026-11-25 14:00"},
            "`begin` belongs to `draw: replay`",
        ),
    ],
)
def test_what_is_no_error_rate_is_refused(tmp_path: Path, rate: dict[str, Any], message: str) -> None:
    (tmp_path / "minutes.csv").write_text(MINUTES, encoding="utf-8")
    with pytest.raises(ScenarioError) as refused:
        Scenario.from_dict(data(function__versions__1__error_rate=rate), path=tmp_path / "s.yaml")
    assert message in str(refused.value)


def test_a_run_has_the_errors_of_its_path() -> None:
    """In spells of 100% every invocation fails, and none outside of them."""
    rate = {"calm": "0%", "spells": "100%", "spell": "2 min", "every": "3 min"}
    given = scenario(function__versions__1__error_rate=rate, function__versions__2={"like": "1"}, engine="simpy")
    result = simulate(given, "instant")
    path = paths_of(given.function.versions["1"].error_rate, Streams(seed=given.seed), given.horizon)[0]
    counts = result.metrics
    served, failed = (array[0].sum(axis=0) for array in (counts.invocations, counts.errors))
    assert 0 < path.sum() < path.size
    np.testing.assert_array_equal(failed, np.where(path > 0, served, 0))
