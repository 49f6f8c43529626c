"""SimPy's environment with events at absolute times, and with the order of an instant."""

from __future__ import annotations

from heapq import heappush

from simpy import Environment, Event


class At(Event):
    """Happens at the absolute time `time` (s), among that instant's events by `priority`.

    SimPy's own `Timeout` takes a delay, and now + (time - now) need not be `time`: an arrival could slip
    past a shift that is due at the very same moment.
    """

    __slots__ = ()

    def __init__(self, env: Clock, time: float, priority: int) -> None:
        # Event.__init__ and Environment.schedule written out: two of these per invocation.
        self.env = env
        self.callbacks = []
        self._value = None
        self._ok = True
        heappush(env._queue, (time, priority, next(env._eid), self))  # type: ignore[misc]


class Clock(Environment):
    """A SimPy environment whose events can be placed at an absolute time."""

    def at(self, time: float, priority: int) -> At:
        """An event at `time` (s), not before now."""
        if time < self._now:
            raise ValueError(f"time ({time}) must not be earlier than the current simulation time ({self._now})")
        return At(self, time, priority)
