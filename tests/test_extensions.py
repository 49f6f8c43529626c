"""User-defined arrivals, faults and strategies: as good as the built-in ones, on every plane that takes them, and refused clearly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import cloudpickle
import numpy as np
import pytest
import yaml
from builders import data, scenario
from scipy import stats

from rollout_sim import compare, simulate
from rollout_sim.core.registry import fingerprint
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.yaml_io import YamlDocument, read_yaml, to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.extensions import (
    Factor,
    Fault,
    Percent,
    Plan,
    PositiveRate,
    Seconds,
    Share,
    Slowdown,
    Step,
    register_arrivals,
    register_fault,
    register_strategy,
)
from rollout_sim.scenario.json_schema import json_schema
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.grid import axis
from rollout_sim.study.sweep import sweep
from rollout_sim.traffic.processes import arrival_process
from rollout_sim.traffic.source import Arrivals

LEVEL = 1e-4
"""The chance of a false alarm of each statistical test; the seeds are fixed."""


@dataclass(frozen=True, kw_only=True)
class OwnCanary:
    type: Literal["own_canary"] = "own_canary"
    percent: Percent
    interval: Seconds

    @property
    def plan(self) -> Plan:
        return Plan(steps=(Step(weight=self.percent, hold=self.interval), Step(weight=1.0)))


@dataclass(frozen=True, kw_only=True)
class Surge:
    """`base` requests a second, and `more` on top of it between two times."""

    type: Literal["surge"] = "surge"
    base: PositiveRate
    more: PositiveRate | None = None
    begins: Seconds = 0.0
    ends: Seconds = 0.0

    @property
    def mean_rate(self) -> float:
        return self.base

    def expected(self, t: Any) -> Any:
        return self.base * t + (self.more or 0.0) * np.clip(t - self.begins, 0, self.ends - self.begins)


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Gaps of the sum of two exponentials: more regular than a Poisson process."""

    type: Literal["paired"] = "paired"
    rate: PositiveRate

    @property
    def mean_rate(self) -> float:
        return self.rate

    def times(self, rng: np.random.Generator) -> Iterator[float]:
        t = 0.0
        while True:
            t += rng.gamma(2.0, 0.5 / self.rate)
            yield t


@dataclass(frozen=True, kw_only=True)
class Flapping:
    """Errors for half a minute of every minute, and slower all the time."""

    type: Literal["flapping"] = "flapping"
    errors: Share
    slower: Factor = 1.0
    step: ClassVar[float] = 10.0

    def at(self, seconds: float) -> list[Fault]:
        found = [Fault(errors=self.errors)] if seconds % 60 < 30 else []
        return found + ([Fault(latency=Slowdown(factor=self.slower))] if self.slower != 1 else [])


@dataclass(frozen=True, kw_only=True)
class Constant:
    type: Literal["constant"] = "constant"
    errors: Share
    step: ClassVar[float] = 60.0

    def at(self, seconds: float) -> list[Fault]:
        del seconds
        return [Fault(errors=self.errors)]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """For this file's tests only: other tests read which names there are."""
    classes = {register_strategy: [OwnCanary], register_arrivals: [Surge, Paired], register_fault: [Flapping, Constant]}
    for registry, those in classes.items():
        for cls in those:
            assert registry(cls) is cls
    yield
    for registry, those in classes.items():
        for cls in those:
            registry.forget(cls.type)


def arriving(**fields: Any) -> list[dict[str, Any]]:
    return [{"source": "http", "alias": "prod", "arrivals": {"custom": fields}}]


def failing(*faults: dict[str, Any]) -> dict[str, Any]:
    return {"like": "1", "faults": list(faults)}


def same_columns(one: Scenario, other: Scenario, first: str, second: str) -> bool:
    a, b = (compare(s, 300, [name]).columns[name] for s, name in ((one, first), (other, second)))
    return all(np.array_equal(a[key], b[key], equal_nan=True) for key in a)


# Strategies


