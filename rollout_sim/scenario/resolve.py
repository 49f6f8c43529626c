"""What a scenario file leaves to be worked out before it is read as types: `like:`, and short forms of some fields."""

from __future__ import annotations

from typing import Any

from rollout_sim.core.yaml_io import YamlDocument, locate, problem
from rollout_sim.errors import ScenarioError


def resolve_likes(document: YamlDocument) -> dict[str, Any]:
    """The document's data in the shape that the types take.

    `like: 1` becomes a copy of version 1 under the fields given, numbers that stand for versions become
    text, and a single incident becomes a list of one. Raises ScenarioError for a `like` that leads nowhere or in circles.
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
            {**promotion, "to": _text(promotion["to"])}
            if isinstance(promotion, dict) and "to" in promotion
            else promotion
            for promotion in data["promotions"]
        ]
    if isinstance(data.get("incident"), dict):
        data["incident"] = [data["incident"]]
    return data


def _inherit(number: str, given: dict[str, Any], document: YamlDocument, seen: tuple[str, ...]) -> Any:
    """The fields of the version `number`, those that it is `like` included; `seen` are the versions on the way here."""
    spec = given[number]
    if not isinstance(spec, dict) or "like" not in spec:
        return spec
    like = str(spec["like"])
    wrong = None
    if like not in given:
        wrong = f"there is no version {like}; allowed {', '.join(given)}"
    elif like == number:
        wrong = "a version cannot be like itself"
    elif like in seen:
        wrong = f"versions {number} and {like} are like each other"
    if wrong is not None:
        where = ("function", "versions", number, "like")
        raise ScenarioError([problem(document.path, locate(document, where), where, wrong)])
    base = _inherit(like, given, document, (*seen, number))
    changes = {key: value for key, value in spec.items() if key != "like"}
    if not isinstance(base, dict):
        return base
    # The two exclude each other, so giving one takes the inherited other away.
    for name, other in (("cold_start", "cold_duration"), ("cold_duration", "cold_start")):
        if name in changes:
            base = {key: value for key, value in base.items() if key != other}
    return {**base, **changes}


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
