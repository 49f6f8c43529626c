"""Recorded minutes in a scenario: durations, throttles and traffic as they were recorded, in step with time or an hour at a time.

What is drawn is held by tests at `LEVEL`; there are three of them, and the seeds are fixed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import data, scenario
from scipy import stats

from rollout_sim.core.curves import MEASURED, SHARES, curves_of, duration_at
from rollout_sim.core.minutes import COLUMNS, Minutes, read_minutes, stamp_of
from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError
from rollout_sim.function.error_rates import paths_of
from rollout_sim.function.recorded import RecordedDurations, RecordedErrors
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.batch import Batch, run_batch
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.analytic import stop_probability

LEVEL = 1e-4
START = 1_763_337_600
OF = {"minutes": "minutes.csv", "of": "alias:prod"}
TRACE = {"file": "minutes.csv", "layout": "minutes", "function": "alias:prod"}


def recording(**columns: Any) -> Minutes:
    size = max(map(len, columns.values()))
    filled = {name: np.array(columns.get(name, [np.nan] * size), float) for name in COLUMNS}
    return Minutes(of="function", start=START, period=60.0, columns=filled)


def written(folder: Path, minutes: int = 130) -> None:
    """The k-th minute has 20 + k requests, of which k in 1000 fail and 3 in a hundred are throttled, and they take 2 x k ms or so."""
    rows = ["time,of,invocations,errors,throttles," + ",".join(MEASURED)]
    for k in range(minutes):
        spread = ",".join(f"{2 * k + 2 + part / 10:g}" for part in range(4))
        rows.append(f"{stamp_of(START + 60 * k)},alias:prod,{1000 * (20 + k)},{k * (20 + k)},{30 * (20 + k)},{spread}")
    (folder / "minutes.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def given(folder: Path, **changes: Any) -> Scenario:
    """A scenario whose traffic, errors, throttles and durations are those minutes, a thousandth of the traffic."""
    draw = {"draw": changes.pop("draw", "replay")}
    both = {**OF, **draw}
    base: dict[str, Any] = {
        "horizon": "70 min", "rollout__start": "5 min", "function__throttled": both,
        "function__versions": {"1": {"duration": both, "error_rate": both}, "2": {"like": "1"}},
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"trace": {**TRACE, **draw, "scale": "0.0010x"}}}],
    }  # fmt: skip
    return Scenario.from_dict(data(**{**base, **changes}), path=folder / "s.yaml")


def test_a_curve_goes_through_what_was_measured() -> None:
    found = recording(
        invocations=[50, 50], duration_average_ms=[130, 155], duration_p50_ms=[100, 100], duration_p90_ms=[200, 200],
        duration_p99_ms=[500, 500], duration_max_ms=[900, 900],
    )  # fmt: skip
    curves, rows = curves_of(found), np.array([0, 1])
    for name, share in MEASURED.items():
        np.testing.assert_allclose(curves.longest(rows, np.full(2, share)), found.columns[name] / 1000)
    np.testing.assert_allclose(curves.means, [0.13, 0.155], rtol=1e-3)
    shares = np.array([0.2, 0.97])
    np.testing.assert_allclose(curves.share_below(rows, curves.longest(rows, shares)), shares)
    assert duration_at(curves.seconds[1], 0.97) == pytest.approx(float(curves.longest(rows, shares)[1]), abs=1e-6)


def test_what_is_missing_in_a_minute_stands_to_the_rest_as_in_the_whole_recording() -> None:
    found = recording(
        invocations=[50, 50, 50, 0], duration_p50_ms=[100, 200, np.nan, np.nan], duration_p90_ms=[200, np.nan, 800, np.nan],
        duration_max_ms=[1000, 2000, 4000, np.nan],
    )  # fmt: skip
    curves = curves_of(found)
    at = [SHARES.index(share) for share in MEASURED.values()]
    p50, p90, p99, longest = curves.seconds[:, at].T
    np.testing.assert_allclose(p90[1], 0.2 * (0.5 / 0.15))  # the means of what is known: 500 and 150 ms
    np.testing.assert_allclose(p50[2], 0.8 * (0.15 / 0.5))
    np.testing.assert_allclose([p50[3], p90[3]], [0.15, 0.5])
    assert ((p90 < p99) & (p99 < longest)).all()  # p99 was never recorded
    assert curves.missing == {"duration_p50_ms": 1, "duration_p90_ms": 1}


def test_a_beginning_within_a_minute_keeps_the_wall_clock(tmp_path: Path) -> None:
    written(tmp_path)
    rate = RecordedErrors(**OF, begin=f"{stamp_of(START + 600)}:40", folder=str(tmp_path))
    path = paths_of(rate, Streams(seed=1), 300.0)[0]
    held = [path[int(t // rate.step)] for t in (0.0, 19.0, 20.0, 79.0, 80.0)]
    np.testing.assert_allclose(held, [0.010, 0.010, 0.011, 0.011, 0.012])
    with pytest.raises(ValueError, match="`begin` is a whole second"):
        replace(rate, begin=f"{stamp_of(START + 600)}:40.5")


@pytest.mark.parametrize("draw", ["replay", "blocks"])
def test_minutes_of_traffic_errors_throttles_and_durations_stay_together(draw: str, tmp_path: Path) -> None:
    written(tmp_path)
    found = replace(given(tmp_path, draw=draw), engine="simpy", seed=3)
    result = simulate(found, "instant", events=True)
    assert result.events is not None
    spec, streams = found.function.versions["1"], Streams(seed=3)
    assert isinstance(spec.duration, RecordedDurations)
    rows = spec.duration.rows(streams, found.horizon)[0]
    if draw == "replay":
        assert rows.tolist() == list(range(70))
    else:
        assert (np.diff(rows[:60]) % 130 == 1).all()
        assert (rows[60] - rows[59]) % 130 != 1
    # The time that each took says which recorded minute it met: that of the traffic, the errors and the throttles.
    events = result.events[result.events["outcome"] != "throttled"]
    met = ((events["duration_s"] * 1000 - 1.5) // 2).astype(int)
    assert (met.to_numpy() == rows[((events["start_s"] + 300) // 60).astype(int)]).all()
    counts = np.bincount(((result.events["start_s"] + 300) // 60).astype(int), minlength=70)
    expected = 1.03 * (20 + rows)
    assert stats.chi2.sf(float(((counts - expected) ** 2 / expected).sum()), 70) > LEVEL
    np.testing.assert_allclose(paths_of(spec.error_rate, streams, found.horizon)[0], rows / 1000, atol=1e-12)


def test_a_retry_meets_the_minute_in_which_it_starts(tmp_path: Path) -> None:
    written(tmp_path)
    again = {"attempts": 2, "on": ["error"], "base": "90 s", "jitter": "none"}
    source = {"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}, "retry": again}
    base = given(tmp_path, traffic=[source], function__throttled=None, horizon="9 min")
    found = replace(base.with_faults("1", []), engine="simpy")
    versions = {n: replace(spec, error_rate=0.5) for n, spec in found.function.versions.items()}
    events = simulate(
        replace(found, function=replace(found.function, versions=versions)), "instant", events=True
    ).events
    assert events is not None
    assert (events["attempt"] == 2).sum() > 50
    met = ((events["duration_s"] * 1000 - 1.5) // 2).astype(int)
    assert (met == ((events["start_s"] + 300) // 60).astype(int)).all()


@pytest.mark.slow
@pytest.mark.parametrize("draw", ["replay", "blocks"])
def test_the_compiled_plane_replays_them_to_the_same_bit(draw: str, tmp_path: Path) -> None:
    pytest.importorskip("numba")
    written(tmp_path)
    trace = {"trace": {**TRACE, "draw": draw, "scale": "0.0010x"}}
    retry = {"attempts": 3, "on": ["throttle", "error"], "base": "20 s"}
    traffic = [
        {"source": "http", "alias": "prod", "arrivals": trace, "retry": retry, "users": {"count": 20}},
        {"source": "data", "alias": "prod", "arrivals": {"poisson": "30/min"}},
        {"source": "queue", "alias": "prod", "arrivals": trace, "batch": {"size": 4, "window": "2 s"}},
    ]
    hooks = {"before_allow_traffic": {"invocations": 5, "over": "9 s", "max_failures": 4}}
    faults = [{"latency": "2x", "share": "40%"}, {"crash": "5%"}]
    found = given(
        tmp_path, draw=draw, traffic=traffic, function__versions__1__cold_start="1 s", function__timeout="200 ms",
        function__versions__2={"like": "1", "faults": faults, "duration": {**OF, "draw": "blocks"}},
        strategies={"one": {"type": "blue_green", "bake": "9 min", "hooks": hooks}},
    )  # fmt: skip
    simpy, compiled = (simulate(replace(found, engine=engine), "one", events=True) for engine in ("simpy", "compiled"))
    assert simpy.events is not None
    assert simpy.events.equals(compiled.events)
    assert (simpy.events["outcome"] == "throttled").sum() > 50
    for name in ("invocations", "errors", "throttles", "duration_sum"):
        np.testing.assert_array_equal(getattr(simpy.metrics, name), getattr(compiled.metrics, name))


@pytest.mark.slow
def test_the_aggregate_plane_throttles_and_draws_hours_as_the_simpy_plane_does(tmp_path: Path) -> None:
    written(tmp_path)
    found = given(
        tmp_path, draw="blocks", horizon="12 min", function__versions__1__duration="80 ms",
        alarms={"errors": {"metric": "throttles", "threshold": "> 2", "datapoints": "2 of 3"}},
    )  # fmt: skip
    assert choose_engine(found).engine == "aggregate"
    samples = {}
    for engine, count in (("simpy", 100), ("aggregate", 2000)):
        plane = replace(choose_engine(found, engine), batch=count if engine == "aggregate" else 1)
        batch = Batch(scenario=found, strategies=("canary",), plane=plane, seed=9, first=0, count=count)
        samples[engine] = run_batch(batch)["canary"]
    for name in ("throttles", "bad_requests", "requests"):
        pair = [samples[engine][name] for engine in ("simpy", "aggregate")]
        assert stats.ks_2samp(*pair, method="asymp").pvalue > LEVEL, name
    assert samples["aggregate"]["throttles"].mean() > 10


def test_where_the_aggregate_plane_is_not_exact_it_says_why(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ScenarioError, match="version 1: durations change from one recorded minute to the next"):
        choose_engine(given(tmp_path), "aggregate")
    retry = {"source": "http", "alias": "prod", "arrivals": {"poisson": "1/s"}, "retry": "standard"}
    with pytest.raises(ScenarioError, match="clients retry throttles"):
        choose_engine(given(tmp_path, traffic=[retry], function__versions__1__duration="1 s"), "aggregate")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"function__versions__1__duration": {**OF, "drew": "blocks"}}, "unknown field 'drew'; did you mean 'draw'?"),
        ({"function__versions__1__duration": {**OF, "of": "alias:pord"}}, "did you mean 'alias:prod'?"),
        ({"function__versions__1__per_mb": "1 ms"}, "recorded durations hold what `per_mb` and `per_record` would add"),
        ({"function__throttled": {**OF, "draw": "blocks", "begin": "2025-11-17 00:10"}}, "`begin` belongs to `draw: replay`"),
        (
            {"traffic": [{"source": "http", "alias": "prod", "arrivals": {"trace": {**TRACE, "draw": "blocks", "speed": "2x"}}}]},
            "`draw: blocks` has no end and is as fast as it was recorded",
        ),
        (
            {"draw": "blocks", "function__throttled": {**OF, "draw": "blocks", "end": "2025-11-17 01:00"}},
            "drawn hours fall together only where all recordings are of the same time",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_replayed_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(ScenarioError) as refused:
        given(tmp_path, **changes)
    assert message in str(refused.value)


def test_there_is_no_closed_form_with_throttles_by_others() -> None:
    cell = {
        "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "60/min"}}], "function__versions__2": {"like": "1"},
        "alarms": {"errors": {"metric": "errors", "of": "new_version", "threshold": "> 2", "missing": "not_breaching"}},
    }  # fmt: skip
    assert stop_probability(scenario(**cell), "canary") is not None
    assert stop_probability(scenario(**cell, function__throttled="5%"), "canary") is None


def test_a_recording_without_durations_or_throttles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "minutes.csv").write_text(
        "time,of,invocations,errors\n2025-11-17 00:00,alias:prod,5,1\n", encoding="utf-8"
    )
    with pytest.raises(ScenarioError) as refused:
        given(tmp_path)
    assert "a curve of durations needs two of" in str(refused.value)
    assert "no throttles of 'alias:prod' were recorded" in str(refused.value)


def test_all_recorded_together_is_a_distribution(tmp_path: Path) -> None:
    """What closed forms and limits take for the durations of a version: every minute by its invocations."""
    written(tmp_path)
    durations = given(tmp_path).function.versions["1"].duration
    assert isinstance(durations, RecordedDurations)
    n = read_minutes(tmp_path / "minutes.csv", "alias:prod").invocations
    drawn = np.array([duration_at(durations.curves.seconds[k], u) for k, u in zip(
        np.random.default_rng(1).choice(n.size, 20_000, p=n / n.sum()), np.random.default_rng(2).random(20_000), strict=True
    )])  # fmt: skip
    assert stats.kstest(drawn, durations.cdf).pvalue > LEVEL
    assert durations.mean == pytest.approx(drawn.mean(), rel=0.02)
    np.testing.assert_allclose(durations.cdf(durations.ppf(np.array([0.1, 0.9]))), [0.1, 0.9], atol=1e-3)