def test_an_register_strategy_is_as_good_as_the_built_in_one() -> None:
    given = scenario(strategies__own={"type": "own_canary", "percent": "10%", "interval": "5 min"})
    assert given.strategies["own"].plan == given.strategies["canary"].plan
    own, built_in = (simulate(given, name) for name in ("own", "canary"))
    assert own.timeline.drop(columns="strategy").equals(built_in.timeline.drop(columns="strategy"))
    assert {**own.summary, "strategy": ""} == {**built_in.summary, "strategy": ""}
    assert same_columns(given, given, "own", "canary")


# Arrivals


def test_register_arrivals_of_a_constant_rate_are_the_built_in_poisson_ones() -> None:
    own = Arrivals(custom=Surge(base=5.0))
    built_in = Arrivals(poisson=5.0)
    streams = Streams(seed=3)
    times = [arrival_process(one, streams, "x", 1200.0).block(0) for one in (own, built_in)]
    assert times[0].size == BLOCK
    np.testing.assert_allclose(times[0], times[1], atol=1.1e-6)  # a microsecond of rounding
    assert same_columns(scenario(traffic=arriving(type="surge", base="5/s")), scenario(), "canary", "canary")


def test_register_arrivals_come_as_often_as_they_say_on_every_plane() -> None:
    given = scenario(traffic=arriving(type="surge", base="2/s", more="10/s", begins="7 min", ends="12 min"))
    counted = compare(given, 2000, ["canary"], twin=False)
    assert counted.plane.engine == "aggregate"
    requests = counted.columns["canary"]["requests"]
    expected = 2 * 1200 + 10 * 300
    assert stats.norm.sf(abs(requests.mean() - expected) / np.sqrt(expected / requests.size)) > LEVEL / 2
    single = [simulate(replace(given, engine="simpy"), "canary", replication=k) for k in range(6)]
    # The rollout, from which the timeline's times count, starts at 5 min.
    in_surge = sum(int(one.timeline.query("120 <= time_s < 420").requests.sum()) for one in single)
    assert stats.poisson.cdf(in_surge, 6 * 12 * 300) > LEVEL / 2
    assert stats.poisson.sf(in_surge - 1, 6 * 12 * 300) > LEVEL / 2


def test_own_times_are_taken_one_by_one_and_cannot_be_counted() -> None:
    given = scenario(traffic=arriving(type="paired", rate="5/s"))
    by_hand = Paired(rate=5.0).times(Streams(seed=given.seed).generator("traffic/0/arrivals"))
    result = simulate(given, "canary")
    assert result.requests + result.pending == sum(1 for _ in iter(lambda: next(by_hand) < 1200, False))
    compared = compare(given, 12, ["canary"])
    assert compared.plane.engine in ("simpy", "compiled")
    assert "paired gives its arrivals one by one" in compared.plane.reason
    with pytest.raises(ScenarioError, match=r"aggregate is not exact here: .*paired gives its arrivals one by one"):
        compare(given, 12, ["canary"], engine="aggregate")


# Faults


def test_a_constant_register_fault_is_the_built_in_one() -> None:
    own, built_in = (
        scenario(function__versions__2=failing(fault))
        for fault in (
            {"custom": {"type": "constant", "errors": "20%"}, "onset": "90 s", "until": "11 min"},
            {"errors": "20%", "onset": "90 s", "until": "11 min"},
        )
    )
    assert own.faults_of("2") == built_in.faults_of("2")
    assert simulate(own, "linear").timeline.equals(simulate(built_in, "linear").timeline)
    assert same_columns(own, built_in, "linear", "linear")


def test_an_register_fault_becomes_pieces_with_an_end() -> None:
    given = scenario(function__versions__2=failing({"custom": {"type": "flapping", "errors": "20%"}, "onset": "2 min"}))
    pieces = given.faults_of("2")  # 15 min from the rollout's start to the horizon
    assert [(f.errors, f.onset, f.until) for f in pieces[:2]] == [(0.2, 120.0, 150.0), (0.2, 180.0, 210.0)]
    assert len(pieces) == 13
    by_hand = [{"errors": "20%", "onset": f"{120 + 60 * k} s", "until": f"{150 + 60 * k} s"} for k in range(13)]
    assert same_columns(given, scenario(function__versions__2=failing(*by_hand)), "canary", "canary")


