"""What is wrong with a scenario file: pydantic's findings as messages that lead to the line.

Pydantic says *where* as a path through its own types, such as `("sli", "LatencySli", "latency")`; a person needs the
path through the file, `sli.latency`, and its line. The way from the one to the other is to walk pydantic's core schema
along the path and to drop the parts that choose among types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.strategies import PREFIX
from rollout_sim.core.yaml_io import (
    MAX_DEPTH,
    Where,
    YamlDocument,
    dotted,
    locate,
    nearest,
    problem,
    shorten,
    suggest,
    to_yaml,
)
from rollout_sim.scenario.examples import example_of

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


Schema = Mapping[str, Any]
_UNKNOWN: Final = "unexpected_keyword_argument"


def problems_of(
    error: ValidationError, document: YamlDocument, root: type, also: Mapping[type, Sequence[str]] | None = None
) -> list[str]:
    """Pydantic's findings about `document`, read as the dataclass `root`, as messages in the order of the file.

    Each has the form `FILE:LINE: where: what is wrong`. A field that is missing only because its name is misspelt is
    not reported a second time. Where a field takes one of several types, only the findings about the type that comes
    closest are kept. What was inherited through a sibling (`like: 1`) is reported where it stands, once. `also` names
    fields that a class takes in the file besides its own.
    """
    from pydantic import TypeAdapter

    types = _Types(TypeAdapter(root).core_schema)
    findings = [_Finding(detail, types, document, also or {}) for detail in error.errors(include_url=False)]
    misspelt = {f.meant for f in findings}
    told = [f for f in _closest(findings, document) if f.kind != "missing" or f.where not in misspelt]
    lines = sorted((locate(document, f.where), f.kind != _UNKNOWN, dotted(f.where), f.what) for f in told)
    messages = (problem(document.path, line, (where,) if where else (), what) for line, _, where, what in lines)
    return list(dict.fromkeys(messages))


class _Types:
    """The types of a dataclass's fields, as pydantic's core schema spells them out.

    A core schema is a tree of mappings, each with its `type`. For a field `sli: Literal["errors"] | LatencySli = "errors"`
    it is, shortened,

        {"type": "default", "schema": {"type": "union", "choices": [
            {"type": "literal", "expected": ["errors"]},
            {"type": "dataclass", "cls": LatencySli, "schema": {"type": "dataclass-args", "fields": [...]}}]}}

    of which `bare` gives the union, `alternative(union, "LatencySli")` the dataclass, and `inner(dataclass, "latency")`
    the schema of its field. A class that occurs more than once stands in `definitions`, and a reference in its places.
    """

    def __init__(self, schema: Schema) -> None:
        self.definitions: dict[str, Schema] = {}
        while schema["type"] == "definitions":
            self.definitions |= {definition["ref"]: definition for definition in schema["definitions"]}
            schema = schema["schema"]
        self.root = schema

    def bare(self, schema: Schema) -> Schema:
        """The schema inside defaults, `| None`, checks and references; a dataclass stays whole."""
        while schema["type"] != "dataclass" and ("schema" in schema or "schema_ref" in schema):
            schema = self.definitions[schema["schema_ref"]] if "schema_ref" in schema else schema["schema"]
        return schema

    def fields(self, schema: Schema) -> dict[str, Schema]:
        """The fields of a dataclass by the names that the file uses."""
        arguments = schema["schema"]
        while arguments["type"] != "dataclass-args":
            arguments = arguments["schema"]
        return {field.get("validation_alias", field["name"]): field["schema"] for field in arguments["fields"]}

    def alternative(self, schema: Schema, label: str) -> Schema:
        """The member of a union that pydantic calls `label`."""
        for choice in schema["choices"]:
            member, name = choice if isinstance(choice, tuple) else (choice, None)
            member = self.bare(member)
            if label in (name, member["cls"].__name__ if member["type"] == "dataclass" else member["type"]):
                return member
        return {"type": "any"}

    def inner(self, schema: Schema, part: str | int) -> Schema:
        """The schema of what stands under `part`: a field, a value of a mapping, an item of a list."""
        kind = schema["type"]
        below: Schema | None = None
        if kind == "dataclass":
            below = self.fields(schema).get(str(part))
        elif kind == "dict":
            below = schema.get("values_schema")
        elif kind in ("list", "tuple"):
            items = schema.get("items_schema")
            below = items[0] if isinstance(items, list) and items else items or None
        return below or {"type": "any"}


class _Finding:
    """One error of pydantic's, translated: `where` in the file, and `what` is wrong.

    For the file `slos: [{name: a, objective: 99%, sli: {latncy: 1 s}}]` pydantic reports, among others, an unexpected
    keyword argument at `("slos", 0, "sli", "LatencySli", "latncy")`. The finding about it has

    - `where` `("slos", 0, "sli", "latncy")`: the class is no part of the file;
    - `what` ``unknown field; did you mean 'latency'? allowed latency``, and `kind`, pydantic's name of the error;
    - `meant` `("slos", 0, "sli", "latency")`, the field that was probably meant, so that it is not reported as missing;
    - `fork` `("slos", 0, "sli")`, the field that takes one of several types (None outside of any), `label` the type that
      was tried, `LatencySli`, and `structured`, whether that type is a mapping in the file.
    """

    def __init__(
        self, detail: ErrorDetails, types: _Types, document: YamlDocument, also: Mapping[type, Sequence[str]]
    ) -> None:
        self.kind = detail["type"]
        self.where: Where = ()
        self.meant: Where | None = None
        self.fork: Where | None = None
        self.label = ""
        self.structured = False
        schema = holder = types.bare(types.root)
        for part in detail["loc"]:
            # Pydantic puts the chosen member of a union into the location; the file has nothing there.
            if schema["type"] == "tagged-union":
                schema = types.bare(schema["choices"].get(part, {"type": "any"}))
            elif schema["type"] == "union":
                if self.fork is None:
                    self.fork, self.label = self.where, str(part)
                schema = types.alternative(schema, str(part))
                self.structured = schema["type"] in ("dataclass", "dict")
            elif part != "[key]":
                holder, schema = schema, types.bare(types.inner(schema, part))
                # A mapping may stand for a list of one.
                if not (isinstance(part, int) and isinstance(_at(document.data, self.where), dict)):
                    self.where = (*self.where, part)
        names = [*also.get(holder["cls"], ()), *types.fields(holder)] if holder["type"] == "dataclass" else []
        self.what = _words(detail, schema, names, holder.get("cls"))
        if self.kind == "union_tag_invalid":
            self.where = (*self.where, str(schema.get("discriminator")))
        self.where = _inherited(document.data, self.where)
        if self.kind == _UNKNOWN and holder.get("cls") is Alarm and self.where[-1] in _COMPARED:
            self.what = _comparison(_at(document.data, self.where[:-1]) or {})
        if self.kind == _UNKNOWN:
            self.meant = (*self.where[:-1], nearest(str(self.where[-1]), names) or "")
        if self.fork is not None:
            self.fork = _inherited(document.data, self.fork)


def _words(detail: ErrorDetails, schema: Schema, names: Sequence[str], holder: type | None) -> str:
    """What is wrong at a place of the type `schema` in a dataclass, the `holder`, that takes the fields `names`."""
    kind, got = detail["type"], _show(detail["input"])
    if kind == _UNKNOWN:
        return f"unknown field{suggest(str(detail['loc'][-1]), names) or ';'} allowed {', '.join(names)}"
    if kind == "missing":
        if schema["type"] == "literal":
            return f"is missing; allowed {', '.join(map(str, schema['expected']))}"
        return "is missing" + _such_as(example_of(holder, str(detail["loc"][-1])) if holder else "")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = [str(tag) for tag in schema.get("choices", ()) if not str(tag).startswith(PREFIX)]  # both are taken
        if kind == "union_tag_not_found":
            return f"`{schema.get('discriminator')}` is missing; allowed {', '.join(tags)}"
        tag = str(detail.get("ctx", {}).get("tag"))
        return f"is not known, got {tag!r}{suggest(tag, tags) or ';'} allowed {', '.join(tags)}"
    if kind == "literal_error":
        values = [str(value) for value in schema.get("expected", ())] or re.findall(r"'([^']*)'", detail["msg"])
        return f"is not known, got {got}{suggest(str(detail['input']), values) or ';'} allowed {', '.join(values)}"
    if kind == "value_error":
        return str(detail.get("ctx", {}).get("error", detail["msg"]))
    wanted = next((text for prefix, text in _WANTED.items() if kind.startswith(prefix)), None)
    if wanted == _FIELDS:
        return f"needs {wanted}, got {got}{_such_as(example_of(schema['cls']) if 'cls' in schema else '')}"
    return f"needs {wanted}, got {got}" if wanted else f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {got}"


_COMPARED: Final = ("relative_to", "compared_to", "compare_to", "baseline", "versus")
"""What people call the field for which metric maths are."""


def _comparison(alarm: Mapping[str, Any]) -> str:
    """How an alarm compares the new version with the old one, in place of a field for it: what to write instead."""
    metric, versions = str(alarm.get("metric", "error_rate")), {"new": "new_version", "old": "old_version"}
    if metric == "error_rate":
        # Without the IF there would be no datapoint while the old version has no error.
        expression = "(new_errors / new_requests) / (IF(old_errors > 0, old_errors, 1) / old_requests)"
        counts = {"errors": "errors", "requests": "invocations"}
        metrics = {
            f"{age}_{name}": {"metric": counted, "of": of}
            for age, of in versions.items()
            for name, counted in counts.items()
        }
    else:
        statistic = {"statistic": alarm["statistic"]} if "statistic" in alarm else {}
        expression, metrics = (
            "new / old",
            {age: {"metric": metric, **statistic, "of": of} for age, of in versions.items()},
        )
    written = to_yaml({"expression": expression, "metrics": metrics}, layout="line")
    return f"unknown field; metric maths compare one version with another: in place of metric, statistic and of write {written[1:-1]}"


def _such_as(example: str) -> str:
    return f"; for example {example}" if example else ""


_FIELDS: Final = "a mapping of fields"
_WANTED: Final = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text (in quotes, where it looks like a number)",
    "bool": "true or false",
    "dataclass": _FIELDS,
    "model": _FIELDS,
    "dict": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
"""What to ask for, by how the name of pydantic's error begins."""


