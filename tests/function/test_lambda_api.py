"""The rules of versions and aliases, row by row, and the history that keeps what ran where traceable."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.errors import (
    InvalidParameterValueException,
    LambdaError,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
    ScenarioError,
    ValidationException,
)
from rollout_sim.function.lambda_api import LATEST, Alias, Function, HistoryEntry

Call = Callable[[Function], object]
weights = st.floats(min_value=0.0, max_value=1.0)
draws = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


class Clock:
    """Seconds that a test sets by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def function(versions: int = 3, clock: Callable[[], float] = lambda: 0.0) -> Function:
    """A function with `versions` published versions and the alias `prod` on version 1."""
    f = Function("checkout", clock)
    for number in range(1, versions + 1):
        f.update_code(code_sha256=f"sha-{number}")
        f.publish_version(f"release {number}")
    f.create_alias("prod", function_version="1")
    return f


def state(f: Function) -> object:
    """Everything that a refused call must leave alone."""
    pointers = [(a.name, a.function_version, a.routing_config, a.revision_id, a.description) for a in f.list_aliases()]
    return f.list_versions(), pointers, f.history


# Errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ResourceConflictException, 409),
        (ResourceNotFoundException, 404),
        (InvalidParameterValueException, 400),
        (PreconditionFailedException, 412),
        (ValidationException, 400),
    ],
)
def test_errors_carry_the_api_name_and_status(error: type[LambdaError], status: int) -> None:
    raised = error("what is wrong")
    assert isinstance(raised, LambdaError)
    assert (raised.code, raised.status, raised.message, str(raised)) == (
        error.__name__, status, "what is wrong", "what is wrong",
    )  # fmt: skip


def test_a_scenario_error_lists_all_problems_and_survives_pickling() -> None:
    error = ScenarioError(["horizon: too short", "seed: not a number"])
    for copy in (error, pickle.loads(pickle.dumps(error))):
        assert copy.problems == ("horizon: too short", "seed: not a number")
        assert str(copy) == "horizon: too short\nseed: not a number"


# Versions


def test_a_fresh_function_has_latest_and_publishes_version_1_at_once() -> None:
    f = Function("checkout")
    assert [v.version for v in f.list_versions()] == [LATEST]
    latest = f.get_version(LATEST)
    assert latest.published_at is None
    first = f.publish_version("first")
    assert (first.version, first.code_sha256, first.description) == ("1", latest.code_sha256, "first")
    assert [v.version for v in f.list_versions()] == [LATEST, "1"]