def test_pieces_that_follow_each_other_are_no_heavier_than_one() -> None:
    """Else many short spells would seem to fill the function's concurrency, and the aggregate plane would refuse."""
    flapping = {"custom": {"type": "flapping", "errors": "5%", "slower": "3x"}}
    given = scenario(function__versions__2=failing(flapping), function__account_concurrency=20)
    assert compare(given, 10, ["canary"]).plane.engine == "aggregate"


def test_an_own_incident_hits_both_versions() -> None:
    given = scenario(incident={"custom": {"type": "constant", "errors": "50%"}}, function__versions__2=failing())
    result = simulate(given, "canary")
    rates = result.timeline.query("time_s >= 0").groupby("version")[["errors", "invocations"]].sum()
    assert (rates["errors"] / rates["invocations"] > 0.25).all()  # 1% without it


@pytest.mark.long
def test_the_compiled_plane_takes_all_of_them_and_agrees_to_the_last_bit() -> None:
    given = scenario(
        traffic=[*arriving(type="surge", base="3/s", more="5/s", begins="2 min", ends="9 min"),
                 {**arriving(type="paired", rate="4/s")[0], "name": "second"}],
        function__versions__2=failing({"custom": {"type": "flapping", "errors": "20%", "slower": "2x"}}),
        strategies__own={"type": "own_canary", "percent": "10%", "interval": "5 min"},
    )  # fmt: skip
    simpy, compiled = (simulate(replace(given, engine=engine), "own") for engine in ("simpy", "compiled"))
    assert simpy.timeline.equals(compiled.timeline)
    assert simpy.summary == compiled.summary


# Files


def full() -> dict[str, Any]:
    return data(
        traffic=arriving(type="surge", base="5/s", more="2/s", begins="1 min", ends="2 min"),
        function__versions__2=failing({"custom": {"type": "flapping", "errors": "20%"}, "onset": "2 min"}),
        strategies__own={"type": "own_canary", "percent": 10, "interval": "5 min"},
    )


def test_a_scenario_with_own_classes_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(full()), encoding="utf-8")
    loaded = Scenario.load(path)
    assert loaded.strategies["own"] == OwnCanary(percent=0.1, interval=300.0)
    assert loaded.dump()["strategies"]["own"] == {"type": "own_canary", "percent": "10%", "interval": "5 min"}
    path.write_text(to_yaml(loaded.dump()), encoding="utf-8")
    assert Scenario.load(path) == loaded


def test_the_json_schema_knows_them_and_forgets_them() -> None:
    schema = json_schema()
    assert schema["$defs"]["OwnCanary"]["required"] == ["type", "percent", "interval"]
    assert schema["$defs"]["Surge"]["required"] == ["type", "base"]
    assert schema["$defs"]["Surge"]["additionalProperties"] is False
    register_strategy.forget("own_canary")
    assert "OwnCanary" not in json_schema()["$defs"]
    register_strategy(OwnCanary)


