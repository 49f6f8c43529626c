"""Intrinsics: CloudFormation's functions (`!Ref`, `!Sub`, `!If` and so on), resolved as far as a template allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MISSING: Final = object()
"""What `AWS::NoValue` leaves: the property does not exist."""
_NAMES: Final = re.compile(r"\$\{(!?)([^}]+)\}")


class UnresolvedError(ValueError):
    """A value that the template alone does not tell; the message says which and why."""


class Resolver:
    """Resolves values of one template with its parameters.

    A reference to a resource becomes its logical id, `!GetAtt` a text such as `Hook.Arn`: enough to find what is meant.
    `taken` collects what had to be decided on the way: conditions and which way they went.
    """

    def __init__(self, template: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        self.template = template
        self.resources: Mapping[str, Any] = template.get("Resources", {})
        self.given = dict(parameters)
        self.taken: list[str] = []
        self._asked: list[str] = []

    def value(self, value: Any) -> Any:
        """`value` with every function in it resolved. Raises UnresolvedError."""
        if isinstance(value, Mapping):
            if len(value) == 1:
                name, argument = next(iter(value.items()))
                if name in ("Ref", "Condition") or str(name).startswith("Fn::"):
                    try:
                        return self._call(str(name), argument)
                    except UnresolvedError:
                        raise
                    except (TypeError, ValueError, LookupError, AttributeError):
                        raise UnresolvedError(f"{name} cannot be read, got {argument!r}") from None
            resolved = {str(key): self.value(inner) for key, inner in value.items()}
            return {key: inner for key, inner in resolved.items() if inner is not MISSING}
        if isinstance(value, list):
            return [inner for inner in (self.value(item) for item in value) if inner is not MISSING]
        return str(value) if isinstance(value, str) else value  # cfn-lint's own kind of text knows its line

    def condition(self, name: str) -> bool:
        """Whether the condition holds. Raises UnresolvedError."""
        conditions = self.template.get("Conditions", {})
        if name not in conditions:
            raise UnresolvedError(f"there is no condition {name!r}")
        if name in self._asked:
            raise UnresolvedError(f"the condition {name} refers to itself")
        self._asked.append(name)
        try:
            holds = bool(self.value(conditions[name]))
        finally:
            self._asked.pop()
        assumption = f"the condition {name} was taken as {str(holds).lower()}"
        if assumption not in self.taken:
            self.taken.append(assumption)
        return holds

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Ref":
            return self._reference(str(argument))
        if name == "Condition":
            return self.condition(str(argument))
        if name == "Fn::If":
            which, yes, no = argument
            return self.value(yes if self.condition(which) else no)
        if name == "Fn::Sub":
            text, names = argument if isinstance(argument, list) else (argument, {})
            return _NAMES.sub(lambda match: self._substitute(match, names), text)
        if name == "Fn::GetAtt":
            return argument if isinstance(argument, str) else ".".join(str(self.value(part)) for part in argument)
        values = self.value(argument)
        if name == "Fn::Join":
            return str(values[0]).join(str(part) for part in values[1])
        if name == "Fn::Select":
            return values[1][int(values[0])]
        if name == "Fn::Split":
            return str(values[1]).split(str(values[0]))
        if name == "Fn::FindInMap":
            table: Any = self.template.get("Mappings", {})
            for key in values[:3]:
                if not isinstance(table, Mapping) or str(key) not in table:
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
        raise UnresolvedError(f"{name} is not known before the deployment")

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return MISSING
        if name in self.given:
            return self.given[name]
        parameters = self.template.get("Parameters", {})
        if name in parameters:
            parameter = parameters[name]
            if str(parameter.get("Type", "")).startswith("AWS::SSM::"):
                raise UnresolvedError(f"the parameter {name} is read from SSM; give it with --parameter {name}=VALUE")
            if "Default" not in parameter:
                raise UnresolvedError(f"the parameter {name} has no default; give it with --parameter {name}=VALUE")
            return parameter["Default"]
        if name.partition(".")[0] in self.resources:
            return name
        if name.startswith("AWS::"):
            raise UnresolvedError(f"{name} is not known before the deployment")
        raise UnresolvedError(f"there is no parameter or resource {name!r}")

    def _substitute(self, match: re.Match[str], names: Mapping[str, Any]) -> str:
        literal, name = match[1], match[2].strip()
        if literal:
            return f"${{{name}}}"
        if name in names:
            return str(self.value(names[name]))
        return str(self._reference(name))
