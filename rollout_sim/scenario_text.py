"""Scenario text: plain data as the YAML of a scenario file, with comments for the people who will edit it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from rollout_sim.document import add_resolvers

WIDTH: Final = 100
"""Columns of the comments."""
FLOW: Final = 84
"""Columns of a mapping or list that stands on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes what `document` reads back as the same: text that looks like a number is quoted, nothing is shared.

    Mappings and lists of nothing but single values stand on one line where they fit.
    """

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML asks for each value; the answer is the same
        return True

    def serialize(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):  # the whole document: one field a line
            node.flow_style = not node.value
        super().serialize(node)

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        parts = [part.value for pair in node.value for part in pair]
        node.flow_style = bool(node.flow_style) and sum(len(part) + 2 for part in parts) <= FLOW
        return node

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = bool(node.flow_style) and sum(len(one.value) + 2 for one in node.value) <= FLOW
        return node


add_resolvers(_Dumper)


def plain(data: Mapping[str, Any]) -> str:
    """`data` (plain values) as YAML that `document.read_yaml` reads back; the innermost mappings and lists on one line."""
    text: str = yaml.dump(
        dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=math.inf
    )
    return text


def commented(sections: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A file of sections, each a comment and below it the mapping that it is about, as YAML.

    A comment is any text; its lines are kept, long ones wrapped. Either part may be empty. The mappings make up one
    document together: raises ValueError for a key in two of them.
    """
    seen: set[str] = set()
    parts = []
    for comment, data in sections:
        if twice := seen.intersection(data):
            raise ValueError(f"the key {min(twice)!r} stands in two sections")
        seen.update(data)
        parts.append(_comment(comment) + (plain(data) if data else ""))
    return "\n".join(part for part in parts if part)


def _comment(text: str) -> str:
    """`text` behind `#`. Whatever would end the line, or is not allowed in YAML, becomes a line's end or a space."""
    lines = ["".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.splitlines()]
    wrapped = [
        piece
        for line in lines
        for piece in textwrap.wrap(line, WIDTH - 2, break_long_words=False, break_on_hyphens=False) or [""]
    ]
    return "".join(f"# {piece}".rstrip() + "\n" for piece in wrapped)