def test_published_code_and_settings_are_immutable_and_latest_is_not() -> None:
    f = Function("checkout")
    environment = {"TABLE": "orders", "hosts": ["a"]}
    f.update_configuration(timeout=10, environment=environment)
    first = f.publish_version()
    environment["TABLE"] = "changed behind its back"
    f.update_code(code_sha256="other")
    f.update_configuration(timeout=20)
    assert f.get_version("1") == first
    assert first.code_sha256 != "other"
    assert first.configuration == {"timeout": 10, "environment": {"TABLE": "orders", "hosts": ("a",)}}
    assert f.get_version(LATEST).code_sha256 == "other"
    assert f.get_version(LATEST).configuration["timeout"] == 20
    assert f.get_version(LATEST).configuration["environment"]["TABLE"] == "orders"
    with pytest.raises(FrozenInstanceError):
        first.code_sha256 = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        first.configuration["timeout"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        first.configuration["environment"]["TABLE"] = "x"


def test_numbers_rise_and_are_never_reused() -> None:
    f = function(versions=3)
    f.delete_version("3")
    f.delete_version("2")
    assert [v.version for v in f.list_versions()] == [LATEST, "1"]
    # Version 3 is gone, so there is nothing unchanged to return: the same code gets a new number.
    assert f.publish_version().version == "4"
    f.update_code(code_sha256="sha-5")
    assert f.publish_version().version == "5"


def test_numbers_are_ordered_as_numbers() -> None:
    assert [v.version for v in function(versions=11).list_versions()] == [LATEST, *map(str, range(1, 12))]


def test_publishing_with_nothing_changed_returns_the_existing_version() -> None:
    f = function(versions=2)
    before = state(f)
    again = f.publish_version("a new description, ignored")
    assert again is f.get_version("2")
    assert again.description == "release 2"
    assert state(f) == before


def test_unchanged_means_since_the_last_publish_not_since_any() -> None:
    f = function(versions=2)
    f.update_code(code_sha256="sha-1")
    assert f.publish_version().version == "3"


def test_a_change_of_configuration_alone_allows_a_new_version() -> None:
    f = function(versions=1)
    f.update_configuration(environment={"A": {"deep": [1]}})
    assert f.publish_version().version == "2"
    f.update_configuration(environment={"A": {"deep": [1]}})
    assert f.publish_version().version == "2"
    f.update_configuration(environment={"A": {"deep": [2]}})
    assert f.publish_version().version == "3"


def test_publishing_under_the_right_hash_and_revision_id_is_accepted() -> None:
    f = function(versions=1)
    latest = f.update_code(code_sha256="sha-2")
    assert f.publish_version(code_sha256="sha-2", revision_id=latest.revision_id).version == "2"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.publish_version(code_sha256="wrong"), InvalidParameterValueException, r"CodeSHA256 \(wrong\)"),
        (lambda f: f.publish_version(revision_id="stale"), PreconditionFailedException, "Revision Id"),
        (lambda f: f.update_code("sha-9", revision_id="stale"), PreconditionFailedException, "Revision Id"),
        (lambda f: f.update_configuration(revision_id="stale", timeout=1), PreconditionFailedException, "Revision Id"),
        (lambda f: f.delete_version("1"), ResourceConflictException, "aliases prod$"),
        (lambda f: f.delete_version(LATEST), InvalidParameterValueException, "cannot be deleted"),
        (lambda f: f.delete_version("prod"), ValidationException, "'prod'"),
        (lambda f: f.get_version("99"), ResourceNotFoundException, "Function not found: arn:aws:lambda:.*:checkout:99"),
    ],
)  # fmt: skip
def test_refused_calls_on_versions(call: Call, error: type[LambdaError], message: str) -> None:
    f = function()
    before = state(f)
    with pytest.raises(error, match=message):
        call(f)
    assert state(f) == before


def test_deletion_is_refused_for_the_additional_version_too_and_names_every_alias() -> None:
    f = function()
    f.update_alias("prod", routing_config={"2": 0.0})
    f.create_alias("beta", function_version="2")
    with pytest.raises(ResourceConflictException, match=r"aliases beta, prod$"):
        f.delete_version("2")


def test_whether_an_additional_version_blocks_deletion_is_a_parameter() -> None:
    f = Function("checkout", additional_blocks_deletion=False)
    f.publish_version()
    f.update_code(code_sha256="sha-2")
    f.publish_version()
    f.create_alias("prod", function_version="1", routing_config={"2": 0.1})
    f.delete_version("2")
    with pytest.raises(ResourceConflictException):
        f.delete_version("1")


def test_deleting_a_version_or_alias_that_is_not_there_does_nothing() -> None:
    f = function()
    before = state(f)
    f.delete_version("99")
    f.delete_alias("nobody")
    assert state(f) == before


# Aliases


@pytest.mark.parametrize("name", ["production", "2024-01-02", "a", "_", "-", "v1_A-b", "1a", "x" * 128])
def test_alias_names_that_are_allowed(name: str) -> None:
    assert function().create_alias(name, function_version="1").name == name


@pytest.mark.parametrize("name", ["2024", "0", "", "a b", "a.b", "$LATEST", "prod\n", "2024\n", "é", "٣", "x" * 129])
def test_alias_names_that_are_refused(name: str) -> None:
    f = function()
    before = state(f)
    with pytest.raises(ValidationException, match="at 'name' failed to satisfy constraint"):
        f.create_alias(name, function_version="1")
    assert state(f) == before


@pytest.mark.parametrize("written", [{"2": 0.1}, {"AdditionalVersionWeights": {"2": 0.1}}])
def test_both_ways_to_write_a_routing_config(written: dict[str, float]) -> None:
    f = function()
    alias = f.create_alias("beta", function_version="1", routing_config=written)
    assert alias.routing_config == {"2": 0.1}
    assert f.update_alias("prod", routing_config=written).routing_config == {"2": 0.1}


