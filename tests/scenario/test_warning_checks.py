"""What is allowed and probably not meant is told: each warning where it should come, and none where it should not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import scenario
from command import call

from rollout_sim.core.yaml_io import to_yaml
from rollout_sim.scenario.scenario import Scenario

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
ALARM = "alarms__errors__"
TRACE = {"trace": {"file": "three-minutes.csv", "layout": "counts"}}


def http(**arrivals: Any) -> list[dict[str, Any]]:
    return [{"source": "http", "alias": "prod", "arrivals": arrivals}]


def names(**changes: Any) -> list[tuple[str, str]]:
    return [(warning.name, str(warning).partition(": ")[0]) for warning in scenario(**changes).warnings()]


def test_what_a_queue_or_a_stream_is_not_meant_to_be() -> None:
    stream = {"source": "stream", "alias": "prod", "arrivals": {"poisson": "5/s"}}
    queue = {"source": "queue", "alias": "prod", "arrivals": {"poisson": "5/s"}, "batch": {"window": "2 s"}}
    assert names(traffic=[stream]) == [
        ("blocked-shard", "traffic[0].retries"),
        ("counted-retries", "alarms.errors.metric"),
    ]
    assert names(traffic=[stream | {"retries": {"attempts": 3}}]) == [("counted-retries", "alarms.errors.metric")]
    assert names(traffic=[queue | {"visibility_timeout": "31 s"}]) == [("visibility", "traffic[0].visibility_timeout")]
    assert names(traffic=[queue | {"visibility_timeout": "32 s"}]) == []
    visibility = ("visibility", "traffic[0].visibility_timeout")
    assert names(traffic=[queue | {"visibility_timeout": "2 min", "retention": "2 min"}]) == [visibility]
    assert names(traffic=[queue | {"visibility_timeout": "119 s", "retention": "2 min"}]) == []


def managed(load: float, **changes: Any) -> list[tuple[str, str]]:
    """The warnings about versions with a minimum of 30 places, for so many requests of a second at once."""
    spec = {"duration": "1 s"}
    settings = {
        "traffic": http(poisson=f"{load}/s"), "function__versions": {"1": spec, "2": {"like": "1"}},
        "function__managed": {"concurrency": 10, "environments": {"minimum": 3, "maximum": 20}},
    }  # fmt: skip
    return names(**(settings | changes))


def test_steps_that_managed_instances_cannot_follow_are_told() -> None:
    steps = {"canary": {"type": "canary", "percent": 10, "interval": "1 h"}}
    slow, quick = ({"linear": {"type": "linear", "percent": 10, "interval": every}} for every in ("2 min", "119 s"))
    warned = [("managed-growth", "strategies.canary")]
    assert managed(30, horizon="3 h", strategies=steps) == []
    assert managed(31, horizon="3 h", strategies=steps) == warned
    assert managed(100, horizon="3 h", strategies=slow) == []
    assert managed(100, horizon="3 h", strategies=quick) == [("managed-growth", "strategies.linear")]
    ready = {"canary": {**steps["canary"], "provisioned": 7, "allocation": "5 min"}}
    assert managed(100, horizon="3 h", strategies=ready) == []
    assert managed(101, horizon="3 h", strategies=ready) == warned
    assert managed(201) == [("managed-maximum", "function.managed.environments")]


def test_an_ordinary_scenario_has_no_warnings() -> None:
    assert names() == []


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_scenarios_have_none_but_the_one_that_is_meant(path: Path) -> None:
    meant: list[tuple[str, object]] = []
    if path.stem == "latency-regression":
        meant = [("unused-alarm", "p99-alias")]
    if path.stem == "managed-instances":  # whose question they answer
        meant = [("managed-growth", "instant"), ("managed-growth", "SAM default")]
    if path.stem == "ledger-stream":  # which is about them
        meant = [("blocked-shard", 0), ("counted-retries", "errors")]
    assert [(warning.name, warning.where[1]) for warning in Scenario.load(path).warnings()] == meant


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rollout__alarms": []}, [("no-alarm", "rollout.alarms"), ("unused-alarm", "alarms.errors")]),
        (
            {"goal": {"catch": {"of": {"error_rate": "5%"}, "at_least": "100%"}, "false_rollback": {"at_most": "0%"}}},
            [("undecidable-limit", "goal.catch.at_least"), ("undecidable-limit", "goal.false_rollback.at_most")],
        ),
        (
            {
                "goal": {
                    "catch": {"of": {"error_rate": "5%"}, "at_least": "99.9%"},
                    "false_rollback": {"at_most": "0.1%"},
                }
            },
            [],
        ),
        ({f"{ALARM}threshold": "> 100000"}, [("threshold", "alarms.errors.threshold")]),
        ({f"{ALARM}threshold": ">= 0"}, [("threshold", "alarms.errors.threshold")]),
        ({f"{ALARM}threshold": "< 0"}, [("threshold", "alarms.errors.threshold")]),
        ({f"{ALARM}period": "10 s"}, [("period", "alarms.errors.period")]),
        ({"slos": [{"name": "a", "objective": "0.999%"}]}, [("objective", "slos[0].objective")]),
        ({"function__timeout": "400 ms"}, [("timeout", "function.timeout")]),
        ({"horizon": "7 min"}, [("horizon", "horizon")]),
        (
            {"function__versions__2": {"like": "1", "faults": [{"errors": "20%", "onset": "15 min"}]}},
            [("late-fault", "function.versions.2.faults[0].onset")],
        ),
    ],
)
def test_each_mistake_has_its_warning(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert names(**changes) == expected


@pytest.mark.parametrize(
    ("alarm", "reached"),
    [
        ({"metric": "error_rate", "threshold": "> 99%"}, True),
        ({"metric": "error_rate", "threshold": ">= 100%"}, True),
        ({"metric": "error_rate", "threshold": "> 100%"}, False),
        ({"metric": "errors", "statistic": "average", "threshold": "> 100%"}, False),
        ({"metric": "duration", "threshold": "> 4 s"}, True),
        ({"metric": "duration", "threshold": "> 5 s"}, False),
        ({"metric": "burn_rate", "slo": "availability", "threshold": "> 14.4"}, True),
        ({"metric": "burn_rate", "slo": "availability", "threshold": "> 1001"}, False),
        ({"metric": "invocations", "threshold": "> 310"}, True),
        ({"metric": "invocations", "threshold": "> 500"}, False),
        ({"metric": "invocations", "threshold": "> 500", "period": "5 min"}, True),
    ],
)
def test_a_threshold_is_held_against_what_the_metric_can_come_to(alarm: dict[str, Any], reached: bool) -> None:
    assert names(alarms={"errors": alarm}) == ([] if reached else [("threshold", "alarms.errors.threshold")])


@pytest.mark.parametrize(
    ("alarm", "expected"),
    [
        ({"period": "5 min", "datapoints": "1 of 1"}, []),  # the periods slide
        ({"period": "5 min", "datapoints": "1 of 1", "window": "wall_clock"}, []),
        ({"period": "5 min", "datapoints": "1 of 1", "window": "wall_clock", "lag": "1 min"}, [("too-late", "alarms.errors")]),
        ({"period": "5 min", "datapoints": "2 of 2"}, [("too-late", "alarms.errors")]),
        ({"period": "5 min", "datapoints": "2 of 2", "missing": "breaching"}, []),
        ({"period": "1 min", "datapoints": "5 of 5"}, []),
        ({"period": "1 min", "datapoints": "6 of 6"}, [("too-late", "alarms.errors")]),
        ({"period": "1 min", "datapoints": "1 of 1", "lag": "4 min"}, []),
        ({"period": "1 min", "datapoints": "1 of 1", "lag": "5 min"}, [("too-late", "alarms.errors")]),
        ({"at_least": "60 requests"}, []),
        ({"at_least": "100 requests"}, [("guard", "alarms.errors.at_least")]),
    ],
)  # fmt: skip
def test_an_alarm_that_cannot_fire_within_the_rollout_is_told(alarm: dict[str, Any], expected: list[Any]) -> None:
    """A canary of 10% of 5/s for 5 min."""
    canary = {"canary": {"type": "canary", "percent": 10, "interval": "5 min"}}
    errors = {"metric": "errors", "of": "new_version", "threshold": "> 2", "missing": "not_breaching"}
    assert names(alarms={"errors": errors | alarm}, strategies=canary) == expected


def test_the_warnings_about_alarms_that_cannot_fire_hold_the_figures() -> None:
    canary = {"canary": {"type": "canary", "percent": 10, "interval": "5 min"}}
    late = scenario(alarms__errors__period="5 min", strategies=canary).warnings()[0]
    assert str(late) == (
        "alarms.errors: cannot turn red because of version 2 before the deployment is over: with 2 of 2 periods of 5 min "
        "it takes at least 6 min, which is too long for canary (5 min) [too-late]"
    )
    few = scenario(alarms__errors__at_least="100 requests", strategies=canary).warnings()[0]
    assert str(few) == (
        "alarms.errors.at_least: is never judged: it asks for 100 requests in 1 min, more than version 2 gets while it acts, "
        "with canary (30 expected) [guard]"
    )


def test_an_alarm_on_a_version_that_is_not_there_has_no_data() -> None:
    assert names(rollout=None, strategies=None) == [("unused-alarm", "alarms.errors"), ("no-data", "alarms.errors")]


def test_what_a_composite_alarm_reads_is_not_unused_and_is_not_judged_by_a_threshold() -> None:
    alarms = {
        "errors": {"metric": "errors", "of": "new_version", "threshold": "> 2", "missing": "not_breaching"},
        "all": {"rule": "ALARM(errors)"},
    }
    assert names(alarms=alarms, rollout__alarms=["all"]) == []


def test_retries_count_among_what_a_metric_can_come_to() -> None:
    retried = [{**http(poisson="5/s")[0], "retry": {"attempts": 3}}]
    assert names(alarms__errors__threshold="> 600", traffic=retried) == []
    assert names(alarms__errors__threshold="> 600") == [("threshold", "alarms.errors.threshold")]


def test_a_trace_that_is_over_before_the_rollout_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "three-minutes.csv").write_text("300\n300\n300\n")
    monkeypatch.chdir(tmp_path)
    (warning,) = scenario(traffic=http(**TRACE)).warnings()
    assert str(warning).startswith("traffic[0].arrivals.trace: ends at 3 min, before the rollout starts (5 min)")
    repeated = {"trace": TRACE["trace"] | {"repeat": True}}
    assert scenario(traffic=http(**repeated)).warnings() == ()


@pytest.mark.slow
def test_commands_tell_warnings_and_strict_makes_them_errors(tmp_path: Path) -> None:
    path = tmp_path / "quiet.yaml"
    quiet = scenario(alarms__errors__threshold="> 100000", horizon="6 min", slos=[])
    path.write_text(to_yaml(quiet.dump()))
    lines = path.read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "100000" in text)
    expected = f"{path}:{line}: alarms.errors.threshold: > 100000 is never reached"
    told = call("validate", path, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (0, f"{path}: valid\n")
    assert f"warning: {expected}" in told.stderr
    for command in ("validate", "run", "compare", "sweep", "recommend", "report"):
        axis = ["--axis", "seed=1,2"] if command == "sweep" else []
        strict = call(command, path, "--strict", *axis, cwd=tmp_path)
        assert strict.returncode == 2, command
        assert strict.stderr.startswith(expected), command
        assert [file.name for file in tmp_path.iterdir()] == ["quiet.yaml"]


SHARE = {
    "metrics": {
        "failed": {"metric": "errors", "of": "new_version"}, "calls": {"metric": "invocations", "of": "new_version"},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "threshold", "told"),
    [
        ("failed / calls", "> 5%", None),
        ("failed / calls", "> 5", "is never reached: the expression comes to 0 to 1; is > 5% meant?"),
        ("100 * failed / calls", "> 5", None),
        ("100 * failed / calls", "> 5%", "in percent already; is > 5 meant?"),
        ("100 * failed / calls", "> 100", "is never reached"),
        ("1 - failed / calls", "< 95", "holds for every value that the expression can have"),
        ("1 - failed / calls", "< 95%", None),
        ("IF(calls >= 20, 100 * failed / calls, 0)", ">= 0", "holds for every value"),
        ("failed / calls", "< 0", "the expression is never below 0"),
        ("failed + calls", "> 100000", "is never reached"),
        ("calls / failed", "> 100000", None),
    ],
)
def test_a_threshold_is_held_against_what_an_expression_can_come_to(
    expression: str, threshold: str, told: str | None
) -> None:
    alarms = {"errors": {"expression": expression, "threshold": threshold, **SHARE}}
    found = [str(warning) for warning in scenario(alarms=alarms).warnings()]
    assert len(found) == (told is not None)
    assert all(told in warning for warning in found if told)


SLOW = {"metric": "errors", "of": "new_version", "threshold": "> 2", "datapoints": "9 of 9"}
QUICK = {"metric": "errors", "of": "new_version", "threshold": "> 2"}


@pytest.mark.parametrize(
    ("alarm", "late"),
    [
        ({"rule": "ALARM(slow)"}, True),
        ({"rule": "ALARM(slow) OR ALARM(quick)"}, False),
        ({"rule": "ALARM(slow) AND ALARM(quick)"}, True),
        ({"rule": "ALARM(quick) AND NOT ALARM(slow)"}, False),
        ({"rule": "AT_LEAST(2, ALARM, (slow, quick))"}, True),
        ({"rule": "ALARM(inner)"}, True),
        ({"metric": "burn_rate", "slo": "availability", "threshold": "> 14.4"}, False),
        ({"metric": "burn_rate", "slo": "availability", "threshold": "> 14.4", "lag": "8 min"}, True),
        ({"metric": "errors", "threshold": "> 3", "datapoints": "9 of 9"}, True),
    ],
)  # fmt: skip
def test_every_kind_of_alarm_that_comes_too_late_is_told(alarm: dict[str, Any], late: bool) -> None:
    alarms = {"slow": SLOW, "quick": QUICK, "inner": {"rule": "ALARM(slow) AND ALARM(quick)"}, "errors": alarm}
    plan = {"canary": {"type": "canary", "percent": 10, "interval": "6 min"}}
    told = scenario(alarms=alarms, strategies=plan).warnings()
    assert [warning.where for warning in told if warning.name == "too-late"] == [("alarms", "errors")] * late


def test_a_drawn_start_is_too_late_only_where_every_phase_is() -> None:
    """A minute that is nearly over when the rollout starts counts as well: 5 of 5 minutes can be there after four."""
    plan = {"canary": {"type": "canary", "percent": 10, "interval": "290 s"}}
    late = {"strategies": plan, "alarms__errors__datapoints": "5 of 5"}
    assert ("too-late", "alarms.errors") in names(**late)
    assert ("too-late", "alarms.errors") not in names(**late, rollout__phase="random")
