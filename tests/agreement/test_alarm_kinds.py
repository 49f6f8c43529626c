"""The planes agree on every kind of alarm: the per-invocation ones to the last bit, the aggregate one in distribution.

The seeds are fixed; each comparison of shares and times is at a level of one in 10,000.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import data
from scipy import stats

from rollout_sim.planes.aggregate.exactness import inexactness
from rollout_sim.planes.selection import choose_engine
from rollout_sim.run.simulate import simulate
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.comparison import compare

pytest.importorskip("numba", reason="the extra `compiled` is not installed")

NEW = {"of": "new_version", "missing": "not_breaching"}
COUNTS = {"n": {"metric": "invocations", "of": "new_version"}, "e": {"metric": "errors", "of": "new_version"}}
ALARMS: dict[str, dict[str, Any]] = {
    "sliding sum": {"metric": "errors", "period": "5 min", "threshold": "> 7", **NEW},
    "sliding, 2 of 2": {"metric": "errors", "period": "2 min", "threshold": "> 2", "datapoints": "2 of 2", **NEW},
    "wall clock": {"metric": "errors", "period": "5 min", "window": "wall_clock", "threshold": "> 6", **NEW},
    "twenty seconds": {"metric": "errors", "period": "20 s", "threshold": "> 1", **NEW},
    "every call failed": {"metric": "errors", "statistic": "minimum", "threshold": ">= 1", "period": "10 s",
                          "at_least": "2 requests", **NEW},
    "guard": {"metric": "error_rate", "threshold": "> 20%", "at_least": "15 requests", "period": "2 min", **NEW},
    "metric maths": {"expression": "IF(n >= 10, 100 * e / n, 0)", "metrics": COUNTS, "threshold": "> 25",
                     "missing": "not_breaching"},
    "late": {"metric": "errors", "threshold": "> 2", "lag": {"uniform": {"low": "1 min", "high": "4 min"}}, **NEW},
    "band": {"metric": "errors", "of": "alias", "band": 4, "threshold": "above", "period": "3 min"},
    "function": {"metric": "errors", "of": "function", "period": "3 min", "threshold": "> 11", "missing": "not_breaching"},
    "made": {"metric": "errors", "threshold": "> 2", "history": "new", "warm_up": "3 min", "datapoints": "1 of 5", **NEW},
    "percentile": {"metric": "duration", "statistic": "p90", "period": "3 min", "threshold": "> 320 ms", **NEW},
    "few samples": {"metric": "duration", "statistic": "p50", "period": "3 min", "threshold": "> 110 ms",
                    "low_samples": "ignore", **NEW},
}  # fmt: skip


def kinds(*names: str, rule: str | None = None) -> Scenario:
    """Two aliases, a version that fails 12% of its calls, and some of the alarms."""
    alarms = {f"a{k}": ALARMS[name] for k, name in enumerate(names)}
    alarms |= {} if rule is None else {"rule": {"rule": rule}}
    given = data(
        horizon="25 min", alarms=alarms, slos=[],
        rollout={"alias": "prod", "to": "2", "start": "7 min", "alarms": ["rule"] if rule else list(alarms)},
        strategies={"canary": {"type": "canary", "percent": 20, "interval": "8 min"}},
        function__versions={
            "1": {"duration": {"exponential": {"mean": "120 ms"}}, "error_rate": "1%"},
            "2": {"like": "1", "faults": [{"errors": "12%"}]},
        },
        function__aliases={"prod": "1", "test": "1"},
    )  # fmt: skip
    given["traffic"] = [
        {"source": "http", "alias": alias, "arrivals": {"poisson": "1/s"}} for alias in ("prod", "test")
    ]
    return Scenario.from_dict(given)


def test_simpy_and_compiled_see_the_same_with_every_kind_of_alarm() -> None:
    more = {"tm": {"metric": "duration", "statistic": "tm90", "period": "3 min", "threshold": "> 120 ms"},
            "longest": {"metric": "duration", "statistic": "maximum", "threshold": "> 600 ms"}}  # fmt: skip
    given = kinds(*ALARMS, rule="AT_LEAST(3, ALARM, (a0, a1, a2, a3, a4, a5, a6))").dump()
    given["alarms"] |= more
    scenario = Scenario.from_dict(given)
    for replication in range(3):
        one, other = (
            simulate(scenario, "canary", replication=replication, choice=choose_engine(scenario, engine, single=True))
            for engine in ("simpy", "compiled")
        )
        assert one.alarm_log == other.alarm_log
        assert len({name for _, name, _, _ in one.alarm_log}) > 10
        for key, values in one.metrics.percentiles.items():
            np.testing.assert_array_equal(values, other.metrics.percentiles[key])


@pytest.mark.long
@pytest.mark.parametrize("names", [(name,) for name in ALARMS] + [("sliding sum", "guard", "metric maths")], ids=str)
def test_the_aggregate_plane_stops_as_often_and_as_soon(names: tuple[str, ...]) -> None:
    rule = "AT_LEAST(2, ALARM, (a0, a1, a2))" if len(names) == 3 else None
    scenario = kinds(*names, rule=rule)
    assert inexactness(scenario) == ()
    by = {
        engine: compare(scenario, size, engine=engine, twin=False).columns["canary"]
        for engine, size in (("aggregate", 4000), ("compiled", 400))
    }
    back = {engine: columns["time_to_rollback_s"] for engine, columns in by.items()}
    stopped = [int(np.isfinite(times).sum()) for times in back.values()]
    sizes = [times.size for times in back.values()]
    missed = [size - count for size, count in zip(sizes, stopped, strict=True)]
    if any(missed):
        assert stats.fisher_exact([stopped, missed]).pvalue > 1e-4
    assert stats.ks_2samp(*(times[np.isfinite(times)] for times in back.values())).pvalue > 1e-4
    assert min(stopped) > 0.02 * 400
