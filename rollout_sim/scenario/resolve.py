"""What a scenario file leaves to be worked out before it is read as types: `like:`, and short forms of some fields."""

from __future__ import annotations

from typing import Any

from rollout_sim.core.yaml_io import YamlDocument, listed, locate, problem
from rollout_sim.errors import ScenarioError


def resolve_likes(document: YamlDocument) -> dict[str, Any]:
    """The document's data in the shape that the types take.

    `like: 1` becomes a copy of version 1 under the fields given, a duration with a part for each record becomes two fields,
    numbers that stand for versions become text, and a single incident becomes a list of one. Raises ScenarioError for a
    `like` that leads nowhere or in circles.
    """
    data = dict(document.data)
    function = data.get("function")
    if isinstance(function, dict):
        function = dict(function)
        data["function"] = function
        if isinstance(function.get("versions"), dict):
            given = {str(number): _with_durations(spec) for number, spec in function["versions"].items()}
            resolved: dict[str, Any] = {}
            for number in given:
                _inherit(number, given, resolved, document)
            function["versions"] = {number: resolved[number] for number in given}
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


def _with_durations(spec: Any) -> Any:
    """A version with `duration: {base: ..., per_record: ...}` as the two fields that it stands for."""
    duration = spec.get("duration") if isinstance(spec, dict) else None
    if not isinstance(duration, dict) or "base" not in duration or not set(duration) <= {"base", "per_record"}:
        return spec
    parts = {"duration": duration["base"]}
    return {**spec, **parts, **{key: value for key, value in duration.items() if key == "per_record"}}


def _inherit(number: str, given: dict[str, Any], resolved: dict[str, Any], document: YamlDocument) -> None:
    """Puts the fields of the version `number`, and of all that it is `like`, into `resolved`, inherited ones included."""
    chain: dict[str, dict[str, Any]] = {}
    while number not in resolved and isinstance(spec := given[number], dict) and "like" in spec:
        chain[number] = spec
        like = str(spec["like"])
        wrong = None
        if like not in given:
            wrong = f"there is no version {like}; allowed {listed(given)}"
        elif like == number:
            wrong = "a version cannot be like itself"
        elif like in chain:
            wrong = f"versions {number} and {like} are like each other"
        if wrong is not None:
            where = ("function", "versions", number, "like")
            raise ScenarioError([problem(document.path, locate(document, where), where, wrong)])
        number = like
    base = resolved.setdefault(number, given[number])
    for heir, spec in reversed(chain.items()):
        if isinstance(base, dict):
            # The two exclude each other, so giving one takes the inherited other away.
            for name, other in (("cold_start", "cold_duration"), ("cold_duration", "cold_start")):
                if name in spec:
                    base = {key: value for key, value in base.items() if key != other}
            base = base | {key: value for key, value in spec.items() if key != "like"}
        resolved[heir] = base


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
