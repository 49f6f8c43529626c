"""Execution environments: which one takes an invocation, when a new one starts, when an idle one dies.

`Fleet` holds what all versions of a function share (concurrency, scale-up), `EnvironmentPool` the environments of one version.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

SCALE_UP_WINDOW: Final = 10.0
"""Seconds in which a function may start as many environments as its scale-up limit."""
_PROVISIONED: Final = -(1 << 62)
SWEEP: Final = 1024
Environment = tuple[int, float, int, float]
"""Priority (lowest first), created at (s), identity, idle since (s). Identities count up from 0 per function."""


class Fleet:
    """What the versions of one function share: running invocations, the limit on them, and the scale-up rate.

    `running` counts every invocation, `busy` those outside provisioned environments, which `limit` bounds.
    """

    __slots__ = ("_last", "_tokens", "busy", "limit", "made", "rate", "running", "scale_up")

    def __init__(self, concurrency: int, scale_up: int) -> None:
        self.limit = concurrency
        self.scale_up = float(scale_up)
        self.rate = scale_up / SCALE_UP_WINDOW
        self.busy = 0
        self.running = 0
        self.made = 0
        self._tokens = self.scale_up
        self._last = 0.0

    def may_start(self, t: float) -> bool:
        """Whether one more environment may start at `t`; if so it is counted. Refilled continuously, never saved up."""
        tokens = self._tokens + (t - self._last) * self.rate
        tokens = min(tokens, self.scale_up)
        self._last = t
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True


class EnvironmentPool:
    """The environments of one version; at most one invocation in each at a time.

    An idle environment lives for `keep_alive` (s). The newest idle one is taken first, or (`most_recent`) the
    one that was busy last; provisioned ones come before all others and never die. Times averaged over the run
    come from `seconds`.
    """

    __slots__ = (
        "_created_busy",
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
        self._lived = 0.0
        self._worked = 0.0
        self._created_busy = 0.0
        self._started_busy = 0.0
        self._returns = 0

    def take(self, t: float) -> Environment | None:
        """The environment that starts an invocation at `t`, cold if its idle time is negative; None: throttled."""
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
        """The invocation that began at `started` ended at `t`; its environment is idle from now on."""
        self._leave(environment, started, t)
        priority, since = environment[0], t
        if priority < _PROVISIONED // 2:
            since = float("inf")
        elif self._recent:
            self._returns += 1
            priority = -self._returns
        heappush(self.idle, (priority, environment[1], environment[2], since))
        if len(self.idle) > self._sweep_at:
            self._sweep(t)

    def destroy(self, environment: Environment, started: float, t: float) -> None:
        """The invocation that began at `started` took its environment down at `t`; a provisioned one is replaced."""
        self._leave(environment, started, t)
        self._lived += t - environment[1]
        if environment[0] < _PROVISIONED // 2:
            self._add_provisioned(t)

    def provision(self, count: int, t: float) -> None:
        """Warms up `count` environments that are kept, ready at `t`; they count against the concurrency."""
        self.fleet.limit -= count
        for _ in range(count):
            self._add_provisioned(t)

    def seconds(self, t: float) -> tuple[float, float]:
        """Environment-seconds and running seconds from the start until `t`."""
        lived = self._lived + self.busy * t - self._created_busy
        for _, created, _, since in sorted(self.idle):
            lived += min(since + self.keep_alive, t) - created if since < float("inf") else t - created
        return lived, self._worked + self.busy * t - self._started_busy

    def _add_provisioned(self, t: float) -> None:
        identity = self.fleet.made
        self.fleet.made = identity + 1
        heappush(self.idle, (_PROVISIONED + identity, t, identity, float("inf")))

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