@pytest.mark.parametrize(
    ("where", "changes", "message"),
    [
        ("strategies.own.type", {"strategies__own": {"type": "own_canry", "percent": 5, "interval": "5 min"}},
         "is not known, got 'own_canry'; did you mean 'own_canary'?"),
        ("strategies.own.percnt", {"strategies__own": {"type": "own_canary", "percnt": 5, "interval": "5 min"}},
         "unknown field; did you mean 'percent'? allowed type, percent, interval"),
        ("traffic[0].arrivals.custom.type", {"traffic": arriving(type="surg", base="5/s")},
         "is not known, got 'surg'; did you mean 'surge'? allowed surge, paired"),
        ("traffic[0].arrivals.custom.base", {"traffic": arriving(type="surge", base=5)}, "a rate needs a unit"),
        ("traffic[0].arrivals.custom", {"traffic": arriving(type="surge", base="5/s", more="9/s", begins="9 min")},
         "expected() of surge must be 0 at 0 s and finite, got -4860"),
        ("function.versions.2.faults[0].custom.errors",
         {"function__versions__2": failing({"custom": {"type": "constant", "errors": "120%"}})}, "must be at most 100%"),
        ("function.versions.2.faults[0]",
         {"function__versions__2": failing({"custom": {"type": "constant", "errors": "2%"}, "ramp": "1 min"})},
         "`ramp` belongs to built-in faults"),
        ("strategies.own", {"strategies__own": {"type": "own_canary", "percent": 100, "interval": "5 min"}},
         "a plan's weights rise from above 0 to 1, got 1, 1"),
    ],
)  # fmt: skip
def test_mistakes_in_the_file_get_the_usual_messages(where: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(**changes)
    (problem,) = caught.value.problems
    assert problem.startswith(f"test.yaml:1: {where}: ")
    assert message in problem


def test_a_name_that_nobody_registered_says_so() -> None:
    for registry, cls in ((register_fault, Flapping), (register_fault, Constant)):
        registry.forget(cls.type)
    try:
        with pytest.raises(ScenarioError, match="custom: is not known, got 'x'; no faults of your own are registered"):
            scenario(function__versions__2=failing({"custom": {"type": "x"}}))
        assert json_schema()["$defs"]["Fault"]["properties"]["custom"]["anyOf"][0]["required"] == ["type"]
    finally:
        register_fault(Flapping)
        register_fault(Constant)


# Protocols


@dataclass(frozen=True, kw_only=True)
class Broken:
    """What a class can break: each test gives it what it needs."""

    type: Literal["broken"] = "broken"
    mean_rate: ClassVar[float] = 5.0
    step: ClassVar[float] = 1.0
    says: ClassVar[Any] = None

    def expected(self, t: Any) -> Any:
        return type(self).says(t)

    def at(self, seconds: float) -> Any:
        return type(self).says(seconds)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (lambda t: -t, "must never fall, got a fall after 0 s"),
        (lambda t: t + 1, "must be 0 at 0 s"),
        (lambda t: float(t[-1]), "returns a count for each time"),
        (lambda t: np.where(t > 100, np.nan, t), "must be 0 at 0 s and finite"),
    ],
)
def test_an_expected_count_is_looked_at_before_it_is_used(says: Any, message: str) -> None:
    register_arrivals(Broken)
    Broken.says = staticmethod(says)
    try:
        with pytest.raises(ScenarioError, match=f"expected\\(\\) of broken .*{message}"):
            scenario(traffic=arriving(type="broken"))
    finally:
        register_arrivals.forget("broken")


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (lambda s: [Fault(errors=0.1, onset=s)] if s else [], "returns built-in faults without onset, ramp and until"),
        (lambda _: ["errors"], "returns built-in faults without onset, ramp and until, got 'errors'"),
        (lambda s: [Fault(errors=(s + 1) / 1e4)], "comes to more than 500 pieces; a longer `step` makes fewer"),
    ],
)
def test_an_register_fault_is_looked_at_before_it_is_used(says: Any, message: str) -> None:
    register_fault(Broken)
    Broken.says = staticmethod(says)
    try:
        with pytest.raises(ScenarioError, match=f"function.versions.2.faults\\[0\\].custom: .*{message}"):
            scenario(function__versions__2=failing({"custom": {"type": "broken"}}))
    finally:
        register_fault.forget("broken")


def test_times_that_fall_are_refused_when_they_come() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Falling:
        type: str = "falling"
        mean_rate: ClassVar[float] = 1.0

        def times(self, rng: np.random.Generator) -> Iterator[float]:
            del rng
            yield from (1.0, 3.0, 2.0)

    process = arrival_process(Arrivals(custom=Falling()), Streams(seed=1), "x", 60.0)
    with pytest.raises(ScenarioError, match=r"times\(\) of falling must never fall, got 2 s after 3 s"):
        process.block(0)


@pytest.mark.parametrize(
    ("registry", "members", "message"),
    [
        (register_strategy, {}, "needs plan"),
        (register_arrivals, {"mean_rate": 1.0}, "needs expected or times"),
        (register_arrivals, {"times": None}, "needs mean_rate"),
        (register_fault, {"at": None}, "needs step"),
    ],
)
def test_a_class_that_cannot_be_used_is_not_registered(registry: Any, members: dict[str, Any], message: str) -> None:
    bare = type("Bare", (), {"type": "bare", "__annotations__": {"type": str}, **members})
    with pytest.raises(TypeError, match="Bare must be a frozen dataclass"):
        registry(bare)
    with pytest.raises(TypeError, match=message):
        registry(dataclass(frozen=True)(bare))
    assert "bare" not in registry.classes()