@pytest.mark.parametrize("empty", [{}, {"AdditionalVersionWeights": {}}])
def test_an_empty_routing_config_clears_and_none_keeps(empty: dict[str, float]) -> None:
    f = function()
    f.update_alias("prod", routing_config={"2": 0.1})
    assert f.update_alias("prod").routing_config == {"2": 0.1}
    assert f.update_alias("prod", function_version="3").routing_config == {"2": 0.1}
    alias = f.update_alias("prod", routing_config=empty)
    assert (alias.function_version, alias.routing_config) == ("3", {})


@pytest.mark.parametrize("weight", [0, 0.0, 0.5, 1, 1.0])
def test_weights_from_0_to_1_are_allowed(weight: float) -> None:
    assert function().update_alias("prod", routing_config={"2": weight}).routing_config == {"2": weight}


ROUTING_ROWS = [
    pytest.param("1", {"2": 0.1, "3": 0.1}, InvalidParameterValueException, "greater than 1", id="two additional"),
    pytest.param("1", {"2": -0.01}, ValidationException, "greater than or equal to 0.0", id="weight below 0"),
    pytest.param("1", {"2": 1.01}, ValidationException, "less than or equal to 1.0", id="weight above 1"),
    pytest.param("1", {"2": float("nan")}, ValidationException, "2=nan", id="weight not a number"),
    pytest.param("1", {"$LATEST": 0.1}, ValidationException, r"\[0-9\]\+", id="key $LATEST"),
    pytest.param("1", {"two": 0.1}, ValidationException, r"\[0-9\]\+", id="key not a number"),
    pytest.param(LATEST, {"2": 0.1}, InvalidParameterValueException, "is not supported", id="$LATEST with routing"),
    pytest.param("2", {"2": 0.1}, InvalidParameterValueException, "already included", id="same version twice"),
    pytest.param("1", {"99": 0.1}, ResourceNotFoundException, "checkout:99", id="additional version missing"),
    pytest.param("99", None, ResourceNotFoundException, "checkout:99", id="primary version missing"),
    pytest.param("one", None, ValidationException, "'one'", id="primary not a number"),
    pytest.param("1", {"4": 0.1}, InvalidParameterValueException, "same role", id="other role"),
    pytest.param("1", {"5": 0.1}, InvalidParameterValueException, "same dead_letter_arn", id="other dead-letter queue"),
]


@pytest.mark.parametrize(("version", "routing", "error", "message"), ROUTING_ROWS)
@pytest.mark.parametrize("call", ["create", "update", "update AWS style"])
def test_refused_pointings(
    call: str, version: str, routing: dict[str, float] | None, error: type[LambdaError], message: str
) -> None:
    f = function()
    f.update_configuration(role="arn:aws:iam::123456789012:role/other")
    f.publish_version()
    f.update_configuration(role=None, dead_letter_arn="arn:aws:sqs:us-east-1:123456789012:queue")
    f.publish_version()
    before = state(f)
    with pytest.raises(error, match=message):  # noqa: PT012 - one call, whichever it is
        if call == "create":
            f.create_alias("beta", function_version=version, routing_config=routing)
        elif call == "update":
            f.update_alias("prod", function_version=version, routing_config=routing)
        else:
            aws = None if routing is None else {"AdditionalVersionWeights": routing}
            f.update_alias("prod", function_version=version, routing_config=aws)
    assert state(f) == before


def test_settings_other_than_role_and_dead_letter_queue_may_differ() -> None:
    f = function(versions=1)
    f.update_configuration(timeout=900)
    f.publish_version()
    assert f.update_alias("prod", routing_config={"2": 0.1}).routing_config == {"2": 0.1}


def test_latest_alone_is_allowed_as_primary() -> None:
    f = function()
    assert f.create_alias("dev", function_version=LATEST).route(0.5) == LATEST
    assert f.update_alias("prod", function_version=LATEST).function_version == LATEST


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: f.create_alias("prod", "2"), ResourceConflictException,
         "^Alias already exists: arn:aws:lambda:us-east-1:123456789012:function:checkout:prod$"),
        (lambda f: f.update_alias("prod", "2", revision_id="stale"), PreconditionFailedException, "Revision Id"),
        (lambda f: f.update_alias("beta", "2"), ResourceNotFoundException, "Cannot find alias arn: .*:checkout:beta"),
        (lambda f: f.get_alias("beta"), ResourceNotFoundException, "checkout:beta"),
        (lambda f: f.route("beta", 0.5), ResourceNotFoundException, "checkout:beta"),
        (lambda f: f.promote("prod", "beta"), ResourceNotFoundException, "checkout:beta"),
        (lambda f: f.promote("beta", "prod"), ResourceNotFoundException, "checkout:beta"),
        (lambda f: f.rollback("beta"), ResourceNotFoundException, "checkout:beta"),
        (lambda f: f.version_at("beta", 0.0), ResourceNotFoundException, "checkout:beta"),
        (lambda f: f.delete_alias("2024"), ValidationException, "'2024'"),
    ],
)  # fmt: skip
def test_refused_calls_on_aliases(call: Call, error: type[LambdaError], message: str) -> None:
    f = function()
    before = state(f)
    with pytest.raises(error, match=message):
        call(f)
    assert state(f) == before


