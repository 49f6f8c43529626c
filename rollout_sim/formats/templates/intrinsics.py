"""Intrinsics: CloudFormation's functions (`!Ref`, `!Sub`, `!If` and so on), resolved as far as a template allows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from rollout_sim.core.yaml_io import shorten

MISSING: Final = object()
"""What `AWS::NoValue` leaves: the property does not exist."""
PSEUDO: Final[dict[str, Any]] = {
    "AWS::AccountId": "123456789012",
    "AWS::NotificationARNs": [],
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/stack/1",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}
"""CloudFormation's pseudo parameters, and what they are taken as where nobody gives them."""
_PLAIN: Final = ("AWS::NotificationARNs", "AWS::Partition", "AWS::URLSuffix")
"""The pseudo parameters that are nearly always the same, so that taking them needs no word."""
_NAMES: Final = re.compile(r"\$\{(!?)([^}]+)\}")
DYNAMIC: Final = re.compile(r"\{\{resolve:.*?\}\}")
"""A dynamic reference: a value that CloudFormation takes from Systems Manager or Secrets Manager."""
OWN_NAMES: Final = {
    "AWS::Serverless::Function": "FunctionName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::SQS::Queue": "QueueName",
}
"""The property with which a resource may be given a name of its own, by the resource's type."""


class UnresolvedError(ValueError):
    """A value that the template alone does not tell; the message says which and why."""


class BrokenError(UnresolvedError):
    """A template that CloudFormation refuses, whatever the deployment knows."""


class Symbol(str):
    """Stands for what only the deployment knows; its text is a logical id, an attribute such as `Orders.Arn`, or a parameter."""

    __slots__ = ()

    @property
    def shown(self) -> str:
        """The symbol inside other text, in signs that no name has: `⟨Orders⟩:live`."""
        return f"⟨{self}⟩"


class Unknown(Symbol):
    """A parameter without a value, or a function that only the deployment can carry out."""

    __slots__ = ()


