"""The audience of a rollout: which users were there while the new version served, whom it reached, whom it hurt."""

from __future__ import annotations

from typing import Final, NamedTuple

from rollout_sim.function.lambda_api import Alias

ABSENT, SPLIT, WHOLE = range(3)
"""What an alias sends to the new version: nothing, a part, everything."""
MARKS: Final = 5


class Users(NamedTuple):
    """Numbers of users of the rollout's alias.

    `active`: with a request while the new version took part in the traffic (throughout, without a rollout);
    `reached`: of these, served by it at least once; `hurt`: with a bad request that arrived in that time.
    `split` and `split_reached`: the first two, of the time in which the traffic was split between two versions.
    """

    active: int
    reached: int
    hurt: int
    split: int
    split_reached: int


def service(alias: Alias, new: str | None) -> int:
    """Which part of its traffic an alias sends to the version `new`; everything where there is none to look for."""
    if new is None:
        return WHOLE
    additional = alias.additional_version
    if alias.function_version == new:
        return WHOLE if additional is None else SPLIT
    return SPLIT if additional == new else ABSENT


class Audience:
    """A mark for each of `count` people and each field of `Users`. User k is the same person in every source."""

    __slots__ = ("active", "hurt", "reached", "split", "split_reached")

    def __init__(self, count: int) -> None:
        self.active = bytearray(count)
        self.reached = bytearray(count)
        self.hurt = bytearray(count)
        self.split = bytearray(count)
        self.split_reached = bytearray(count)

    def meet(self, user: int, served: int) -> None:
        """A request of `user` comes while the new version gets a part of the traffic or all of it."""
        self.active[user] = 1
        if served == SPLIT:
            self.split[user] = 1

    def reach(self, user: int, served: int) -> None:
        """The new version serves `user`; a request that came before it did counts from now on."""
        self.meet(user, served)
        self.reached[user] = 1
        if served == SPLIT:
            self.split_reached[user] = 1

    def users(self) -> Users:
        """How many users carry each mark."""
        return Users(sum(self.active), sum(self.reached), sum(self.hurt), sum(self.split), sum(self.split_reached))