@pytest.mark.parametrize("version", ["2", LATEST])
def test_a_partial_update_must_fit_the_weights_that_stay(version: str) -> None:
    f = function()
    f.update_alias("prod", routing_config={"2": 0.1})
    with pytest.raises(InvalidParameterValueException):
        f.update_alias("prod", function_version=version)
    assert f.update_alias("prod", function_version=version, routing_config={}).routing_config == {}


def test_aliases_are_listed_by_name_and_a_deleted_one_can_be_created_again() -> None:
    f = function()
    f.create_alias("beta", function_version="2", description="for friends")
    assert [(a.name, a.description) for a in f.list_aliases()] == [("beta", "for friends"), ("prod", "")]
    old = f.get_alias("beta").revision_id
    f.delete_alias("beta")
    assert [a.name for a in f.list_aliases()] == ["prod"]
    assert f.create_alias("beta", function_version="3").revision_id != old


def test_an_update_changes_the_alias_in_place_so_a_bound_route_stays_valid() -> None:
    f = function()
    alias = f.get_alias("prod")
    route = alias.route
    assert route(0.05) == "1"
    assert f.update_alias("prod", routing_config={"2": 0.1}) is alias
    assert (route(0.05), route(0.1)) == ("2", "1")
    f.rollback("prod")
    assert route(0.05) == "1"
    f.update_alias("prod", function_version="3")
    assert route(0.05) == "3"
    assert not hasattr(alias, "__dict__")


def test_a_routing_config_is_a_copy_both_ways() -> None:
    f = function()
    given_weights = {"2": 0.1}
    alias = f.update_alias("prod", routing_config=given_weights)
    given_weights["2"] = 0.9
    alias.routing_config["2"] = 0.9
    assert alias.routing_config == {"2": 0.1}
    assert f.history[-1].to_routing == {"2": 0.1}


# Revision ids


def test_every_update_changes_the_revision_id_and_the_current_one_is_accepted() -> None:
    f = function()
    alias = f.get_alias("prod")
    seen = [alias.revision_id]
    for weight in (0.1, 0.1, 0.2):
        f.update_alias("prod", routing_config={"2": weight}, revision_id=seen[-1])
        seen.append(alias.revision_id)
    assert len(set(seen)) == 4
    with pytest.raises(PreconditionFailedException):
        f.update_alias("prod", revision_id=seen[0])
    latest = f.get_version(LATEST).revision_id
    assert f.update_code(code_sha256="same", revision_id=latest).revision_id != latest


def test_revision_ids_are_the_same_in_every_run_and_differ_between_functions() -> None:
    def ids(name: str) -> list[str]:
        f = Function(name)
        f.publish_version()
        f.create_alias("prod", function_version="1")
        return [*(v.revision_id for v in f.list_versions()), f.get_alias("prod").revision_id]

    assert ids("checkout") == ids("checkout")
    assert len({*ids("checkout"), *ids("search")}) == 6


# Routing


@given(weight=weights, steps=st.integers(1, 500))
def test_the_share_of_a_uniform_grid_is_the_weight(weight: float, steps: int) -> None:
    """A grid of n draws gives the additional version within one draw of n × weight."""
    f = function()
    f.update_alias("prod", routing_config={"2": weight})
    served = [f.route("prod", k / steps) for k in range(steps)]
    assert abs(served.count("2") - steps * weight) <= 1
    assert served.count("1") + served.count("2") == steps