def _closest(findings: list[_Finding], document: YamlDocument) -> list[_Finding]:
    """The findings without those about types that the author cannot have meant.

    For `sli: {latncy: 1 s}`, where `errors` or a `LatencySli` may stand, pydantic reports that it is not `errors`, that
    `LatencySli` has no `latncy`, and that its `latency` is missing. A mapping was written, so only what is said about
    types that are mappings is kept; of several such types the one with the fewest unknown fields, then the fewest whose meaning
    cannot be guessed, then findings. For `sli: eror` it is the other way round.
    """
    kept = [finding for finding in findings if finding.fork is None]
    for fork in {finding.fork: None for finding in findings if finding.fork is not None}:
        members: dict[str, list[_Finding]] = {}
        for finding in findings:
            if finding.fork == fork:
                members.setdefault(finding.label, []).append(finding)
        mapping = isinstance(_at(document.data, fork), dict)
        fitting = [member for member in members.values() if member[0].structured == mapping] or list(members.values())
        if mapping:
            fitting = [min(fitting, key=_distance)]
        kept += [finding for member in fitting for finding in member]
    return kept


def _distance(member: list[_Finding]) -> tuple[int, int, int]:
    """How far the author was from writing the type that these findings are about: the least, the nearest."""
    unknown = [finding for finding in member if finding.kind == _UNKNOWN]
    return len(unknown), sum(finding.meant is None or not finding.meant[-1] for finding in unknown), len(member)


def _inherited(data: Mapping[str, Any], where: Where) -> Where:
    """`where`, led through `like: NAME` to the sibling in which it is written."""
    for i in range(1, len(where)):
        for _ in range(MAX_DEPTH):  # likes may go round in circles
            holder = _at(data, where[:i])
            if not isinstance(holder, dict) or "like" not in holder or where[i] in holder:
                break
            where = (*where[: i - 1], str(holder["like"]), *where[i:])
    return where


def _at(data: Any, where: Where) -> Any:
    """What stands at `where`, None where nothing does."""
    try:
        for part in where:
            data = data[part]
    except (LookupError, TypeError):
        return None
    return data


def _show(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else shorten(repr(value))
