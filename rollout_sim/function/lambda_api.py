"""Lambda's function: versions, `$LATEST`, aliases and their history, with the API's own names, rules and errors."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from rollout_sim.errors import (
    InvalidParameterValueException,
    PreconditionFailedException,
    ResourceConflictException,
    ResourceNotFoundException,
    ValidationException,
)

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


_Pointing = tuple[str | None, Mapping[str, float]]
_NOWHERE: Final[_Pointing] = (None, MappingProxyType({}))
_ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function"
_SAME_IN_BOTH: Final = ("role", "dead_letter_arn")
"""The settings in which the two versions of a weighted alias must agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A snapshot of a function's code and settings: `version` is its number as text, or `$LATEST`.

    `configuration` is read-only all the way down. `published_at` is in seconds of the function's clock,
    None for `$LATEST`.
    """

    version: str
    code_sha256: str
    configuration: Mapping[str, Any] = field(hash=False)
    description: str
    revision_id: str
    published_at: float | None


class Function:
    """A Lambda function: `$LATEST`, the versions published from it, and the aliases that point to them.

    `name` is the function's. `clock` gives the time of a change in seconds and never runs backwards. `additional_blocks_deletion` says
    whether an alias protects its additional version from deletion as it does its primary (AWS does not document it).
    Updates take effect at once; who models a propagation delay makes the call later.

    Examples:
        >>> function = Function("checkout")
        >>> function.publish_version("first").version
        '1'
        >>> _ = function.create_alias("prod", "1")
        >>> _ = function.update_code("other code")
        >>> function.publish_version("second").version
        '2'
        >>> _ = function.update_alias("prod", routing_config={"2": 0.1})
        >>> function.route("prod", 0.05), function.route("prod", 0.5)
        ('2', '1')
        >>> function.rollback("prod").function_version
        '1'
    """

    def __init__(
        self, name: str, clock: Callable[[], float] = lambda: 0.0, *, additional_blocks_deletion: bool = True
    ) -> None:
        self.name = name
        self.clock = clock
        self.additional_blocks_deletion = additional_blocks_deletion
        self._revisions = 0
        self._history: list[HistoryEntry] = []
        self._aliases: dict[str, Alias] = {}
        self._published = 0
        latest = Version(
            version=LATEST,
            code_sha256=base64.b64encode(hashlib.sha256(name.encode()).digest()).decode(),
            configuration=MappingProxyType({}),
            description="",
            revision_id=self._new_revision_id(),
            published_at=None,
        )
        self._versions = {LATEST: latest}

    @property
    def history(self) -> list[HistoryEntry]:
        """Every change of an alias and every version published or deleted, oldest first, as a new list."""
        return list(self._history)

    # Versions

    def update_code(self, code_sha256: str, revision_id: str | None = None) -> Version:
        """Puts other code, told by its `code_sha256`, into `$LATEST` and returns it.

        `revision_id`, where given, must be that of `$LATEST`; else PreconditionFailedException is raised.
        """
        return self._update_latest(revision_id, code_sha256=code_sha256)

    def update_configuration(self, *, revision_id: str | None = None, **settings: Any) -> Version:
        """Changes the named settings of `$LATEST`, keeps the others, and returns it.

        Two settings have a rule attached: an alias can only weight versions of the same `role` and `dead_letter_arn`.

        Raises PreconditionFailedException for a `revision_id` that is not that of `$LATEST`.

        Examples:
            >>> function = Function("checkout")
            >>> function.update_configuration(memory_size=512).configuration["memory_size"]
            512
        """
        changed = {**self._versions[LATEST].configuration, **settings}
        return self._update_latest(revision_id, configuration=_frozen(changed))

    def publish_version(
        self, description: str = "", code_sha256: str | None = None, revision_id: str | None = None
    ) -> Version:
        """A snapshot of `$LATEST` under the next number, or the last published version when nothing changed since.

        `description` is any text. `code_sha256` and `revision_id` are what the caller believes of `$LATEST`. Raises
        InvalidParameterValueException and PreconditionFailedException when they are wrong.

        Examples:
            >>> function = Function("checkout")
            >>> function.publish_version().version, function.publish_version().version
            ('1', '1')
        """
        latest = self._versions[LATEST]
        check_revision(revision_id, latest.revision_id)
        if code_sha256 is not None and code_sha256 != latest.code_sha256:
            raise InvalidParameterValueException(
                f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in $LATEST ({latest.code_sha256}). "
                "Please try again with the CodeSHA256 in $LATEST."
            )
        last = self._versions.get(str(self._published))
        if last and (last.code_sha256, last.configuration) == (latest.code_sha256, latest.configuration):
            return last
        number = str(self._published + 1)
        entry = self._record("publish_version", None, _NOWHERE, (number, {}), description)
        self._published += 1
        revision = self._new_revision_id()
        self._versions[number] = replace(
            latest, version=number, description=description, revision_id=revision, published_at=entry.at
        )
        return self._versions[number]

    def list_versions(self) -> list[Version]:
        """All versions, `$LATEST` first, then by number.

        Examples:
            >>> [version.version for version in Function("checkout").list_versions()]
            ['$LATEST']
        """
        return list(self._versions.values())

    def get_version(self, version: str) -> Version:
        """The version of the number `version`, or `$LATEST`. Raises ResourceNotFoundException.

        Examples:
            >>> Function("checkout").get_version("7")
            Traceback (most recent call last):
            rollout_sim.errors.ResourceNotFoundException: Function not found: arn:aws:lambda:us-east-1:123456789012:function:checkout:7
        """
        check_version(version)
        if version not in self._versions:
            raise ResourceNotFoundException(f"Function not found: {self._arn(version)}")
        return self._versions[version]

    def delete_version(self, version: str) -> None:
        """Deletes the published `version`; its number is never used again. One that is not there is no error.

        Raises ResourceConflictException while an alias points to it, InvalidParameterValueException for `$LATEST`.
        """
        check_version(version)
        if version == LATEST:
            raise InvalidParameterValueException("$LATEST version cannot be deleted without deleting the function.")
        users = [
            alias.name
            for alias in self.list_aliases()
            if alias.function_version == version
            or (self.additional_blocks_deletion and alias.additional_version == version)
        ]
        if users:
            raise ResourceConflictException(
                f"Version {self._arn(version)} cannot be deleted: it is referenced by the aliases {', '.join(users)}"
            )
        if version in self._versions:
            self._record("delete_version", None, (version, {}), _NOWHERE)
            del self._versions[version]

    # Aliases

    def create_alias(
        self, name: str, function_version: str, description: str = "", routing_config: RoutingConfig | None = None
    ) -> Alias:
        """A new alias that points to the version `function_version`. The errors are those of AWS.

        Its `name` has 1 to 128 letters, digits, `-` and `_`, not all of them digits; `description` is any text.

        `routing_config` gives an additional version its share of the invocations: ResourceNotFoundException for versions that
        there are not, ResourceConflictException for an alias that there is, InvalidParameterValueException for weights that
        AWS refuses, ValidationException for a name or version that is none.
        """
        check_alias_name(name)
        weights = self._checked_weights(function_version, flat_routing(routing_config or {}))
        if name in self._aliases:
            raise ResourceConflictException(f"Alias already exists: {self._arn(name)}")
        self._record("create_alias", name, _NOWHERE, (function_version, weights), description)
        revision = self._new_revision_id()
        alias = Alias(name=name, function_version=function_version, description=description, revision_id=revision)
        set_weights(alias, weights)
        self._aliases[name] = alias
        return alias

    def update_alias(
        self,
        name: str,
        function_version: str | None = None,
        routing_config: RoutingConfig | None = None,
        revision_id: str | None = None,
        reason: str = "",
    ) -> Alias:
        """Points the alias `name` to `function_version`, at once, and returns the same object; what is None stays as it is.

        The outcome as a whole must keep the rules: moving the primary onto the version that is still weighted is
        refused. `routing_config={}` clears the weights. `reason` goes into the history.

        Raises ResourceNotFoundException, InvalidParameterValueException, PreconditionFailedException (a `revision_id` that is
        not the alias's) and ValidationException as AWS does.
        """
        alias = self.get_alias(name)
        check_revision(revision_id, alias.revision_id)
        version = alias.function_version if function_version is None else function_version
        old_routing = alias.routing_config
        weights = self._checked_weights(
            version, old_routing if routing_config is None else flat_routing(routing_config)
        )
        self._record("update_alias", name, (alias.function_version, old_routing), (version, weights), reason)
        alias.function_version = version
        alias.revision_id = self._new_revision_id()
        set_weights(alias, weights)
        return alias

    def get_alias(self, name: str) -> Alias:
        """The live alias of this `name`. Raises ResourceNotFoundException."""
        check_alias_name(name)
        if name not in self._aliases:
            raise ResourceNotFoundException(f"Cannot find alias arn: {self._arn(name)}")
        return self._aliases[name]

    def list_aliases(self) -> list[Alias]:
        """All aliases by name."""
        return sorted(self._aliases.values(), key=lambda alias: alias.name)

    def delete_alias(self, name: str) -> None:
        """Deletes the alias `name`. One that is not there is no error."""
        check_alias_name(name)
        alias = self._aliases.get(name)
        if alias is not None:
            self._record("delete_alias", name, (alias.function_version, alias.routing_config), _NOWHERE)
            del self._aliases[name]

    def route(self, name: str, u: float) -> str:
        """The version that serves an invocation of the alias `name` with the routing draw `u`; ValueError outside [0, 1)."""
        if not 0.0 <= u < 1.0:
            raise ValueError(f"a routing draw must be in [0, 1), got {u!r}")
        return self.get_alias(name).route(u)

    # Promotion, rollback, history

    def promote(self, source: str, target: str, reason: str = "") -> Alias:
        """Points the alias `target` to the one version that `source` points to, with all of its traffic.

        `reason` goes into the history. Raises InvalidParameterValueException when `source` is weighted: it does not point to one
        version.

        Examples:
            >>> function = Function("checkout")
            >>> _ = function.publish_version(), function.create_alias("staging", "1"), function.create_alias("prod", "$LATEST")
            >>> function.promote("staging", "prod").function_version
            '1'
        """
        origin = self.get_alias(source)
        if origin.additional_version is not None:
            raise InvalidParameterValueException(
                f"Alias {self._arn(source)} points to more than 1 version, weighted {origin.routing_config}. "
                "Clear its routing configuration before promoting from it."
            )
        return self.update_alias(target, origin.function_version, {}, reason=reason or f"promoted from {source}")

    def rollback(self, name: str, reason: str = "rollback") -> Alias:
        """Points the alias `name` back to one version, with all of its traffic; `reason` goes into the history.

        While the alias is weighted that is the version that had all of the traffic before the weights were set (the
        primary when there was none). Otherwise it is the version before the last change of `function_version`, so
        that a second rollback undoes the first. Raises InvalidParameterValueException when there is none.
        """
        alias = self.get_alias(name)
        version: str | None
        if alias.additional_version is not None:
            version = next((e.to_version for e in self._life(name) if not e.to_routing), alias.function_version)
        else:
            moves = (e for e in self._life(name) if e.action == "update_alias" and e.from_version != e.to_version)
            version = next((e.from_version for e in moves), None)
        if version is None:
            raise InvalidParameterValueException(
                f"Alias {self._arn(name)} has no earlier version to go back to: "
                f"it has only pointed to {alias.function_version}"
            )
        return self.update_alias(name, version, {}, reason=reason)

    def version_at(self, name: str, t: float) -> dict[str, float]:
        """The versions that the alias `name` pointed to at the time `t` (s) with their shares, `{}` when it did not exist.

        A change counts from its own instant on; of several at one instant, the last. Raises
        ResourceNotFoundException for a name that never was an alias.

        Examples:
            >>> now = [0.0]
            >>> function = Function("checkout", clock=lambda: now[0])
            >>> _ = function.publish_version(), function.update_code("other code"), function.publish_version()
            >>> _ = function.create_alias("prod", "1")
            >>> now[0] = 600.0
            >>> _ = function.update_alias("prod", routing_config={"2": 0.25})
            >>> function.version_at("prod", 599.0), function.version_at("prod", 600.0)
            ({'1': 1.0}, {'1': 0.75, '2': 0.25})
        """
        entries = [entry for entry in self._history if entry.alias == name]
        if not entries:
            raise ResourceNotFoundException(f"Cannot find alias arn: {self._arn(name)}")
        for entry in reversed(entries):
            if entry.at <= t:
                if entry.to_version is None:
                    return {}
                return {entry.to_version: 1.0 - math.fsum(entry.to_routing.values()), **entry.to_routing}
        return {}

    # Inside

    def _arn(self, qualifier: str) -> str:
        return f"{_ARN}:{self.name}:{qualifier}"

    def _new_revision_id(self) -> str:
        """The next revision id: looks random, but is the same in every run, so that runs compare equal."""
        self._revisions += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{_ARN}:{self.name}#{self._revisions}"))

    def _update_latest(self, revision_id: str | None, **changes: Any) -> Version:
        latest = self._versions[LATEST]
        check_revision(revision_id, latest.revision_id)
        self._versions[LATEST] = replace(latest, revision_id=self._new_revision_id(), **changes)
        return self._versions[LATEST]

    def _record(
        self, action: Action, alias: str | None, before: _Pointing, after: _Pointing, reason: str = ""
    ) -> HistoryEntry:
        (from_version, from_routing), (to_version, to_routing) = before, after
        entry = HistoryEntry(
            at=self.clock(),
            action=action,
            alias=alias,
            from_version=from_version,
            to_version=to_version,
            from_routing=dict(from_routing),
            to_routing=dict(to_routing),
            reason=reason,
        )
        self._history.append(entry)
        return entry

    def _life(self, name: str) -> Iterator[HistoryEntry]:
        """The changes of an alias since it was created, newest first; an earlier alias of that name is another one."""
        for entry in reversed(self._history):
            if entry.alias == name:
                yield entry
                if entry.action == "create_alias":
                    return

    def _checked_weights(self, primary: str, weights: dict[str, float]) -> dict[str, float]:
        """`weights` when an alias may point to `primary` with them; raises the API's errors otherwise."""
        main = self.get_version(primary)
        if len(weights) > 1:
            raise InvalidParameterValueException("Number of items in AdditionalVersionWeights cannot be greater than 1")
        for key in weights:
            if key == primary:
                raise InvalidParameterValueException(
                    f"Invalid function version {key}. "
                    f"Function version {key} is already included in routing configuration."
                )
            if primary == LATEST:
                raise InvalidParameterValueException(
                    "$LATEST is not supported for an alias pointing to more than 1 version"
                )
            additional = self.get_version(key)
            for setting in _SAME_IN_BOTH:
                ours, theirs = main.configuration.get(setting), additional.configuration.get(setting)
                if ours != theirs:
                    raise InvalidParameterValueException(
                        f"Function versions {primary} and {key} must have the same {setting} to share an alias, "
                        f"got {ours!r} and {theirs!r}"
                    )
        return weights


def _frozen(value: Any) -> Any:
    """A deep, read-only copy of a setting, so that a published version cannot change through what it was made from."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    return frozenset(value) if isinstance(value, set) else value