@given(u=draws, low=weights, high=weights)
def test_raising_the_weight_only_moves_draws_to_the_additional_version(u: float, low: float, high: float) -> None:
    low, high = sorted((low, high))
    f = function()
    f.update_alias("prod", routing_config={"2": low})
    before = f.route("prod", u)
    f.update_alias("prod", routing_config={"2": high})
    after = f.route("prod", u)
    assert (before, after) in {("1", "1"), ("1", "2"), ("2", "2")}


@given(u=draws, weight=weights)
def test_the_same_draw_gives_the_same_version_by_name_and_by_alias(u: float, weight: float) -> None:
    f = function()
    alias = f.update_alias("prod", routing_config={"2": weight})
    assert f.route("prod", u) == alias.route(u) == alias.route(u) == ("2" if u < weight else "1")


@given(u=draws)
def test_the_ends_of_the_weight(u: float) -> None:
    f = function()
    assert f.route("prod", u) == "1"
    f.update_alias("prod", routing_config={"2": 0.0})
    assert f.route("prod", u) == "1"
    f.update_alias("prod", routing_config={"2": 1.0})
    assert f.route("prod", u) == "2"


@pytest.mark.parametrize("u", [-1e-9, 1.0, 2.0, float("nan"), float("inf")])
def test_a_draw_outside_0_to_1_is_a_value_error(u: float) -> None:
    with pytest.raises(ValueError, match=r"must be in \[0, 1\), got"):
        function().route("prod", u)


# Promotion, rollback, history


def test_environments_work_through_the_same_calls() -> None:
    f = Function("checkout")
    f.create_alias("dev", function_version=LATEST)
    f.create_alias("test", function_version=f.publish_version().version)
    f.create_alias("prod", function_version="1")
    f.update_code(code_sha256="sha-2")
    assert f.get_version(f.route("dev", 0.3)).code_sha256 == "sha-2"
    f.update_alias("test", function_version=f.publish_version().version)
    assert (f.route("test", 0.3), f.route("prod", 0.3)) == ("2", "1")
    f.promote("test", "prod")
    assert f.route("prod", 0.3) == "2"
    assert f.history[-1].reason == "promoted from test"


def test_promotion_finishes_a_canary_and_refuses_a_weighted_source() -> None:
    f = function()
    f.create_alias("test", function_version="2")
    f.update_alias("prod", routing_config={"2": 0.1})
    before = state(f)
    with pytest.raises(InvalidParameterValueException, match="points to more than 1 version"):
        f.promote("prod", "test")
    assert state(f) == before
    prod = f.promote("test", "prod")
    assert (prod.function_version, prod.routing_config) == ("2", {})


def test_rollback_goes_back_and_a_second_one_undoes_it() -> None:
    f = function()
    f.update_alias("prod", routing_config={"2": 0.1})
    f.update_alias("prod", function_version="2", routing_config={})
    f.update_alias("prod", function_version="2")  # changes no version, so it is not what rollback undoes
    assert f.rollback("prod", reason="errors").function_version == "1"
    assert f.history[-1].reason == "errors"
    assert f.rollback("prod").function_version == "2"


def test_rollback_during_a_canary_clears_the_weights() -> None:
    f = function()
    f.update_alias("prod", function_version="2")
    f.update_alias("prod", routing_config={"3": 0.1})
    f.update_alias("prod", routing_config={"3": 0.5})
    prod = f.rollback("prod")
    assert (prod.function_version, prod.routing_config) == ("2", {})


def test_rollback_of_a_shift_written_the_other_way_round_does_not_finish_it() -> None:
    """The new version as primary, the old one with 90%: back is the old one."""
    f = function()
    f.update_alias("prod", function_version="2", routing_config={"1": 0.9})
    f.update_alias("prod", routing_config={"1": 0.5})
    prod = f.rollback("prod")
    assert (prod.function_version, prod.routing_config) == ("1", {})


def test_rollback_of_an_alias_created_with_weights_keeps_the_primary() -> None:
    f = function()
    f.create_alias("beta", function_version="2", routing_config={"3": 0.5})
    assert f.rollback("beta").route(0.0) == "2"


def test_rollback_with_nothing_to_go_back_to_is_refused() -> None:
    f = function()
    before = state(f)
    with pytest.raises(InvalidParameterValueException, match="no earlier version"):
        f.rollback("prod")
    assert state(f) == before
    # An alias of the same name before this one is not its past.
    f.update_alias("prod", function_version="2")
    f.delete_alias("prod")
    f.create_alias("prod", function_version="3")
    with pytest.raises(InvalidParameterValueException, match="no earlier version"):
        f.rollback("prod")


