"""Planted truth: what made the data is what is fitted. How often the intervals hold it stands in VALIDATION.md."""

from __future__ import annotations

import numpy as np
import pytest
from builders import steady
from recorded import DURATION, columns

from rollout_sim.run.simulate import simulate
from rollout_sim.study.fit.arrivals import fit_arrivals
from rollout_sim.study.fit.durations import SHARES, fit_percentiles
from rollout_sim.study.fit.error_rates import Constant, Scattered, Spells, fit_errors
from rollout_sim.study.fit.releases import Release, fit_releases, posterior, spread

MINUTES = 4000
TIMES = 60 * np.arange(MINUTES)


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (Constant(mean=0.004), "constant"),
        (Scattered(mean=0.004, dispersion=0.01, span=1), "scattered"),
        (Scattered(mean=0.004, dispersion=0.01, span=15), "scattered"),
        (Spells(calm=0.001, bad=0.05, spell=12, every=400), "spells"),
    ],
    ids=["constant", "scattered", "scattered over 15", "spells"],
)
def test_the_kind_that_made_the_errors_is_chosen_and_fits(truth: Constant | Scattered | Spells, kind: str) -> None:
    rng = np.random.default_rng(7)
    n = rng.poisson(200, MINUTES)
    k = rng.binomial(n, truth.draw(n, TIMES // 60, rng, 1)[0])
    fitted = fit_errors(TIMES, n, k, 60)
    assert fitted.kind == kind
    assert getattr(fitted.description, "span", None) == getattr(truth, "span", None)
    assert fitted.goodness.verdict == "good"
    if kind != "constant":  # the next best one is told, and is worse
        assert fitted.reason.startswith("BIC ")


def test_missing_minutes_do_not_shorten_spells() -> None:
    truth = Spells(calm=0.001, bad=0.1, spell=20, every=200)
    rng = np.random.default_rng(1)
    n = rng.poisson(300, MINUTES)
    n[rng.random(MINUTES) < 0.5] = 0
    k = rng.binomial(n, truth.draw(n, TIMES // 60, rng, 1)[0])
    fitted = fit_errors(TIMES, n, k, 60).parameters
    assert fitted["spell"].low < 20 * 60 < fitted["spell"].high
    assert fitted["every"].low < 200 * 60 < fitted["every"].high


def test_no_errors_at_all_and_nothing_but_errors() -> None:
    n = np.full(300, 10)
    fitted = fit_errors(TIMES[:300], n, np.zeros(300, int), 60)
    assert fitted.kind == "constant"
    assert fitted.parameters["mean"].mean == 0
    assert fitted.parameters["mean"].high == pytest.approx(3.84 / 3000, rel=0.01)  # Wilson's upper end
    assert fit_errors(TIMES[:300], n, n, 60).parameters["mean"].mean == 1
    with pytest.raises(ValueError, match="no period has invocations"):
        fit_errors(TIMES[:300], 0 * n, 0 * n, 60)


def test_the_profile_the_dispersion_and_silences() -> None:
    rng = np.random.default_rng(3)
    times = 60 * np.arange(3 * 7 * 1440)
    expected = 30 + 20 * np.sin(2 * np.pi * times / 86400)
    burst = rng.gamma(2.0, 0.5, times.size)
    poisson, bursty = rng.poisson(expected), rng.poisson(expected * burst)
    poisson[5000:5030] = 0
    fitted = fit_arrivals(times, poisson, 60)
    assert fitted.cycle == "week"
    np.testing.assert_allclose(
        fitted.expected(times[::60] + 1800), 30 + 20 * np.sin(2 * np.pi * (times[::60] + 1800) / 86400), rtol=0.15
    )
    assert fitted.silences == ((5000 * 60, 5030 * 60),)
    assert fitted.goodness.verdict == "good"
    clumped = fit_arrivals(times, bursty, 60)
    # A rate that varies by a gamma factor of variance 1/2 adds half of the mean square to the variance.
    assert clumped.dispersions[1].mean == pytest.approx(
        1 + 0.5 * float((expected**2).mean() / expected.mean()), rel=0.1
    )
    assert clumped.goodness.verdict == "poor"


@pytest.mark.parametrize("periods", [1, 2, 30])
def test_durations_of_few_periods_have_a_wide_interval(periods: int) -> None:
    found = columns(1, minutes=periods)
    percentiles = {name: found[f"duration_{name}_ms"] / 1000 for name in SHARES}
    fitted = fit_percentiles(found["invocations"], percentiles, found["duration_average_ms"] / 1000)
    assert fitted is not None
    for truth, value in zip(DURATION.parameters, fitted.parameters.values(), strict=True):
        assert 0 < value.low <= truth <= value.high < np.inf


def test_the_posterior_of_a_release_and_how_bad_it_was() -> None:
    assert (posterior(0, 10).mean, posterior(10, 10).mean) == (pytest.approx(0.5 / 11), pytest.approx(10.5 / 11))
    times = 60 * np.arange(200)
    n, k = np.full(200, 100), np.ones(200, int)
    k[100:110] = 31
    bad = Release(name="d-1", start=6000, end=6600, ending="rolled back", noticed=6600)
    good = Release(name="d-2", start=9000, end=9100, ending="good")
    lost = Release(name="d-3", start=9500, end=9600, ending="unknown")
    fitted = fit_releases([bad, good, lost], times, n, k)
    assert fitted is not None
    assert (fitted.bad, len(fitted.releases)) == (1, 2)
    assert fitted.severities == (pytest.approx(0.3),)
    assert fitted.noticed is not None
    assert fitted.noticed.mean == 600
    assert fitted.found_after is None  # the deployment itself stopped it
    assert spread([0.1]) == (pytest.approx(0.1 / 3), pytest.approx(0.3))
    low, high = spread([0.01, 0.02, 0.4])
    assert low < 0.01
    assert 0.4 < high <= 1
    assert fit_releases([lost], times, n, k) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "truth"),
    [
        ("0.4%", {"mean": 0.004}),
        ({"mean": "1%", "dispersion": 0.02, "every": "5 min"}, {"mean": 0.01, "dispersion": 0.02}),
        (
            {"calm": "0.2%", "spells": "6%", "spell": "10 min", "every": "3 h"},
            {"calm": 0.002, "bad": 0.06, "spell": 600, "every": 10800},
        ),
    ],
    ids=["constant", "scattered", "spells"],
)
def test_what_the_simulator_itself_recorded_is_read_back(rate, truth) -> None:
    """Four days of a known scenario, request by request: the figures of its file are what is fitted."""
    given = steady(
        function__versions={"1": {"duration": "50 ms", "error_rate": rate}}, engine="compiled", horizon="4 d", slos=[],
        traffic=[{"source": "http", "alias": "prod", "arrivals": {"diurnal": {"mean": "2/s", "amplitude": "40%", "peak": "14 h"}}}],
    )  # fmt: skip
    metrics = simulate(given, seed=10).metrics
    n, k = (counts[0].sum(axis=0) for counts in (metrics.invocations, metrics.errors))
    times = 60 * np.arange(n.size)
    fitted = fit_errors(times, n, k, 60)
    assert set(fitted.parameters) == set(truth)
    for name, value in truth.items():
        estimate = fitted.parameters[name]
        assert estimate.low <= value <= estimate.high, name
    assert fitted.goodness.verdict == "good"
    arrivals = fit_arrivals(times, n, 60)
    assert arrivals.dispersions[1].low <= 1 <= arrivals.dispersions[1].high
    np.testing.assert_allclose(arrivals.profile.mean() / 60, 2, rtol=0.01)
    assert arrivals.profile.argmax() in (12, 13, 14, 15)
