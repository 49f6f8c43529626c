"""The reference of a scenario file, field by field, from its JSON Schema: for `rollout-sim explain` and the site."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from rollout_sim.control.strategies import PREFIX
from rollout_sim.core.units import TICK, UNITS, text
from rollout_sim.core.yaml_io import listed, suggest, to_yaml
from rollout_sim.errors import ScenarioError
from rollout_sim.scenario.json_schema import json_schema

_DISTRIBUTION: Final = "lognormal"
"""What a schema that stands for a distribution has among its shapes."""
_LINK: Final = re.compile(r"\[([^]]+)\]\(#[^)]*\)")


def explained(path: str, width: int) -> list[str]:
    """What stands at `path`, such as `traffic.arrivals` or `function.versions.2.duration`, in lines of up to `width` columns.

    Without a path: the sections of a file. Numbers of a list and names of one's own may be left out. Raises
    ScenarioError for a field that there is not.
    """
    schema = json_schema()
    steps = [step for step in re.split(r"[.\[\]]+", path) if step]
    shown, holder, name = schema, schema, ""
    for number, step in enumerate(steps):
        fields: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        for part in _parts(schema, shown):
            fields = {field: (part, inner) for field, inner in part["properties"].items()} | fields
        named = shown.get("additionalProperties")
        if step in fields:
            (holder, shown), name = fields[step], step
        elif isinstance(named, dict):
            shown = {"description": shown["description"], **named}
        elif not step.isdigit():
            where = ".".join(steps[:number]) or "the file"
            what = f"{where} has no field {step!r}; allowed {listed(fields)}{suggest(step, fields)}"
            raise ScenarioError([f"{path}: {what}"])
    paragraphs: list[tuple[str, str]] = []
    if name:
        paragraphs.append(("", f"{path}: {_about(name, shown, holder)}"))
        paragraphs += [
            ("  ", f"{name}: {to_yaml(example[name], layout='line')}") for example in _examples(holder, name)
        ]
    for part in _parts(schema, shown):
        paragraphs += [("", ""), ("", f"{part['title']}: {part['description']}")] if name else []
        paragraphs += [("  ", to_yaml(example, layout="line")) for example in _examples(part)] if name else []
        paragraphs += [("", "")] if name else []
        longest = max(map(len, part["properties"]))
        for field, inner in part["properties"].items():
            paragraphs.append((f"  {field:{longest}}  ", _about(field, inner, part)))
    return [line for head, words in paragraphs for line in _wrapped(head, words, width)]


def _about(field: str, shown: dict[str, Any], part: dict[str, Any]) -> str:
    return f"{shown['description']} ({default(field, shown, part)} {kind(shown)})"


def _examples(part: dict[str, Any], field: str | None = None) -> list[dict[str, Any]]:
    return [example for example in part.get("examples", ()) if field is None or field in example]


def _wrapped(head: str, markdown: str, width: int) -> list[str]:
    """Text behind a head, its further lines under its first; without the marks of Markdown."""
    words = " ".join(_LINK.sub(r"\1", markdown).replace("`", "").replace("**", "").split())
    return textwrap.wrap(words, width, initial_indent=head, subsequent_indent=" " * (len(head) or 2)) or [""]


def _parts(schema: dict[str, Any], shown: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts with fields of their own that may stand where `shown` describes the value, in lists and under names, too."""
    if "$ref" in shown:
        yield from _parts(schema, schema["$defs"][shown["$ref"].rsplit("/", 1)[1]])
        return
    if "title" in shown and "description" in shown and "properties" in shown:
        yield shown
        return
    for inner in (
        *shown.get("anyOf", ()),
        *shown.get("oneOf", ()),
        shown.get("items"),
        shown.get("additionalProperties"),
    ):
        if isinstance(inner, dict):
            yield from _parts(schema, inner)


def default(field: str, shown: dict[str, Any], schema: dict[str, Any]) -> str:
    """Whether the field must be given, else its default as the file would write it."""
    if field in schema.get("required", []):
        return "**required**:"
    value = shown.get("default")
    if value in (None, "", [], {}):
        return "optional:"
    written = ", ".join(value) if isinstance(value, list) else _flow(value)
    return f"default `{written}`:"


def _flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items() if inner is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind(shown: dict[str, Any]) -> str:
    """The type of a field, for people; links lead to the other parts."""
    if "$ref" in shown:
        name = shown["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "enum" in shown:
        return " ".join(f"`{value}`" for value in shown["enum"] if not str(value).startswith(PREFIX))
    if "const" in shown:
        return f"`{shown['const']}`" if shown["const"] else ""
    for key in ("anyOf", "oneOf"):
        if key in shown:
            if any(_DISTRIBUTION in choice.get("properties", {}) for choice in shown[key]):
                return "[distribution](#distributions)"
            texts = [kind(choice) for choice in shown[key] if choice.get("type") != "null"]
            return " or ".join(dict.fromkeys(text for text in texts if text))
    return _plain_kind(shown)


def _plain_kind(shown: dict[str, Any]) -> str:
    """The type of what is no union and no reference."""
    match shown.get("type"):
        case "array":
            return f"list of {kind(shown['items'])}"
        case "object" if isinstance(shown.get("additionalProperties"), dict):
            return f"names, each with {kind(shown['additionalProperties'])}"
        case "object":
            return f"`{_flow(dict.fromkeys(shown['properties'], '...'))}`"
        case "string" if "title" in shown and shown["title"] in UNITS:
            _, _, bounds = shown["description"].partition("; ")
            noise = f"at least {text(TICK, 'duration')}"
            more = f", {bounds}" if bounds and bounds != noise else ""
            return f"[{shown['title']}](#quantities){more}"
        case "string" if "examples" in shown:
            return "such as " + ", ".join(f"`{example}`" for example in shown["examples"])
        case list() as several:
            return " or ".join(_plain_kind({"type": name}) for name in several)
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` `false`"}[shown["type"]]
