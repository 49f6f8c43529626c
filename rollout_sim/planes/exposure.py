"""Exposure of users to the new version: who was active while it took part, who was served by it, who was affected."""

from __future__ import annotations

from typing import Final, NamedTuple

from rollout_sim.function.lambda_api import Alias

ABSENT, SPLIT, WHOLE = range(3)
"""What an alias sends to the new version: nothing, a part, everything."""
ACTIVE, EXPOSED, AFFECTED, SPLIT_ACTIVE, SPLIT_EXPOSED = range(5)
"""The marks that a user can carry; they stand for the fields of `Users`."""
MARKS: Final = 5


class Users(NamedTuple):
    """Numbers of users of the rollout's alias, each at least 0.

    `active`: with a request while the new version took part in the traffic (throughout, without a rollout);
    `exposed`: of these, served by it at least once; `affected`: with a bad request that arrived in that time.
    `split_active` and `split_exposed`: the first two, of the time in which the traffic was split between two versions.
    """

    active: int
    exposed: int
    affected: int
    split_active: int
    split_exposed: int


def service(alias: Alias, new: str | None) -> int:
    """Which part of its traffic an alias sends to the version `new`; everything where there is none to look for."""
    if new is None:
        return WHOLE
    additional = alias.additional_version
    if alias.function_version == new:
        return WHOLE if additional is None else SPLIT
    return SPLIT if additional == new else ABSENT


class UserExposure:
    """A byte for each of `count` users and each mark, 1 where the user carries it.

    User k is the same person in every source.
    """

    __slots__ = ("_active", "_affected", "_exposed", "_split_active", "_split_exposed")

    def __init__(self, count: int) -> None:
        self._active = bytearray(count)
        self._exposed = bytearray(count)
        self._affected = bytearray(count)
        self._split_active = bytearray(count)
        self._split_exposed = bytearray(count)

    def active(self, user: int, served: int) -> None:
        """A request of `user` comes while the alias sends `served` (`SPLIT` or `WHOLE`) to the new version."""
        self._active[user] = 1
        if served == SPLIT:
            self._split_active[user] = 1

    def exposed(self, user: int, served: int) -> None:
        """The new version serves `user`; a request that came before it did counts from now on."""
        self.active(user, served)
        self._exposed[user] = 1
        if served == SPLIT:
            self._split_exposed[user] = 1

    def affected(self, user: int) -> None:
        """A request of `user` was bad that arrived while the new version took part in the traffic."""
        self._affected[user] = 1

    def users(self) -> Users:
        """How many users carry each mark."""
        marks = (self._active, self._exposed, self._affected, self._split_active, self._split_exposed)
        return Users(*map(sum, marks))
