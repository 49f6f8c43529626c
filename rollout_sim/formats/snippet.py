"""Snippets: text for another tool, and the ways in which such tools write YAML and names. Knows no scenario."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from rollout_sim.core.yaml_io import Tagged, comment_lines, to_yaml
from rollout_sim.errors import legible


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """What an export returns: the `text`, and remarks on what the target does differently or not at all, a line each."""

    text: str
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "remarks", tuple(map(legible, self.remarks)))


class Ref(Tagged):
    """CloudFormation's `!Ref`."""

    __slots__ = ()
    tag = "!Ref"


class GetAtt(Tagged):
    """CloudFormation's `!GetAtt`."""

    __slots__ = ()
    tag = "!GetAtt"


class Sub(Tagged):
    """CloudFormation's `!Sub`."""

    __slots__ = ()
    tag = "!Sub"


def as_yaml(*documents: dict[str, Any], remarks: tuple[str, ...] = ()) -> str:
    """YAML documents, the remarks as comments before them: no name in them ends a comment."""
    head = "".join(comment_lines(remark, width=math.inf) for remark in remarks)
    return head + to_yaml(*documents, layout="block")


def snippet_of(*documents: dict[str, Any], remarks: Iterable[str]) -> Snippet:
    """YAML documents with their remarks."""
    remarks = tuple(remarks)
    return Snippet(text=as_yaml(*documents, remarks=remarks), remarks=remarks)


def numbered(name: str, taken: Container[str]) -> str:
    """The name itself, or with a number behind it (`-2`, `-3`, ...) where it is taken."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(other for other in names if other not in taken)


def logical(name: str) -> str:
    """A name as CloudFormation's logical ids are: letters and digits alone, each word with a capital."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    return "".join(word[:1].upper() + word[1:] for word in words) or "Rollout"


def dashed(name: str) -> str:
    """A name as Kubernetes' are: small letters, digits and dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower())) or "rollout"
