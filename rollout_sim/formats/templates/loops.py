"""Loops: `Fn::ForEach` of CloudFormation's language extensions, written out.

Source: "Fn::ForEach" (CloudFormation template reference): a loop's name, an identifier, a list of values, and what comes of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rollout_sim.formats.templates.intrinsics import Resolver, as_items, as_mapping

LOOP: Final = "Fn::ForEach::"
"""What the key of a loop begins with."""
MOST: Final = 2000
"""How many turns all loops of a template may take; CloudFormation takes 500 resources."""


def unrolled(part: Any, resolver: Resolver, remarks: list[str], taken: list[None]) -> Any:
    """A part of a template with its loops written out; a loop over what is not known is left out, which is a remark.

    `taken` holds an entry for each turn that the template's loops took before.
    """
    if isinstance(part, list):
        return [unrolled(inner, resolver, remarks, taken) for inner in part]
    if not isinstance(part, Mapping):
        return part
    result: dict[str, Any] = {}
    for key, inner in part.items():
        if not str(key).startswith(LOOP):
            result[str(key)] = unrolled(inner, resolver, remarks, taken)
            continue
        try:
            for turn in _turns(inner, resolver, taken):
                made = unrolled(turn, resolver, remarks, taken)
                _check_new(made, {*part, *result})
                result |= made
        except (ValueError, TypeError) as error:  # UnresolvedError is a ValueError
            remarks.append(f"left out: {key}: what it expands to is not read: {error}")
    return result


def _check_new(made: Mapping[str, Any], names: set[str]) -> None:
    """Checks that what a turn made has none of the names that are there. Raises ValueError, as CloudFormation refuses it."""
    twice = sorted(names.intersection(made))
    if twice:
        raise ValueError(f"{', '.join(twice)} would be there twice")


def _turns(loop: Any, resolver: Resolver, taken: list[None]) -> Iterator[Mapping[str, Any]]:
    """What comes of each value of a loop. Raises ValueError or TypeError for one that cannot be read."""
    identifier, values, body = as_items(loop)
    for value in as_items(resolver.value(values)):
        taken.append(None)
        if len(taken) > MOST:
            raise ValueError(f"it takes more than {MOST} turns")
        yield as_mapping(_put(body, str(identifier), str(value)))


def _put(part: Any, identifier: str, value: str) -> Any:
    """A part of a loop's body with one value for its identifier."""
    if isinstance(part, Mapping):
        if part == {"Ref": identifier}:
            return value
        return {_put(str(key), identifier, value): _put(inner, identifier, value) for key, inner in part.items()}
    if isinstance(part, list):
        return [_put(inner, identifier, value) for inner in part]
    if not isinstance(part, str):
        return part
    plain = re.sub(r"[^A-Za-z0-9]", "", value)  # what a logical id may hold
    return part.replace(f"${{{identifier}}}", value).replace(f"&{{{identifier}}}", plain)
