"""Execution environments: which one takes an invocation, when a new one starts, when an idle one dies.

`Fleet` holds what all versions of a function share (concurrency, scale-up), `EnvironmentPool` the environments of one version,
`ManagedPool` those of one on managed instances.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Final

from rollout_sim.core.units import micros

SCALE_UP_WINDOW: Final = 10.0
"""Seconds in which a function may start as many environments as its scale-up limit."""
SCALE_UP_MICROS: Final = micros(SCALE_UP_WINDOW)
"""The same in whole microseconds."""
_PROVISIONED: Final = -(1 << 62)
PLACES: Final = 1 << 24
"""What tells two places in an environment on managed instances apart in their priorities: more than environments are ever made."""
SWEEP: Final = 1024
"""Idle environments of one version from which on those that died are looked for and dropped."""
Environment = tuple[int, float, int, float]
"""Priority (lowest first), created at (s), identity, idle since (s). Identities count up from 0 per function."""


class Fleet:
    """What the versions of one function share: running invocations, the limit on them, and the scale-up rate.

    `concurrency` is how many invocations may run at once, `scale_up` how many environments may start in any
    `SCALE_UP_WINDOW`, its end excluded. `running` counts every invocation, `busy` those outside provisioned
    environments, which `limit` bounds.
    """

    __slots__ = ("_starts", "busy", "limit", "made", "running")

    def __init__(self, concurrency: int, scale_up: int) -> None:
        self.limit = concurrency
        self.busy = 0
        self.running = 0
        self.made = 0
        self._starts: deque[int] = deque(maxlen=scale_up)  # the newest starts (us), the oldest first

    def may_start(self, t: float) -> bool:
        """Whether one more environment may start at `t` (s); if so, it does."""
        starts, now = self._starts, micros(t)
        if len(starts) == starts.maxlen and now - starts[0] < SCALE_UP_MICROS:
            return False
        starts.append(now)
        return True


class EnvironmentPool:
    """The environments of one version; at most one invocation in each at a time.

    An idle environment lives for `keep_alive` (s). The newest idle one is taken first, or (`most_recent`) the
    one that was busy last; provisioned ones come before all others and never die. Times averaged over the run
    come from `seconds`.
    """

    __slots__ = (
        "_created_busy",
        "_leaving",
        "_lived",
        "_recent",
        "_returns",
        "_started_busy",
        "_sweep_at",
        "_worked",
        "busy",
        "fleet",
        "idle",
        "keep_alive",
    )

    def __init__(self, fleet: Fleet, keep_alive: float, *, most_recent: bool) -> None:
        self.fleet = fleet
        self.keep_alive = keep_alive
        self.idle: list[Environment] = []
        self.busy = 0
        self._recent = most_recent
        self._sweep_at = SWEEP
        self._leaving = 0  # provisioned environments that go as soon as nothing runs in them
        self._lived = 0.0
        self._worked = 0.0
        self._created_busy = 0.0
        self._started_busy = 0.0
        self._returns = 0

    def take(self, t: float) -> Environment | None:
        """The environment that starts an invocation at `t` (s), None where the invocation is throttled.

        A new environment, whose invocation is a cold start, has -1 for the time since which it is idle.
        """
        idle, fleet = self.idle, self.fleet
        if fleet.busy >= fleet.limit and not (idle and idle[0][0] < _PROVISIONED // 2):
            return None
        while idle:
            environment = heappop(idle)
            if environment[3] + self.keep_alive >= t:
                break
            self._lived += environment[3] + self.keep_alive - environment[1]
        else:
            if not fleet.may_start(t):
                return None
            identity = fleet.made
            fleet.made = identity + 1
            environment = (-identity, t, identity, -1.0)
        if environment[0] >= _PROVISIONED // 2:
            fleet.busy += 1
        fleet.running += 1
        self.busy += 1
        self._created_busy += environment[1]
        self._started_busy += t
        return environment

    def give_back(self, environment: Environment, started: float, t: float) -> None:
        """The invocation that began at `started` (s) ended at `t` (s); its `environment` is idle from then on."""
        self._leave(environment, started, t)
        priority, since = environment[0], t
        if priority < _PROVISIONED // 2:
            if self._leaving:
                self._let_go()
                self._lived += t - environment[1]
                return
            since = float("inf")
        elif self._recent:
            self._returns += 1
            priority = -self._returns
        heappush(self.idle, (priority, environment[1], environment[2], since))
        if len(self.idle) > self._sweep_at:
            self._sweep(t)

    def destroy(self, environment: Environment, started: float, t: float) -> None:
        """The invocation that began at `started` (s) ended its `environment` at `t` (s); a provisioned one is replaced."""
        self._leave(environment, started, t)
        self._lived += t - environment[1]
        if environment[0] >= _PROVISIONED // 2:
            return
        if self._leaving:
            self._let_go()
        else:
            self._add_provisioned(t)

    def provision(self, count: int, t: float) -> None:
        """Adds `count` provisioned environments, ready at `t` (s); they count against the concurrency."""
        self.fleet.limit -= count
        for _ in range(count):
            self._add_provisioned(t)

    def deprovision(self, count: int, t: float) -> None:
        """Takes `count` provisioned environments away at `t` (s): idle ones, the oldest first, and then those that are done first.

        Until they are done they count against the concurrency.
        """
        idle = sorted(self.idle)
        gone = [environment for environment in idle[:count] if environment[0] < _PROVISIONED // 2]
        self.fleet.limit += len(gone)
        for environment in gone:
            self._lived += t - environment[1]
        self.idle = idle[len(gone) :]
        self._leaving += count - len(gone)

    def seconds(self, t: float) -> tuple[float, float]:
        """Seconds that environments existed, and that invocations ran in them, from the start until `t` (s)."""
        lived = self._lived + self.busy * t - self._created_busy
        for _, created, _, since in sorted(self.idle):
            lived += min(since + self.keep_alive, t) - created if since < float("inf") else t - created
        return lived, self.worked(t)

    def worked(self, t: float) -> float:
        """Seconds that invocations ran, from the start until `t` (s)."""
        return self._worked + self.busy * t - self._started_busy

    def _add_provisioned(self, t: float) -> None:
        identity = self.fleet.made
        self.fleet.made = identity + 1
        heappush(self.idle, (_PROVISIONED + identity, t, identity, float("inf")))

    def _let_go(self) -> None:
        """One of the provisioned environments that were to go is done, and leaves its concurrency to others."""
        self._leaving -= 1
        self.fleet.limit += 1

    def _leave(self, environment: Environment, started: float, t: float) -> None:
        if environment[0] >= _PROVISIONED // 2:
            self.fleet.busy -= 1
        self.fleet.running -= 1
        self.busy -= 1
        self._created_busy -= environment[1]
        self._started_busy -= started
        self._worked += t - started

    def _sweep(self, t: float) -> None:
        """Drops the idle environments that died unseen, so that the pool does not grow with the horizon."""
        alive = []
        for environment in sorted(self.idle):
            if environment[3] + self.keep_alive >= t:
                alive.append(environment)
            else:
                self._lived += environment[3] + self.keep_alive - environment[1]
        self.idle = alive
        self._sweep_at = max(SWEEP, 2 * len(alive))


class ManagedPool(EnvironmentPool):
    """The environments of one version on managed instances: each has so many `places`, an invocation takes one of them.

    A place is taken as a provisioned environment is, the first one of each environment before the second one of any. There is
    nothing else, so the fleet has to have a concurrency of 0. No failure ends an environment.
    """

    __slots__ = ("_alive", "_left", "places")

    def __init__(self, fleet: Fleet, places: int) -> None:
        super().__init__(fleet, float("inf"), most_recent=False)
        self.places = places
        self._alive: list[int] = []  # identities, the oldest first
        self._left: set[int] = set()  # of those that go as soon as nothing runs in them

    def scale_to(self, count: int, t: float) -> None:
        """There are `count` environments from `t` (s) on; the newest go first, what runs in them comes to its end."""
        while len(self._alive) < count:
            identity = self.fleet.made
            self.fleet.made = identity + 1
            self._alive.append(identity)
            for place in range(self.places):
                heappush(self.idle, (_PROVISIONED + place * PLACES + identity, t, identity, float("inf")))
        going = set(self._alive[count:])
        if not going:
            return
        del self._alive[count:]
        self._left |= going
        for environment in sorted(self.idle):
            if environment[2] in going:
                self._lived += t - environment[1]
        self.idle = sorted(environment for environment in self.idle if environment[2] not in going)

    def give_back(self, environment: Environment, started: float, t: float) -> None:
        """The invocation that began at `started` (s) ended at `t` (s); its place is free from then on."""
        self._leave(environment, started, t)
        if environment[2] in self._left:
            self._lived += t - environment[1]
        else:
            heappush(self.idle, environment)

    def destroy(self, environment: Environment, started: float, t: float) -> None:
        """An invocation that crashes or runs into its timeout ends, and nothing else does."""
        self.give_back(environment, started, t)

    def seconds(self, t: float) -> tuple[float, float]:
        """Seconds that environments existed, and that their places were taken over the number of places: how many were full."""
        lived, worked = super().seconds(t)
        return lived / self.places, worked / self.places