class Resolver:
    """Resolves values of one template with its parameters.

    A reference to a resource becomes a `Symbol` with its logical id, `!GetAtt` one such as `Hook.Arn`: enough to find what
    is meant. `taken` collects what had to be decided on the way: conditions and which way they went, pseudo parameters.
    """

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self.template = template
        self.resources: Mapping[str, Any] = template.get("Resources", {})
        self.given = dict(parameters)
        self.taken: list[str] = []
        self._asked: list[str] = []
        self._held: dict[str, bool] = {}
        self._assumed: set[str] = set()
        self._lenient = 0

    def value(self, value: Any) -> Any:
        """`value` with every function in it resolved. Raises UnresolvedError."""
        if isinstance(value, Mapping):
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name in ("Ref", "Condition") or str(name).startswith("Fn::"):
                    return self._called(str(name), argument)
            resolved = {str(key): self.value(inner) for key, inner in value.items()}
            return {key: inner for key, inner in resolved.items() if inner is not MISSING}
        if isinstance(value, list):
            return [inner for inner in (self.value(item) for item in value) if inner is not MISSING]
        return value

    def text(self, value: Any) -> str:
        """`value` as text in which a `Symbol` takes the place of what is not known; the whole of it may be one.

        It never fails: `!Sub "${Name}-orders:live"` with an unknown `Name` is `⟨Name⟩-orders:live`.
        """
        self._lenient += 1
        try:
            resolved = self.value(value)
        except UnresolvedError as error:
            return Unknown(str(error))
        finally:
            self._lenient -= 1
        if resolved is MISSING:
            return Unknown("AWS::NoValue")
        if isinstance(resolved, str) and DYNAMIC.fullmatch(resolved):
            return Unknown(resolved)
        return resolved if isinstance(resolved, str) else str(resolved)

    def condition(self, name: str) -> bool:
        """Whether the condition holds. Raises UnresolvedError."""
        conditions = self.template.get("Conditions", {})
        if name not in conditions:
            raise BrokenError(f"there is no condition {name!r}")
        if name not in self._held:
            if name in self._asked:
                raise BrokenError(f"the condition {name} refers to itself")
            self._asked.append(name)
            lenient, self._lenient = self._lenient, 0  # what is unknown decides nothing
            try:
                self._held[name] = bool(self.value(conditions[name]))
            finally:
                self._asked.pop()
                self._lenient = lenient
        holds = self._held[name]
        if name not in self._assumed:
            self._take(f"the condition {name} was taken as {str(holds).lower()}")
        return holds

    def assume(self, name: str, *, holds: bool) -> None:
        """Takes a condition that is not known as held or not, from here on wherever it is asked; who calls this says so."""
        self._held[name] = holds
        self._assumed.add(name)

    def physical(self, symbol: str) -> str:
        """What `!Ref` of a resource gives in the deployment, as far as the template tells: its own name, or the shown symbol."""
        resource = self.resources.get(symbol)
        own = OWN_NAMES.get(str(resource.get("Type"))) if isinstance(resource, Mapping) else None
        properties = resource.get("Properties", {}) if isinstance(resource, Mapping) else {}
        if own is None or own not in properties or symbol in self._asked:
            return Symbol(symbol).shown
        self._asked.append(symbol)
        try:
            return self.inside(properties[own])
        finally:
            self._asked.pop()

    def arn(self, symbol: str) -> str:
        """The ARN that a symbol stands for where it is a function, a version or an alias; else the shown symbol."""
        identity, _, attribute = symbol.partition(".")
        resource = self.resources.get(identity)
        kind = str(resource.get("Type")) if isinstance(resource, Mapping) else ""
        properties = resource.get("Properties", {}) if isinstance(resource, Mapping) else {}
        if kind.endswith("::Function") and attribute in ("Arn", "Alias", "Version"):
            suffix = {"Arn": "", "Version": f":⟨{identity}.Version.Version⟩"}.get(attribute)
            name = self.physical(identity)
            suffix = f":{self.inside(properties.get('AutoPublishAlias'))}" if suffix is None else suffix
        elif kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version") and attribute in ("", "AliasArn", "FunctionArn"):
            name = self.inside(properties.get("FunctionName")).rpartition("function:")[2]
            of_version = Symbol(f"{identity}.Version").shown
            suffix = f":{of_version if kind.endswith('Version') else self.inside(properties.get('Name'))}"
        else:
            return Symbol(symbol).shown
        before = len(self.taken)
        where = ":".join(self.inside({"Ref": f"AWS::{part}"}) for part in ("Region", "AccountId"))
        del self.taken[before:]  # who splits such an ARN is after the name or the alias in it
        return f"arn:aws:lambda:{where}:function:{name}{suffix}"

    def inside(self, value: Any) -> str:
        """`value` as it looks inside other text: see `text` and `physical`."""
        resolved = self.text(value)
        return self.physical(resolved) if isinstance(resolved, Symbol) else resolved

    def _take(self, assumption: str) -> None:
        if assumption not in self.taken:
            self.taken.append(assumption)

    def _called(self, name: str, argument: Any) -> Any:
        """What a function gives. Raises UnresolvedError."""
        try:
            return self._call(name, argument)
        except UnresolvedError as error:
            if not self._lenient:
                raise
            return Unknown(str(argument) if name == "Ref" else str(error))
        except (TypeError, ValueError, LookupError, AttributeError):
            raise UnresolvedError(f"{name} cannot be read, got {shorten(repr(argument))}") from None

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._reference(str(argument))
        if name == "Condition":
            return self.condition(str(argument))
        if name == "Fn::If":
            which, yes, no = argument
            return self.value(yes if self.condition(str(which)) else no)
        if name == "Fn::Sub":
            text, names = argument if isinstance(argument, list) else (argument, {})
            return _NAMES.sub(lambda match: self._substitute(match, names), text)
        if name == "Fn::GetAtt":
            return Symbol(
                argument if isinstance(argument, str) else ".".join(str(self.value(part)) for part in argument)
            )
        values = self.value(argument)
        if name == "Fn::Join":
            return str(values[0]).join(self._part(part) for part in values[1])
        if name == "Fn::Select":
            return values[1][int(values[0])]
        if name == "Fn::Split":
            return (self.arn(values[1]) if isinstance(values[1], Symbol) else str(values[1])).split(str(values[0]))
        if name == "Fn::FindInMap":
            table: Any = self.template.get("Mappings", {})
            for key in values[:3]:
                if not isinstance(table, Mapping) or str(key) not in table:
                    if len(values) > 3 and isinstance(values[3], Mapping) and "DefaultValue" in values[3]:
                        return values[3]["DefaultValue"]
                    raise UnresolvedError(f"Fn::FindInMap finds no {key!r}")
                table = table[str(key)]
            return table
        if name == "Fn::Equals":
            return str(values[0]) == str(values[1])
        if name == "Fn::Not":
            return not values[0]
        if name == "Fn::And":
            return all(values)
        if name == "Fn::Or":
            return any(values)
        of = f" of {shorten(values)}" if isinstance(values, str) else ""
        raise UnresolvedError(f"{name}{of} is not known before the deployment")

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return MISSING
        if name in self.given:
            return _listed(self.template.get("Parameters", {}).get(name), self.given[name])
        parameters = self.template.get("Parameters", {})
        if name in parameters:
            parameter = parameters[name]
            if str(parameter.get("Type", "")).startswith("AWS::SSM::"):
                raise UnresolvedError(f"the parameter {name} is read from SSM; give it with --parameter {name}=VALUE")
            if "Default" not in parameter:
                raise UnresolvedError(f"the parameter {name} has no default; give it with --parameter {name}=VALUE")
            return _listed(parameter, parameter["Default"])
        if name in self.resources or name.partition(".")[0] in self.resources:
            return Symbol(name)
        if name in PSEUDO:
            if name not in _PLAIN:
                self._take(f"{name} was taken as {PSEUDO[name]!r}; give it with --parameter {name}=VALUE")
            return PSEUDO[name]
        raise UnresolvedError(f"there is no parameter or resource {name!r}")

    def _substitute(self, match: re.Match[str], names: Mapping[str, Any]) -> str:
        literal, name = match[1], match[2].strip()
        if literal:
            return f"${{{name}}}"
        return self._part(self.value(names[name]) if name in names else self._called("Ref", name))

    def _part(self, value: Any) -> str:
        """A value inside other text."""
        if value is MISSING:
            return ""
        return self.physical(value) if isinstance(value, Symbol) else str(value)


