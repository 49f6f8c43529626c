"""Snippets: text for another tool, and the ways in which such tools write YAML and names. Knows no scenario."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """What an export returns: the `text`, and remarks on what the target does differently or not at all."""

    text: str
    remarks: tuple[str, ...] = ()


class Ref(str):
    """CloudFormation's `!Ref`."""

    __slots__ = ()


class GetAtt(str):
    """CloudFormation's `!GetAtt`."""

    __slots__ = ()


class Sub(str):
    """CloudFormation's `!Sub`."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - CloudFormation refuses aliases, whatever the value
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's own form
        super().increase_indent(flow, False)

    def choose_scalar_style(self) -> str:
        style, event, analysis = str(super().choose_scalar_style()), self.event, self.analysis
        tagged = isinstance(event, yaml.ScalarEvent) and event.tag in _TAGS
        return "" if tagged and analysis and analysis.allow_block_plain else style


_TAGS: Final = ("!Ref", "!GetAtt", "!Sub")
for _kind in (Ref, GetAtt, Sub):
    _Dumper.add_representer(
        _kind, lambda dumper, value: dumper.represent_scalar(f"!{type(value).__name__}", str(value))
    )
_Dumper.add_representer(
    str,
    lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None),
)


def as_yaml(*documents: dict[str, Any], remarks: tuple[str, ...] = ()) -> str:
    """YAML documents, the remarks as comments before them."""
    head = "".join(f"# {remark}\n" for remark in remarks)
    return head + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def logical(name: str) -> str:
    """A name as CloudFormation's logical ids are: letters and digits alone, each word with a capital."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    return "".join(word[:1].upper() + word[1:] for word in words) or "Rollout"


def dashed(name: str) -> str:
    """A name as Kubernetes' are: small letters, digits and dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower())) or "rollout"
