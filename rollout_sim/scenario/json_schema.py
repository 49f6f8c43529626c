"""The JSON Schema of a scenario file, each field with its description, for editors and the reference page.

The descriptions are read from the source here, since pydantic's `use_attribute_docstrings` leaves out inherited fields,
which all of a scenario's are, and costs every `load` what only this module needs.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, get_type_hints

from rollout_sim.control.strategies import PREDEFINED, PREFIX
from rollout_sim.core.registry import ARRIVALS, FAULTS
from rollout_sim.scenario.examples import EXAMPLES
from rollout_sim.scenario.scenario import adapter
from rollout_sim.traffic.source import PRESETS


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file.

    A field's description is the text below it in its dataclass; defaults are written as a file writes them.
    """
    schema = adapter().json_schema()
    definitions = schema["$defs"]
    for kind in _dataclasses(adapter().core_schema, set()):
        _describe(schema if kind.__name__ == schema["title"] else definitions[kind.__name__], kind)
    # What the file may say besides, and `resolve_likes` turns into the shape of the types.
    versions = definitions["FunctionSpec"]["properties"]["versions"]
    inherited = {"type": "object", "required": ["like"], "properties": {"like": {"type": ["string", "integer"]}}}
    versions["additionalProperties"] = {"anyOf": [versions["additionalProperties"], inherited]}
    version = definitions["VersionSpec"]["properties"]
    parts = {
        "base": {"anyOf": list(version["duration"]["anyOf"])},
        "per_record": {"anyOf": list(version["per_record"]["anyOf"])},
    }
    shape = {"type": "object", "additionalProperties": False, "required": ["base"], "properties": parts}
    version["duration"]["anyOf"].append(shape)
    number = {"type": ["string", "integer"]}
    definitions["FunctionSpec"]["properties"]["aliases"]["additionalProperties"] = number
    for name in ("Rollout", "Promotion"):
        definitions[name]["properties"]["to"] |= number
    cron = definitions["Arrivals"]["properties"]["cron"]
    cron["anyOf"] = [{"type": "string"}, *cron["anyOf"]]
    retry = definitions["Source"]["properties"]["retry"]
    retry["anyOf"] = [{"enum": list(PRESETS)}, *retry["anyOf"]]
    names = [f"{prefix}{name}" for name in PREDEFINED for prefix in ("", PREFIX)]
    definitions["Predefined"]["properties"]["type"] |= {"enum": names}
    for reference in schema["properties"]["strategies"]["additionalProperties"]["oneOf"]:
        strategy = definitions[reference["$ref"].rsplit("/", 1)[1]]
        strategy["required"] = list(dict.fromkeys(["type", *strategy.get("required", [])]))
    for registry in (ARRIVALS, FAULTS):
        for cls in registry.classes().values():
            custom = definitions[cls.__name__]
            custom["required"] = list(dict.fromkeys(["type", *custom.get("required", [])]))
    incident = schema["properties"]["incident"]
    faults = {"type": incident.pop("type"), "items": incident.pop("items")}
    incident["anyOf"] = [faults, faults["items"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _describe(part: dict[str, Any], kind: type) -> None:
    from pydantic import TypeAdapter

    # Pydantic before 2.13 leaves out the texts of classes.
    part["description"] = inspect.cleandoc(kind.__doc__ or "")
    if kind in EXAMPLES:
        part["examples"] = [EXAMPLES[kind]]
    docs = field_docs(kind)
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        shown = part["properties"][field.name]
        shown["description"] = docs.get(field.name, "")
        if shown.get("default") is not None:
            shown["default"] = TypeAdapter(hints[field.name]).dump_python(field.default, mode="json")


def field_docs(kind: type) -> dict[str, str]:
    """The text below each field of a dataclass, the inherited ones included."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            docs |= _docs_of_module(base.__module__).get(base.__name__, {})
    return docs


@cache
def _docs_of_module(module: str) -> dict[str, dict[str, str]]:
    """Class to field to text, as the module's source has them."""
    docs: dict[str, dict[str, str]] = {}
    try:
        source = inspect.getsource(sys.modules[module])
    except (OSError, TypeError):  # a class of somebody's notebook
        return docs
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            texts = docs.setdefault(node.name, {})
            for line, below in zip(node.body, node.body[1:], strict=False):
                match line, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        texts[name] = inspect.cleandoc(text)
    return docs


def _dataclasses(part: Any, seen: set[type]) -> Iterator[type]:
    """Every dataclass in a core schema of pydantic's."""
    if isinstance(part, dict):
        if part.get("type") == "dataclass" and part["cls"] not in seen:
            seen.add(part["cls"])
            yield part["cls"]
        for below in part.values():
            yield from _dataclasses(below, seen)
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _dataclasses(item, seen)
