"""An alias: a pointer to one version or to two by weight, how it routes, and the record of its changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from rollout_sim.errors import PreconditionFailedException, ValidationException

LATEST: Final = "$LATEST"
"""The one mutable version: what `update_code` and `update_configuration` change."""

RoutingConfig = Mapping[str, float] | Mapping[str, Mapping[str, float]]
"""`{"2": 0.1}`, or as AWS writes it `{"AdditionalVersionWeights": {"2": 0.1}}`; `{}` is no routing."""

Action = Literal["publish_version", "delete_version", "create_alias", "update_alias", "delete_alias"]

_ALIAS_NAME: Final = re.compile(r"(?!^[0-9]+$)([a-zA-Z0-9_-]+)")


@dataclass(slots=True, kw_only=True, eq=False)
class Alias:
    """A pointer to one version, or to two by weight; a live object that every update changes in place.

    The additional version takes the share `additional_weight` (0 to 1) of the invocations, the primary
    `function_version` the rest. Change it through `Function.update_alias`, which keeps the rules and the history.
    """

    name: str
    function_version: str
    description: str
    revision_id: str
    additional_version: str | None = None
    additional_weight: float = 0.0

    def route(self, u: float) -> str:
        """The version that serves the invocation whose routing draw is `u` in [0, 1); not checked.

        The additional version takes u < weight, so raising the weight only ever moves invocations to it.
        """
        additional = self.additional_version
        return self.function_version if additional is None or u >= self.additional_weight else additional

    @property
    def routing_config(self) -> dict[str, float]:
        """The additional version's weight, as a new dict: `{"2": 0.1}`, or `{}` when the alias is not weighted."""
        return {} if self.additional_version is None else {self.additional_version: self.additional_weight}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change: when (`at`, seconds), which alias, from what to what, with which weights, and why.

    `alias` is None for the publishing and deleting of a version.
    `from_version` is None for what did not exist before, `to_version` for what does not exist afterwards.
    """

    at: float
    action: Action
    alias: str | None
    from_version: str | None
    to_version: str | None
    from_routing: Mapping[str, float] = field(hash=False)
    to_routing: Mapping[str, float] = field(hash=False)
    reason: str


def flat_routing(routing: RoutingConfig) -> dict[str, float]:
    """Either way to write a routing configuration as `{version: weight}`, with AWS's checks of keys and values."""
    inner = routing.get("AdditionalVersionWeights")
    weights: dict[str, float] = {}
    for key, weight in (inner if isinstance(inner, Mapping) and len(routing) == 1 else routing).items():
        where = f"Value '{{{key}={weight}}}' at 'routingConfig.additionalVersionWeights'"
        if not isinstance(key, str) or not re.fullmatch("[0-9]+", key):
            raise _invalid(
                where, "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]+]"
            )
        # Written so that NaN is refused as well.
        if not isinstance(weight, int | float) or not 0.0 <= weight <= 1.0:
            raise _invalid(
                where,
                "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
                "Member must have value greater than or equal to 0.0]",
            )
        weights[key] = float(weight)
    return weights


def set_weights(alias: Alias, weights: Mapping[str, float]) -> None:
    """Makes `weights`, of one version at most, the alias's routing."""
    alias.additional_version, alias.additional_weight = next(iter(weights.items()), (None, 0.0))


def check_revision(given: str | None, current: str) -> None:
    """Raises PreconditionFailedException when the caller's revision id is not the current one."""
    if given is not None and given != current:
        raise PreconditionFailedException(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )


def check_version(version: str) -> None:
    """Raises ValidationException for what is neither a number nor `$LATEST`."""
    if not re.fullmatch(r"\$LATEST|[0-9]+", version):
        raise _invalid(
            f"Value '{version}' at 'functionVersion'",
            r"Member must satisfy regular expression pattern: (\$LATEST|[0-9]+)",
        )


def check_alias_name(name: str) -> None:
    """Raises ValidationException for a name that AWS would not take."""
    where = f"Value '{name}' at 'name'"
    if not _ALIAS_NAME.fullmatch(name):
        raise _invalid(where, "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)")
    if len(name) > 128:
        raise _invalid(where, "Member must have length less than or equal to 128")


def _invalid(where: str, constraint: str) -> ValidationException:
    return ValidationException(f"1 validation error detected: {where} failed to satisfy constraint: {constraint}")