def _listed(parameter: Any, value: Any) -> Any:
    """The value of a parameter: one of a list type is a text with commas."""
    kind = str(parameter.get("Type", "")) if isinstance(parameter, Mapping) else ""
    if isinstance(value, str) and (kind == "CommaDelimitedList" or kind.startswith("List<")):
        return [part.strip() for part in value.split(",")]
    return value


class Properties:
    """The properties of one resource, each resolved when it is asked for: what nobody needs may stay unknown.

    `remarks` is where it says what could not be resolved.
    """

    def __init__(self, resolver: Resolver, given: Mapping[str, Any], remarks: list[str], label: str = "") -> None:
        self.resolver = resolver
        self.given = given
        self.remarks = remarks
        self.label = label
        """What begins each remark: `Orders.`, say."""

    def take(self, name: str, kind: Callable[[Any], Any], default: Any) -> Any:
        """The resolved property as `kind` reads it, or the default.

        The default comes silently where the property is not given, with a remark where it is not known or makes no sense.
        """
        if name not in self.given:
            return default
        try:
            value = self.resolver.value(self.given[name])
            return default if value is MISSING or value is None else kind(value)
        except UnresolvedError as error:
            what = str(error)
        except (TypeError, ValueError, OverflowError, KeyError):
            what = f"cannot be read, got {shorten(str(self.given[name]))}"
        self.remarks.append(f"{self.label}{name}: {what}" + (f"; {default} is the default" if default else ""))
        return default

    def inside(self, name: str) -> Properties:
        """The properties of a property that is a mapping, still unresolved where it is written out; none for anything else."""
        inner = self.given.get(name)
        if isinstance(inner, Mapping) and len(inner) == 1 and next(iter(inner)) in ("Ref", "Fn::If", "Fn::FindInMap"):
            inner = self.take(name, as_mapping, {})
        return Properties(
            self.resolver, as_mapping(inner) if isinstance(inner, Mapping) else {}, self.remarks, f"{name}."
        )

    def items(self, name: str) -> list[Any]:
        """The items of a list, still unresolved; none for anything else."""
        inner = self.given.get(name, [])
        if not isinstance(inner, list):
            inner = self.take(name, as_items, [])
        return list(inner)

    def prefer(self, name: str, worth: Callable[[Any], int]) -> None:
        """Takes, wherever in a property a condition is not known, the alternative that is worth more; a remark says so."""
        if name in self.given:
            self.given = {**self.given, name: self._preferred(name, self.given[name], worth)}

    def _preferred(self, name: str, value: Any, worth: Callable[[Any], int]) -> Any:
        if isinstance(value, list):
            return [self._preferred(name, inner, worth) for inner in value]
        chosen = value.get("Fn::If") if isinstance(value, Mapping) and len(value) == 1 else None
        if not isinstance(chosen, list) or len(chosen) != 3:
            return value
        condition, yes, no = str(chosen[0]), chosen[1], chosen[2]
        try:
            holds = self.resolver.condition(condition)
        except BrokenError:
            raise
        except UnresolvedError as error:
            holds = worth(yes) >= worth(no)
            self.resolver.assume(condition, holds=holds)
            taken = f"the condition {condition} was taken as {str(holds).lower()}"
            self.remarks.append(f"{self.label}{name}: {error}; {taken}: a GUESS")
        return self._preferred(name, yes if holds else no, worth)

    def has(self, name: str) -> bool:
        """Whether the property is given, and not as `AWS::NoValue`; what is not known counts as given."""
        return name in self.given and self.text(name) != "AWS::NoValue"

    def text(self, name: str) -> str:
        """The property as text in which symbols stand for what is not known."""
        return self.resolver.text(self.given.get(name, ""))


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The value itself, if it is a mapping. Raises TypeError for anything else."""
    if not isinstance(value, Mapping):
        raise TypeError(f"not a mapping, got {value!r}")
    return value


def as_items(value: Any) -> list[Any]:
    """The value itself, if it is a list. Raises TypeError for anything else."""
    if not isinstance(value, list):
        raise TypeError(f"not a list, got {value!r}")
    return value


def as_switch(value: Any) -> bool:
    """A switch as CloudFormation reads it; YAML 1.1's words count. Raises ValueError."""
    word = str(value).lower()
    if word not in ("true", "yes", "on", "1", "false", "no", "off", "0"):
        raise ValueError(f"not a switch, got {value!r}")
    return word in ("true", "yes", "on", "1")
