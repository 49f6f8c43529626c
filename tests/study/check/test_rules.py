"""Every rule has an example in which it finds something, with the right figure, and a change that mends that."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from checks import base, changed, checked, codes, example, finding, subject

from rollout_sim.function.faults import Fault
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.study.analytic import stop_probability
from rollout_sim.study.check import deployment_rules
from rollout_sim.study.check.checking import Subject, check
from rollout_sim.study.check.finding import edited
from rollout_sim.study.check.rules import RULES
from rollout_sim.study.comparison import compare

SLOW = {"RS303", "RS304", "RS205"}
CASES = [pytest.param(code, marks=[pytest.mark.slow] if code in SLOW else []) for code in RULES]
AIM = 0.072
"""The default goal's fault at an objective of 99.5%: 14.4 x 0.5%."""
ORDINARY = 0.0005


def within(value, estimate, slack=0.0) -> bool:
    return estimate.low - slack <= value <= estimate.high + slack


def test_nothing_is_found_in_the_scenario_that_the_examples_change(tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(base())
    result = checked(path)
    assert (result.findings, result.notes) == ((), ())
    assert result.plane.startswith("aggregate")


@pytest.mark.parametrize("code", CASES)
@pytest.mark.slow
def test_a_rule_finds_its_example_and_its_remedy_mends_it(code, tmp_path) -> None:
    path = example(code, tmp_path)
    found = finding(checked(path), code)
    assert found.name == RULES[code].name
    assert found.severity in (RULES[code].severity, "warning")
    line = path.read_text().splitlines()[found.place.line - 1]
    assert str(found.where[-1]) in line or str(found.where[0]) in line or line.startswith("- ")
    assert all(figure.low is not None for figure in found.figures.values())
    assert found.figures
    remedy = found.remedy
    assert remedy is not None
    assert remedy.figures
    assert remedy.text
    own = subject(path)
    mended = edited(own.scenario, remedy.edits, path)
    (result,) = check([Subject(name="orders", scenario=mended, origin=own.origin)]).checked
    assert code not in codes(result)


def test_messages_that_wait_for_their_group_are_not_hurt_by_their_batch(tmp_path) -> None:
    """Of a FIFO queue with few groups one message holds its group back, with and without partial failures: RS306 is silent."""
    queue = {"source": "queue", "alias": "live", "arrivals": {"poisson": "2/s"}, "batch": {"size": 3}}
    path = changed(tmp_path, traffic=[queue | {"fifo": {"groups": 3}, "visibility_timeout": "60 s"}])
    given = subject(path)
    evidence = SimpleNamespace(
        whole=given.scenario,
        scenario=given.scenario,
        origin=given.origin,
        deployment=SimpleNamespace(new="2", alias="live"),
        fault=Fault(errors=AIM),
        fault_text="7.2% errors",
        compare=lambda scenario, replications: compare(scenario, replications, twin=False),
    )
    assert list(RULES["RS306"].look(evidence)) == []


def test_the_codes_are_in_order_and_their_names_are_words() -> None:
    assert list(RULES) == sorted(RULES)
    for rule in RULES.values():
        assert rule.name == rule.name.lower()
        assert rule.summary.endswith(".")
        assert len(rule.why) > 80, rule.code
        assert rule.mend, rule.code


def stopping(path) -> float:
    """P(the goal's fault is stopped), by the closed form."""
    scenario = Scenario.load(path).with_faults("2", [Fault(errors=AIM)])
    chance = stop_probability(scenario, "rollout")
    assert chance is not None
    return chance


@pytest.mark.parametrize("code", ["RS102", "RS401"])
def test_how_often_the_fault_is_caught_is_what_the_closed_form_says(code, tmp_path) -> None:
    path = example(code, tmp_path)
    assert within(stopping(path), finding(checked(path), code).figures["caught"], slack=0.01)


def test_how_often_a_single_error_stops_or_blocks_a_good_version(tmp_path) -> None:
    result = checked(example("RS103", tmp_path))
    quiet = math.exp(-10 * 60 * ORDINARY)  # P(a minute of the alias without an error)
    assert within(1 - quiet, finding(result, "RS106").figures["blocked"], slack=0.01)
    assert within(quiet * (1 - quiet**10), finding(result, "RS103").figures["false_rollback"], slack=0.01)


def test_what_an_unwatched_rollout_costs(tmp_path) -> None:
    found = finding(checked(example("RS201", tmp_path)), "RS201")
    requests = 0.1 * 10 * 600 + 10 * 2400
    assert found.figures["promoted"].mean == 1
    expected = requests * (1 - (1 - AIM) * (1 - ORDINARY))
    assert found.figures["bad_requests"].mean == pytest.approx(expected, rel=0.01)
    assert "nothing watches the rollout" in found.message
    assert found.message.endswith(
        " bad requests within 50 min of the start"
    )  # how long is simulated depends on the plane


def test_an_alarm_that_is_not_listed_is_named(tmp_path) -> None:
    path = changed(tmp_path, rollout={"alias": "live", "to": 2, "start": "10 min"})
    found = finding(checked(path), "RS201")
    assert "(errors: defined, but not listed in rollout.alarms)" in found.message
    assert found.remedy is not None
    assert found.remedy.text == "rollout.alarms: [errors]"


def test_one_call_of_a_hook_finds_the_fault_as_often_as_it_happens(tmp_path) -> None:
    found = finding(checked(example("RS203", tmp_path)), "RS203")
    assert within(1 - (1 - AIM) * (1 - ORDINARY), found.figures["caught"], slack=0.005)
    assert "1 call finds 7.2% errors" in found.message


def test_many_calls_of_a_hook_are_enough(tmp_path) -> None:
    hook = {"before_allow_traffic": {"invocations": 100, "over": "1 min", "max_failures": 1}}
    path = changed(
        tmp_path, alarms={}, rollout={"alias": "live", "to": 2, "start": "10 min"},
        strategies={"rollout": {"type": "Canary10Percent5Minutes", "hooks": hook}},
    )  # fmt: skip
    assert codes(checked(path)) == []


def test_all_at_once_with_a_bake_gives_alarms_their_time(tmp_path) -> None:
    path = changed(tmp_path, strategies={"rollout": {"type": "all_at_once", "bake": "10 min"}})
    assert "RS202" not in codes(checked(path))


def test_the_share_of_the_traffic_that_bypasses_the_alias(tmp_path) -> None:
    found = finding(checked(example("RS302", tmp_path)), "RS302")
    assert within(2 / 12, found.figures["bypassing"], slack=0.001)


@pytest.mark.slow
def test_the_shift_throttles_and_the_reserve_mends_it(tmp_path) -> None:
    found = finding(checked(example("RS304", tmp_path)), "RS304")
    assert found.figures["throttles"].low > 1
    assert found.remedy is not None
    assert found.remedy.figures["throttles"].mean < 1


def test_provisioned_environments_save_the_cold_starts(tmp_path) -> None:
    found = finding(checked(example("RS305", tmp_path)), "RS305")
    assert found.figures["cold_starts"].low > 3
    assert found.remedy is not None
    assert found.remedy.figures["cold_starts"].mean == 0


def test_minutes_beyond_what_codedeploy_allows(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(deployment_rules, "search", lambda evidence, edits, aim: edits)

    def look(interval: str) -> list[Any]:
        own = subject(
            changed(tmp_path, strategies={"rollout": {"type": "canary", "percent": 10, "interval": interval}})
        ).scenario
        studied = compare(replace(own, horizon=50 * 3600.0), 4, twin=False)
        plans = {"rollout": own.strategies["rollout"].plan}
        return list(RULES["RS205"].look(SimpleNamespace(plans=plans, scenario=own, good=lambda: studied)))

    assert look("48 h") == []
    (match,) = look("2881 min")
    assert "rollout takes 2,881 min from the first to the last shift, CodeDeploy allows 2,880" in match.message
    (((edit,),),) = (match.remedy,)
    assert (edit.where, edit.value) == (("strategies", "rollout", "interval"), "2880 min")


@pytest.mark.parametrize(
    ("alarm", "reason"),
    [
        ({"period": "5 min", "datapoints": "3 of 3", "threshold": "> 0"}, "it needs 3 x 5 min, the rollout is over after 10 min"),
        ({"threshold": "> 0", "lag": "12 min"}, "it needs 1 x 1 min and 12 min of delay"),
        ({"threshold": "> 5000"}, "about 60 requests come in 1 min, the threshold is > 5000"),
        ({"metric": "error_rate", "threshold": "> 100%"}, "no error rate is > 100%"),
        ({"of": "old_version", "threshold": "> 5"}, "it watches the old version"),
    ],
)  # fmt: skip
def test_why_an_alarm_cannot_fire(alarm, reason, tmp_path) -> None:
    fields = {"metric": "errors", "of": "new_version", "missing": "not_breaching", **alarm}
    found = finding(checked(changed(tmp_path, alarms={"errors": fields})), "RS101")
    assert f"({reason}" in found.message
    assert found.figures["stopped"].mean == 0


def test_an_alarm_on_throttles_can_fire_where_nothing_is_throttled_now(tmp_path) -> None:
    errors = {
        "metric": "errors",
        "of": "new_version",
        "datapoints": "2 of 2",
        "threshold": "> 2",
        "missing": "not_breaching",
    }
    throttles = {"metric": "throttles", "threshold": "> 0", "missing": "not_breaching"}
    rollout = {"alias": "live", "to": 2, "start": "10 min", "alarms": ["errors", "throttles"]}
    result = checked(changed(tmp_path, alarms={"errors": errors, "throttles": throttles}, rollout=rollout))
    assert codes(result) == []


def test_an_alarm_that_others_make_up_for_is_a_note(tmp_path) -> None:
    errors = {
        "metric": "errors",
        "of": "new_version",
        "datapoints": "2 of 2",
        "threshold": "> 2",
        "missing": "not_breaching",
    }
    rollout = {"alias": "live", "to": 2, "start": "10 min", "alarms": ["errors", "outage"]}
    result = checked(
        changed(tmp_path, alarms={"errors": errors, "outage": {**errors, "threshold": "> 30"}}, rollout=rollout)
    )
    assert [(found.code, found.severity) for found in result.findings] == [("RS102", "note")]


def test_a_good_alarm_is_not_diluted_on_the_alias(tmp_path) -> None:
    alarm = {"metric": "errors", "of": "alias", "datapoints": "2 of 2", "threshold": "> 2", "missing": "not_breaching"}
    assert "RS104" not in codes(checked(changed(tmp_path, alarms={"errors": alarm})))


def test_a_goal_of_ones_own_fails_and_the_default_only_warns(tmp_path) -> None:
    alarm = {
        "metric": "errors",
        "of": "new_version",
        "datapoints": "2 of 2",
        "threshold": "> 4",
        "missing": "not_breaching",
    }
    own = {"catch": {"of": {"error_rate": "7.2%"}}}
    assert finding(checked(changed(tmp_path, alarms={"errors": alarm})), "RS401").severity == "warning"
    assert finding(checked(changed(tmp_path, alarms={"errors": alarm}, goal=own)), "RS401").severity == "error"


@pytest.mark.slow
def test_a_scenario_without_slos_or_without_a_rollout(tmp_path) -> None:
    assert checked(changed(tmp_path, slos=[])).notes == ("there is no SLO: one of 99.9% is taken",)
    result = checked(changed(tmp_path, rollout=None, strategies={}))
    assert result.findings == ()
    assert result.notes == ("nothing is rolled out, so nothing is checked",)


COMPOSITE = {
    "errors": {"metric": "errors", "of": "new_version", "threshold": "> 40", "missing": "not_breaching"},
    "slow": {"metric": "duration", "statistic": "p99", "threshold": "> 50 s", "missing": "not_breaching"},
    "both": {"rule": "ALARM(errors) AND ALARM(slow)"},
}
MATHS = {
    "rate": {
        "expression": "IF(requests >= 20, 100 * errors / requests, 0)", "threshold": "> 30", "missing": "not_breaching",
        "metrics": {
            "errors": {"metric": "errors", "of": "new_version"}, "requests": {"metric": "invocations", "of": "new_version"},
        },
    },
}  # fmt: skip


@pytest.mark.slow
def test_a_composite_alarm_that_cannot_fire(tmp_path) -> None:
    rollout = {"alias": "live", "to": 2, "start": "10 min", "alarms": ["both"]}
    found = finding(checked(changed(tmp_path, alarms=COMPOSITE, rollout=rollout)), "RS101")
    assert found.where == ("alarms", "both")


def test_metric_maths_that_hardly_fires(tmp_path) -> None:
    rollout = {"alias": "live", "to": 2, "start": "10 min", "alarms": ["rate"]}
    found = finding(checked(changed(tmp_path, alarms=MATHS, rollout=rollout)), "RS102")
    assert found.remedy is not None
    assert found.remedy.text == "alarms.rate.threshold: '> 6'"


OWN = {"failed-orders": {"counts": "bad_requests"}}
KINDS = {
    "5xx that no canary makes": ({"watch": {"metric": "responses_5xx", "threshold": "> 400", "missing": "not_breaching"}}, {}),
    "5xx of a single failure": ({"watch": {"metric": "responses_5xx", "threshold": "> 0", "missing": "not_breaching"}}, {}),
    "a share of 5xx": (
        {"watch": {"metric": "responses_5xx", "statistic": "average", "threshold": "> 0.2", "missing": "not_breaching"}}, {}
    ),
    "a metric of one's own": (
        {"watch": {"metric": "failed-orders", "threshold": "> 300", "missing": "not_breaching"}}, {"metrics": OWN}
    ),
    "both of two alarms": (COMPOSITE | {"watch": COMPOSITE["both"]}, {}),
    "a composite of one that is too strict": (COMPOSITE | {"watch": {"rule": "ALARM(errors) AND NOT ALARM(slow)"}}, {}),
    "a band that is too wide": (
        {"watch": {"metric": "errors", "band": 30, "threshold": "above", "datapoints": "3 of 3", "missing": "not_breaching"}}, {}
    ),
    "a share of successes": (
        {
            "watch": {
                "expression": "IF(requests >= 20, 100 - 100 * errors / requests, 100)", "threshold": "< 60",
                "missing": "not_breaching", "metrics": {"errors": {"metric": "errors"}, "requests": {"metric": "invocations"}},
            }
        }, {},
    ),
    "periods of metric maths": (
        {
            "watch": {
                "expression": "errors + 0", "period": "10 min", "threshold": "> 1", "datapoints": "2 of 2",
                "missing": "not_breaching", "metrics": {"errors": {"metric": "errors", "of": "new_version"}},
            }
        }, {},
    ),
    "durations, where errors are the fault": (
        {"watch": {"metric": "duration", "statistic": "p99", "threshold": "> 50 s", "missing": "not_breaching"}}, {}
    ),
    "invocations, which a good version has": (
        {"watch": {"metric": "invocations", "threshold": "> 550", "datapoints": "1 of 1", "missing": "not_breaching"}}, {}
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_alarm_has_a_change_that_mends_it(kind, tmp_path) -> None:
    alarms, sections = KINDS[kind]
    rollout = {"alias": "live", "to": 2, "start": "10 min", "alarms": ["watch"]}
    path = changed(tmp_path, alarms=alarms, rollout=rollout, **sections)
    result = checked(path)
    grave = [found for found in result.findings if found.code in ("RS101", "RS102", "RS103", "RS106")]
    assert grave, codes(result)
    own = subject(path)
    for found in grave:
        assert found.remedy is not None, found.message
        mended = edited(own.scenario, found.remedy.edits, path)
        (again,) = check([Subject(name="orders", scenario=mended, origin=own.origin)]).checked
        assert found.code not in codes(again), found.remedy.text
