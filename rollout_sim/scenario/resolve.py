"""Scenario: one file as types: function, traffic, faults, SLOs, alarms, rollout and strategies.

`Scenario.load` reads, resolves (`like:`) and checks a file; `dump` writes it back fully resolved. All
that is wrong with a file is told at once, each problem with its line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_sim.core.yaml_io import YamlDocument, dotted, locate
from rollout_sim.errors import ScenarioError

if TYPE_CHECKING:
    pass


def resolve_likes(document: YamlDocument) -> dict[str, Any]:
    """The document's data in the shape that the types take.

    `like: 1` becomes a copy of version 1 under the fields given, numbers that stand for versions become
    text, and a single incident becomes a list of one.
    """
    data = dict(document.data)
    function = data.get("function")
    if isinstance(function, dict):
        function = dict(function)
        data["function"] = function
        if isinstance(function.get("versions"), dict):
            given = {str(number): spec for number, spec in function["versions"].items()}
            function["versions"] = {number: _inherit(number, given, document, ()) for number in given}
        if isinstance(function.get("aliases"), dict):
            function["aliases"] = {name: _text(version) for name, version in function["aliases"].items()}
    if isinstance(data.get("rollout"), dict) and "to" in data["rollout"]:
        data["rollout"] = {**data["rollout"], "to": _text(data["rollout"]["to"])}
    if isinstance(data.get("promotions"), list):
        data["promotions"] = [
            {**one, "to": _text(one["to"])} if isinstance(one, dict) and "to" in one else one
            for one in data["promotions"]
        ]
    if isinstance(data.get("incident"), dict):
        data["incident"] = [data["incident"]]
    return data


def _inherit(number: str, given: dict[str, Any], document: YamlDocument, seen: tuple[str, ...]) -> Any:
    spec = given[number]
    if not isinstance(spec, dict) or "like" not in spec:
        return spec
    like = str(spec["like"])
    where = ("function", "versions", number, "like")
    if like not in given:
        raise ScenarioError(
            [
                f"{document.path}:{locate(document, where)}: {dotted(where)}: there is no version {like}; allowed {', '.join(given)}"
            ]
        )
    if like == number:
        raise ScenarioError(
            [f"{document.path}:{locate(document, where)}: {dotted(where)}: a version cannot be like itself"]
        )
    if like in seen:
        raise ScenarioError(
            [
                f"{document.path}:{locate(document, where)}: {dotted(where)}: versions {number} and {like} are like each other"
            ]
        )
    base = _inherit(like, given, document, (*seen, number))
    own = {key: value for key, value in spec.items() if key != "like"}
    if not isinstance(base, dict):
        return base
    for one, other in (("cold_start", "cold_duration"), ("cold_duration", "cold_start")):
        if one in own:
            base = {key: value for key, value in base.items() if key != other}
    return {**base, **own}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