def test_rollback_to_a_deleted_version_is_refused() -> None:
    f = function()
    f.update_alias("prod", function_version="2")
    f.delete_version("1")
    with pytest.raises(ResourceNotFoundException, match="checkout:1"):
        f.rollback("prod")
    assert f.route("prod", 0.5) == "2"


def test_the_history_says_when_what_from_what_to_what_and_why() -> None:
    clock = Clock()
    f = Function("checkout", clock)
    f.publish_version("first")
    f.update_code(code_sha256="sha-2")
    clock.now = 5.0
    assert f.publish_version("second").published_at == 5.0
    f.create_alias("prod", function_version="1", description="customers")
    clock.now = 10.0
    f.update_alias("prod", routing_config={"2": 0.1}, reason="canary")
    clock.now = 20.0
    f.update_alias("prod", function_version="2", routing_config={}, reason="done")
    clock.now = 30.0
    f.delete_alias("prod")
    f.delete_version("1")

    def row(e: HistoryEntry) -> tuple[object, ...]:
        return e.at, e.action, e.alias, e.from_version, e.to_version, e.from_routing, e.to_routing, e.reason

    assert [row(e) for e in f.history] == [
        (0.0, "publish_version", None, None, "1", {}, {}, "first"),
        (5.0, "publish_version", None, None, "2", {}, {}, "second"),
        (5.0, "create_alias", "prod", None, "1", {}, {}, "customers"),
        (10.0, "update_alias", "prod", "1", "1", {}, {"2": 0.1}, "canary"),
        (20.0, "update_alias", "prod", "1", "2", {"2": 0.1}, {}, "done"),
        (30.0, "delete_alias", "prod", "2", None, {}, {}, ""),
        (30.0, "delete_version", None, "1", None, {}, {}, ""),
    ]
    f.history.clear()
    assert len(f.history) == 7
    assert pickle.loads(pickle.dumps(f.history)) == f.history
    with pytest.raises(FrozenInstanceError):
        f.history[0].reason = "rewritten"  # type: ignore[misc]


def test_version_at_replays_the_history() -> None:
    clock = Clock()
    f = Function("checkout", clock)
    f.publish_version()
    f.update_code(code_sha256="sha-2")
    f.publish_version()
    clock.now = 1.0
    f.create_alias("prod", function_version="1")
    clock.now = 10.0
    f.update_alias("prod", routing_config={"2": 0.25})
    clock.now = 20.0
    f.update_alias("prod", function_version="2", routing_config={})
    f.rollback("prod")  # at the same instant: the last one counts
    clock.now = 30.0
    f.delete_alias("prod")
    assert f.version_at("prod", 0.9) == {}
    assert f.version_at("prod", 1.0) == f.version_at("prod", 9.9) == {"1": 1.0}
    assert f.version_at("prod", 10.0) == f.version_at("prod", 19.9) == {"1": 0.75, "2": 0.25}
    assert f.version_at("prod", 20.0) == {"1": 1.0}
    assert f.version_at("prod", 30.0) == {}


@given(updates=st.lists(st.tuples(st.sampled_from("123"), st.none() | weights), max_size=8), u=draws)
def test_the_history_always_knows_what_the_alias_serves(updates: list[tuple[str, float | None]], u: float) -> None:
    clock = Clock()
    f = function(clock=clock)
    served: list[tuple[float, str, dict[str, float]]] = []
    for version, weight in updates:
        clock.now += 1.0
        routing = {} if weight is None else {str(int(version) % 3 + 1): weight}
        alias = f.update_alias("prod", function_version=version, routing_config=routing)
        served.append((clock.now, alias.route(u), alias.routing_config))
    for t, version, routing in served:
        shares = f.version_at("prod", t + 0.5)
        assert version in shares
        assert routing.items() <= shares.items()
        assert sum(shares.values()) == pytest.approx(1.0)


def test_an_alias_on_its_own_routes_by_plain_attributes() -> None:
    alias = Alias(name="prod", function_version="1", description="", revision_id="")
    assert alias.route(0.0) == "1"
    alias.additional_version, alias.additional_weight = "2", 0.5
    assert (alias.route(0.49), alias.route(0.5)) == ("2", "1")