def test_an_annotation_that_nobody_can_find_is_told_at_once() -> None:
    lost = type("Lost", (), {"type": "lost", "plan": 1, "__annotations__": {"type": "Unknown"}})
    with pytest.raises(TypeError, match=r"Lost has an annotation that is not known .*: name 'Unknown' is not defined"):
        register_strategy(dataclass(frozen=True)(lost))


def test_a_built_in_name_is_taken() -> None:
    with pytest.raises(ValueError, match="the name 'canary' is taken"):
        register_strategy(
            dataclass(frozen=True)(type("Mine", (), {"type": "canary", "__annotations__": {"type": str}, "plan": 1}))
        )


def test_what_was_computed_with_other_code_is_not_reused(tmp_path: Path) -> None:
    """A sweep keeps its cells; a class defined in a notebook may have changed meanwhile."""

    def made(hold: float, more: int = 0) -> type[Any]:
        members: dict[str, Any] = {
            "more": more,
            "type": "kept",
            "__annotations__": {"type": str},
            "__module__": "__main__",
        }
        members["plan"] = property(
            eval(
                f"lambda self: Plan(steps=(Step(weight=0.1, hold={hold}), Step(weight=1.0)))",
                {"Plan": Plan, "Step": Step},
            )
        )
        return dataclass(frozen=True)(type("Kept", (), members))

    keys = []
    for given in ((60.0,), (60.0,), (90.0,), (60.0, 1)):
        cls = made(*given)
        register_strategy(cls)
        assert len(fingerprint([cls(), cls(), 3])) == 1
        document = YamlDocument(data=data(strategies={"kept": {"type": "kept"}}), lines={}, path=Path("x.yaml"))
        swept = sweep(document, [axis(document, "horizon=10 min")], 5, out=tmp_path)
        keys.append(swept.cells[0].key)
    register_strategy.forget("kept")
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


# Processes and packages


@pytest.mark.long
def test_other_processes_know_them_too(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(full()), encoding="utf-8")
    given = Scenario.parse(read_yaml(path))
    # As in a notebook: the classes go along by value, because the other process cannot import where they are defined.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    one, two = (compare(given, 2048, ["own"], jobs=jobs).columns["own"] for jobs in (1, 2))
    assert all(np.array_equal(one[key], two[key], equal_nan=True) for key in one)


PACKAGE = """
from dataclasses import dataclass
from typing import Literal
from rollout_sim.extensions import Percent, Plan, Step

@dataclass(frozen=True, kw_only=True)
class Halves:
    type: Literal["halves"] = "halves"
    first: Percent
    @property
    def plan(self):
        return Plan(steps=(Step(weight=self.first, hold=300.0), Step(weight=1.0)))
"""


def installed(tmp_path: Path, entry: str) -> dict[str, str]:
    """The environment in which a package with an entry point is on the path, as if it were installed."""
    (tmp_path / "halves.py").write_text(PACKAGE, encoding="utf-8")
    info = tmp_path / "halves-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: halves\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[rollout_sim.strategies]\n{entry}\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path}


def rollout_sim(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "rollout_sim.cli", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_an_installed_package_is_known_to_the_command_line(tmp_path: Path) -> None:
    env = installed(tmp_path, "halves = halves:Halves")
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(data(strategies={"mine": {"type": "halves", "first": 50}})), encoding="utf-8")
    done = rollout_sim(env, "run", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
    refused = rollout_sim(dict(os.environ), "validate", str(path))
    assert refused.returncode == 2
    assert "strategies.mine.type: is not known, got 'halves'" in refused.stderr


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("halves = halves:Thirds", "cannot be used: module 'halves' has no attribute 'Thirds'"),
        ("halves = nowhere:Halves", "cannot be used: No module named 'nowhere'"),
        ("thirds = halves:Halves", "has another type"),
    ],
)
def test_an_entry_point_that_cannot_be_used_is_one_clear_error(tmp_path: Path, entry: str, message: str) -> None:
    done = rollout_sim(installed(tmp_path, entry), "schema")
    assert done.returncode == 2
    assert f"rollout_sim.strategies: the entry point {entry}" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
