"""The choice of engine: the fastest plane that is exact, installed and worth its start; and why."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from builders import scenario, steady

from rollout_sim.errors import ScenarioError
from rollout_sim.planes import compiled
from rollout_sim.planes.selection import MAX_COUNTS, PLANES, check_size, choose_engine

RETRIED: dict[str, Any] = {
    "traffic": [{"source": "http", "alias": "prod", "arrivals": {"poisson": "5/s"}, "retry": {"attempts": 3}}]
}


@pytest.fixture(params=[True, False], ids=["numba", "no numba"])
def numba(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(compiled, "_installed", lambda: request.param)
    return bool(request.param)


def busy(rate: str, **changes: Any) -> Any:
    return scenario(**RETRIED | {"traffic": [{**RETRIED["traffic"][0], "arrivals": {"poisson": rate}}], **changes})


def test_planes_go_from_the_fastest_to_the_one_that_runs_everything() -> None:
    assert list(PLANES) == ["aggregate", "compiled", "simpy"]
    assert PLANES["simpy"].exact_for(busy("5/s")) == ()


def test_a_study_draws_counts_where_that_is_exact() -> None:
    choice = choose_engine(scenario())
    assert (choice.engine, choice.reason) == (
        "aggregate",
        "exact here: invocations share no state that the results depend on",
    )
    assert choice.batch == 1024


def test_a_batch_is_a_power_of_two_that_memory_bounds() -> None:
    long = choose_engine(scenario(horizon="30 d"))
    assert math.log2(long.batch).is_integer()
    assert 1 <= long.batch * 2 * 30 * 1440 <= 1 << 23 < 2 * long.batch * 2 * 30 * 1440


def test_replications_that_go_forward_together_are_as_many_as_memory_allows() -> None:
    pytest.importorskip("numba", reason="the extra `compiled` is not installed")
    batches = [choose_engine(busy(rate), "compiled").batch for rate in ("5/s", "200/s", "5000/s")]
    assert batches == [8, 4, 2]
    assert choose_engine(scenario(horizon="365 d"), "compiled").batch == 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (RETRIED, "traffic[0]: clients retry errors"),
        ({"function__propagation": "1 s"}, "alias updates take time to propagate"),
        ({"function__reserved_concurrency": 1}, "the concurrency of 1 can bind"),
        ({"function__scale_up": 2}, "the scale-up rate of 2 environments per 10 s can bind"),
        ({"traffic": [{"source": "data", "alias": "prod", "arrivals": {"poisson": "5/s"}}]}, "retries asynchronous events"),
        ({"traffic": [{"source": "http", "alias": "prod", "arrivals": {"fixed": "1 s"}}]}, "fixed arrivals come at exact"),
        ({"function__versions__2": {"like": "1", "faults": [{"load": {"above": 1, "errors": "5%"}}]}}, "depend on load"),
    ],
)  # fmt: skip
def test_a_study_simulates_invocations_where_they_depend_on_one_another(changes: dict[str, Any], reason: str) -> None:
    choice = choose_engine(scenario(**changes))
    assert choice.engine in ("simpy", "compiled")
    assert choice.batch in ((8, 16) if choice.engine == "compiled" else (1,))
    assert choice.reason.startswith("aggregate would not be exact: ")
    assert reason in choice.reason
    with pytest.raises(ScenarioError, match=r"engine: aggregate is not exact here: .*; allowed simpy, compiled$"):
        choose_engine(scenario(**changes), "aggregate")


@pytest.mark.parametrize(
    ("rate", "cached", "engine", "reason"),
    [
        ("1/s", True, "simpy", "runs are too small for the compiled plane"),
        ("5/s", True, "compiled", "equal to the simpy plane, invocation by invocation"),
        ("2/s", False, "simpy", "too small to be worth compiling the kernel, which is not cached yet"),
        ("500/s", False, "compiled", "equal to the simpy plane, invocation by invocation"),
    ],
)
def test_a_study_compiles_where_it_is_worth_it(
    rate: str, cached: bool, engine: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_ready", lambda _: cached)
    monkeypatch.setattr(compiled, "_installed", lambda: True)
    choice = choose_engine(busy(rate))
    assert (choice.engine, choice.reason.split("; ", 1)[1]) == (engine, reason)


def test_runs_that_are_looked_at_compile_for_all_of_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """480,000 invocations take the SimPy plane three seconds, and four such runs longer than the compiler takes."""
    monkeypatch.setattr(compiled, "_ready", lambda _: False)
    monkeypatch.setattr(compiled, "_installed", lambda: True)
    engines = [choose_engine(busy("400/s"), single=True, runs=runs).engine for runs in (1, 3, 4)]
    assert engines == ["simpy", "simpy", "compiled"]


def test_a_single_run_takes_the_reference_where_it_is_small(numba: bool) -> None:
    choice = choose_engine(scenario(), single=True)
    assert choice.engine == "simpy"
    expected = "too small to be worth loading the compiled kernel" if numba else "Numba is not installed"
    assert choice.reason == expected


def test_what_is_asked_for_is_taken(numba: bool) -> None:
    assert choose_engine(scenario(engine="simpy")).reason == "asked for"
    assert (
        choose_engine(scenario(), "simpy", single=True).reason == "the reference plane: every invocation is a process"
    )
    if numba:
        assert choose_engine(scenario(engine="compiled"), single=True).reason == "asked for"
        return
    for single in (False, True):
        with pytest.raises(ScenarioError, match="engine: compiled needs Numba; pip install numba brings it"):
            choose_engine(scenario(), "compiled", single=single)


def test_single_runs_are_no_counts() -> None:
    with pytest.raises(ScenarioError) as refused:
        choose_engine(scenario(engine="aggregate"), single=True)
    assert list(refused.value.problems) == [
        "small: engine: aggregate draws counts for compare and sweep, not single runs; allowed auto, simpy, compiled"
    ]


def test_what_would_take_days_is_refused_on_the_plane_that_would_run_it(numba: bool) -> None:
    large = steady(traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "100000/s"}}], horizon="2 d")
    limit = 86_400 * (8_000_000 if numba else 100_000)
    with pytest.raises(
        ScenarioError, match=re.escape(f"on the {'compiled' if numba else 'simpy'} plane; allowed {limit:.3g}.")
    ):
        choose_engine(large, single=True, runs=64)
    with pytest.raises(ScenarioError, match=r"on the simpy plane; allowed 8\.64e"):
        check_size(large, "simpy")


def test_too_much_to_keep_is_refused() -> None:
    large = steady(traffic=[{"source": "http", "alias": "prod", "arrivals": {"poisson": "1000/s"}}], horizon="2 h")
    assert check_size(large) == 7_200_000
    with pytest.raises(ScenarioError, match=r"too many to keep \(--events\)"):
        choose_engine(large, single=True, events=True)
    assert check_size(scenario(horizon="365 d"), runs=19) > 0
    with pytest.raises(ScenarioError, match=re.escape(f"allowed {MAX_COUNTS:.3g}")):
        check_size(scenario(horizon="365 d"), runs=20)


def test_a_horizon_whose_counts_do_not_fit_into_memory_is_refused_on_every_plane() -> None:
    with pytest.raises(ScenarioError, match=r"horizon 3.1536e.09 s in periods of 60 s for 2 targets .*; allowed 2e.07"):
        choose_engine(scenario(horizon="36500 d"))
