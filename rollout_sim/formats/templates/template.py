"""Templates: a CloudFormation document, SAM or plain, YAML or JSON, with the line of each resource; and its parameters' values.

A user gives values with `--parameter`, or in one of the files that AWS's own tools take: the JSON of
`aws cloudformation deploy --parameter-overrides file://...` and its relatives, and SAM's `samconfig.toml`.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rollout_sim.core.files import read_regular
from rollout_sim.core.yaml_io import MAX_BYTES, Where, read_documents, read_tagged, shorten, suggest
from rollout_sim.errors import ScenarioError
from rollout_sim.formats.templates.intrinsics import PSEUDO, Resolver
from rollout_sim.formats.templates.loops import LOOP, unrolled

SAM_FUNCTION: Final = "AWS::Serverless::Function"
SECTIONS: Final = ("Parameters", "Conditions", "Mappings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One document: `data` with its `Globals` merged into its functions, and where each resource stands."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Where, int]
    remarks: tuple[str, ...] = ()
    """What of it is not read at all."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Where a file has no lines to speak of: what it calls each resource."""

    def place(self, *where: str | int) -> str:
        """File and line, without folders, of what stands at `where`, or of the nearest thing around it."""
        if len(where) > 1 and where[1] in self.addresses:
            return f"{self.path.name}: {self.addresses[str(where[1])]}"
        return f"{self.path.name}:{self.line(*where)}"

    def line(self, *where: str | int) -> int:
        """The line of what stands at `where`, or of the nearest thing around it."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


def _key_of(tag: str) -> str:
    """The key that a tag is short for: `!Ref` is `Ref`, `!Sub` is `Fn::Sub`."""
    name = tag.removeprefix("!")
    return name if name in ("Ref", "Condition") else f"Fn::{name}"


def read_template(path: Path, parameters: Mapping[str, str] | None = None) -> Template:
    """The template in a file, its loops written out with the values of `parameters`.

    Raises ScenarioError for a file that cannot be read or that is none.
    """
    document = read_tagged(path, _key_of, "a template")
    given = document.data.get("Resources")
    if not isinstance(given, Mapping):
        raise ScenarioError([f"{path}: Resources: a template needs them as a mapping of resources with `Properties`"])
    complete, remarks = dict(document.data), list[str]()
    for section in SECTIONS:
        complete[section] = complete.get(section) or {}
        if not isinstance(complete[section], Mapping):
            raise ScenarioError([f"{path}: {section}: must be a mapping, got {shorten(str(complete[section]))}"])
    resources: dict[str, Any] = {}
    lines = dict(document.lines)
    turns: list[None] = []
    complete["Conditions"] = unrolled(complete["Conditions"], Resolver(complete, parameters or {}), remarks, turns)
    for identity, resource in given.items():
        if identity.startswith("Fn::") and not identity.startswith(LOOP):
            remarks.append(f"left out: {identity}: what it expands to is not read")
            continue
        made = unrolled({identity: resource}, Resolver(complete, parameters or {}), remarks, turns)
        twice = [name for name in made if name in resources or (name != identity and name in given)]
        if twice:
            remarks.append(
                f"left out: {identity}: {', '.join(twice)} would be there twice, which CloudFormation refuses"
            )
            continue
        resources |= made
        lines |= {("Resources", name): lines.get(("Resources", identity), 1) for name in made}
    for identity, resource in resources.items():
        if not isinstance(resource, Mapping) or not isinstance(resource.get("Properties") or {}, Mapping):
            line = lines.get(("Resources", identity), 1)
            what = "a template needs them as a mapping of resources with `Properties`"
            raise ScenarioError([f"{path}:{line}: Resources: {what}, got {identity}: {shorten(repr(resource))}"])
    complete["Resources"] = {
        identity: {**resource, "Properties": resource.get("Properties") or {}}
        for identity, resource in resources.items()
    }
    if complete.get("Globals"):
        _merge_globals(path, complete)
    complete["Parameters"] = dict(_parameters(complete["Parameters"], remarks))
    return Template(path=path, data=complete, lines=lines, remarks=tuple(remarks))


def _parameters(given: Mapping[str, Any], remarks: list[str]) -> Iterator[tuple[str, Any]]:
    """The parameters, without the defaults that CloudFormation refuses, which are remarks."""
    for name, parameter in given.items():
        default = parameter.get("Default") if isinstance(parameter, Mapping) else None
        allowed = None if default is None else _refusal(parameter, _plain(default))
        if allowed is None:
            yield name, parameter
            continue
        what = f"its default {shorten(repr(default))} is refused by CloudFormation (allowed {allowed})"
        remarks.append(f"the parameter {name}: {what}, so it has none")
        yield name, {key: value for key, value in parameter.items() if key != "Default"}


def _merge_globals(path: Path, template: dict[str, Any]) -> None:
    """Merges `Globals` into the functions, as SAM does. Raises ScenarioError."""
    try:
        from samtranslator.model.exceptions import InvalidResourceAttributeTypeException
        from samtranslator.plugins.globals.globals import Globals, InvalidGlobalsSectionException
    except ModuleNotFoundError:
        raise ScenarioError(
            [f"{path}: Globals: need the SAM translator; install it with: pip install 'rollout-sim[aws]'"]
        ) from None
    try:
        merged = Globals(template)
        for identity, resource in template["Resources"].items():
            if resource.get("Type") == SAM_FUNCTION:
                resource["Properties"] = merged.merge(
                    SAM_FUNCTION, resource["Properties"], identity, resource.get("IgnoreGlobals")
                )
    except (InvalidGlobalsSectionException, InvalidResourceAttributeTypeException) as error:
        raise ScenarioError([f"{path}: {error.message}"]) from None


def check_parameters(template: Template, given: Mapping[str, str]) -> None:
    """Raises ScenarioError for a value that CloudFormation would refuse, or of a parameter that there is not."""
    parameters = template.data["Parameters"]
    problems = []
    for name, value in given.items():
        if name in PSEUDO:
            continue
        if name not in parameters:
            allowed = ", ".join([*parameters, *PSEUDO])
            hint = suggest(name, [*parameters, *PSEUDO])
            problems.append(f"{template.path}: --parameter: there is no parameter {name!r}; allowed {allowed}{hint}")
            continue
        what = _refusal(parameters[name], value)
        if what is not None:
            problems.append(f"{template.path}: --parameter: {name}: got {value!r}; allowed {what}")
    if problems:
        raise ScenarioError(problems)


def _refusal(parameter: Any, value: str) -> str | None:
    """What CloudFormation allows of a parameter, if not this value."""
    if not isinstance(parameter, Mapping):
        return None
    values = parameter.get("AllowedValues")
    several = str(parameter.get("Type", "")).startswith(("List<", "CommaDelimitedList"))
    for part in value.split(",") if several else [value]:
        if (
            isinstance(values, list)
            and part.strip() not in [_plain(entry) for entry in values]
            and part not in map(_plain, values)
        ):
            return ", ".join(_plain(entry) for entry in values)
    pattern = parameter.get("AllowedPattern")
    if isinstance(pattern, str):
        try:
            if re.fullmatch(pattern, value) is None:
                return f"what matches {pattern}"
        except re.error:  # a pattern of Java that Python does not take
            pass
    if parameter.get("Type") == "Number":
        try:
            number = float(value)
        except ValueError:
            return "a number"
        low, high = (_number(parameter.get(bound)) for bound in ("MinValue", "MaxValue"))
        if (low is not None and number < low) or (high is not None and number > high):
            return f"a number {_range(low, high)}"
    else:
        low, high = (_number(parameter.get(bound)) for bound in ("MinLength", "MaxLength"))
        if (low is not None and len(value) < low) or (high is not None and len(value) > high):
            return f"text of a length {_range(low, high)}"
    return None


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {high:g}"
    return f"from {low:g}" if high is None else f"from {low:g} to {high:g}"


def read_parameters(path: Path, environment: str = "default") -> dict[str, str]:
    """The values in a file of parameters: JSON for the AWS command line, or `samconfig.toml` (or `.yaml`) with its `environment`.

    Raises ScenarioError for a file that is neither.
    """
    if path.suffix in (".yaml", ".yml"):
        return _of_samconfig(path, next(iter(read_documents(path)), None), environment)
    try:
        text = read_regular(path, MAX_BYTES).decode("utf-8")
    except ValueError as error:
        what = f"{path}: is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ScenarioError([what]) from None
    if path.suffix == ".toml":
        try:
            return _of_samconfig(path, tomllib.loads(text), environment)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ScenarioError([f"{path}: --parameters: is no TOML: {error}"]) from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ScenarioError([f"{path}: --parameters: is no JSON: {error}; allowed JSON or a samconfig.toml"]) from None
    return dict(_pairs(path, data))


def _pairs(path: Path, data: Any) -> Iterator[tuple[str, str]]:
    """The forms of the AWS command line: a list of keys and values, of `NAME=VALUE`, or a mapping. Raises ScenarioError."""
    if isinstance(data, Mapping):
        data = data.get("Parameters", data)
    if isinstance(data, Mapping):
        data = [{"ParameterKey": name, "ParameterValue": value} for name, value in data.items()]
    for entry in data if isinstance(data, Sequence) and not isinstance(data, str) else [data]:
        if isinstance(entry, Mapping) and "ParameterKey" in entry:
            value = entry.get("ParameterValue")
            if value is not None:  # UsePreviousValue: only the stack knows it
                yield (
                    str(entry["ParameterKey"]),
                    ",".join(map(_plain, value)) if isinstance(value, list) else _plain(value),
                )
        elif isinstance(entry, str) and "=" in entry:
            name, _, value = entry.partition("=")
            yield name, value
        else:
            allowed = '[{"ParameterKey": ..., "ParameterValue": ...}], ["NAME=VALUE"] or {"Parameters": {...}}'
            raise ScenarioError([f"{path}: --parameters: got {shorten(repr(entry))}; allowed {allowed}"])


_OVERRIDE: Final = re.compile(r"ParameterKey=(?P<key>[^,]+),ParameterValue=(?P<value>.*)", re.DOTALL)


def _of_samconfig(path: Path, given: Any, environment: str) -> dict[str, str]:
    """The overrides, the stack's name and the Region of one environment. Raises ScenarioError."""
    data: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    environments = [name for name, table in data.items() if isinstance(table, Mapping)]
    if environment not in environments:
        hint = suggest(environment, environments)
        raise ScenarioError(
            [f"{path}: --environment: got {environment!r}; allowed {', '.join(environments) or 'none'}{hint}"]
        )
    settings: dict[str, Any] = {}
    for command in ("global", "deploy"):
        table = data[environment].get(command)
        inner = table.get("parameters") if isinstance(table, Mapping) else None
        settings |= inner if isinstance(inner, Mapping) else {}
    overrides = settings.get("parameter_overrides", [])
    result = {}
    if isinstance(overrides, Mapping):
        result = {str(name): _plain(value) for name, value in overrides.items()}
    else:
        words = overrides if isinstance(overrides, list) else _words(path, str(overrides))
        for word in map(str, words):
            match = _OVERRIDE.fullmatch(word)
            name, equals, value = (match["key"], "=", match["value"]) if match else word.partition("=")
            if not equals:
                what = f"parameter_overrides: got {shorten(repr(word))}; allowed NAME=VALUE"
                raise ScenarioError([f"{path}: {environment}: {what}"])
            result[name] = value.strip('"')
    for name, pseudo in (("stack_name", "AWS::StackName"), ("region", "AWS::Region")):
        if name in settings:
            result.setdefault(pseudo, str(settings[name]))
    return result


def _words(path: Path, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ScenarioError([f"{path}: parameter_overrides: {error}, got {shorten(repr(text))}"]) from None
