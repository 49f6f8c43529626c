"""What a data plane is: it says what the invocations did, between two instants, under the weights that hold.

Every plane implements `DataPlane`, which is all that the driver (`run.driver`) knows of it. A plane knows the scenario,
promotions included, and decides nothing; the controller decides, and knows no plane.

The order of an instant. At equal times completions come first, then control (datapoints, alarms, rollback, shifts), then
arrivals, then retries, then what pollers do that were to be asked at that time, in the order of their sources.
`DataPlane.advance` ends between the completions of its last instant and the arrivals of it, which is where control stands; so
an invocation that ends when an alarm is evaluated is seen by it, and a request that arrives when the weight changes meets the
new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import FloatArray, IntArray, Mask
from rollout_sim.core.streams import Streams
from rollout_sim.planes.exposure import Users
from rollout_sim.planes.polling import PolledTotals
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.scenario.sections import Engine

COMPLETION: Final = 2
CONTROL: Final = 3
ARRIVAL: Final = 4
RETRY: Final = 5
POLL: Final = 6
"""Ranks of the events of one instant; that of a source's poller is `POLL` and its number more. SimPy itself uses 0 and 1."""

Answers = Callable[[], tuple[IntArray, FloatArray]]
"""How many of a hook's tests fail or are throttled, and when the last one is answered (s), which may lie ahead; both by
replication, of no meaning outside the mask. To be asked once `advance` has reached `Hook.end`: then all have started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTotals:
    """What one version did up to the horizon, tests included."""

    invocations: int
    """Invocations that ended."""
    errors: int
    """Those of them that failed."""
    cold_starts: int
    """Those of them that began in a new environment."""
    environment_seconds: float
    """Seconds that its environments existed, added up."""
    running_seconds: float
    """Seconds that its environments spent on invocations, inits included, added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneTotals:
    """What happened up to the horizon, which the controller never sees; arrays have the shape (replications,).

    Requests count when they are answered for good, at the version of their last attempt, and are dated by their arrival.
    """

    requests: IntArray
    """Requests that are known to be good or bad: answered, or waiting for longer than an objective allows at the horizon."""
    pending: IntArray
    """Requests without an answer at the horizon that may still be good."""
    bad: IntArray
    """Requests that are bad for any objective (failed, where there is none), with those that have waited longer
    at the horizon than it allows."""
    bad_new_version: IntArray
    """Those of them that went to the new version of the rollout's alias."""
    bad_by: tuple[IntArray, ...]
    """Bad requests for each of the scenario's objectives."""
    lost_by: tuple[FloatArray, ...]
    """What the budget of each of them has lost: these, or bad time slices."""
    added: IntArray | None = None
    """How many more are bad than without the rollout, request by request on the same draws; None where only a second run, without
    it, can say so."""
    added_by: tuple[IntArray, ...] = ()
    """The same for each of the scenario's objectives."""
    added_lost_by: tuple[FloatArray, ...] = ()
    """How much more the budget of each of them has lost than without the rollout, likewise."""
    throttles: IntArray
    """Attempts that found no environment."""
    cold_starts: IntArray | None = None
    """Invocations that began in a new environment; None where the plane does not know."""
    users: tuple[Users, ...] = ()
    """The exposure of users by replication; empty where the plane does not know."""
    versions: tuple[dict[str, VersionTotals], ...] = ()
    """By replication and version; empty where the plane does not know."""
    polled: tuple[tuple[PolledTotals, ...], ...] = ()
    """By replication what became of the records of each source that is polled; empty where the plane does not know."""
    events: list[tuple[Any, ...]] | None = None
    """Every invocation of the first replication as a row of `draws.EVENT_COLUMNS`, if they were asked for."""


class DataPlane(Protocol):
    """A data plane at work on one strategy, in one replication or in a batch of them.

    It begins at time 0 and writes what the alarms read into the metrics that it was given.
    """

    def advance(self, until: float, weights: FloatArray) -> None:
        """Goes on to `until` (s), not before the last one, with these weights; then the metrics show what is over.

        `weights` (replications,) is the new version's share of the rollout's alias in [last instant, `until`). The
        completions at `until` are in, its arrivals are not, also where that is the horizon.
        """
        ...

    def provision(self, count: int, mask: Mask) -> None:
        """`count` more environments of the new version are warm from now on, in the replications of `mask`."""
        ...

    def test(self, hook: Hook, mask: Mask) -> Answers:
        """Starts the hook's invocations of the new version now, in the replications of `mask`."""
        ...

    def finish(self) -> PlaneTotals:
        """What happened in all, once `advance` has reached the horizon."""
        ...


class SingleRun(Protocol):
    """Makes a data plane for one replication; the modules that only this plane needs are imported when it is called."""

    def __call__(
        self,
        scenario: Scenario,
        streams: Streams,
        metrics: Metrics,
        requests: RequestCounts,
        *,
        keep: float,
        events: bool,
    ) -> DataPlane:
        """The plane at time 0.

        What the alarms read goes into replication 0 of `metrics`, the requests' counts into `requests`. Durations that
        percentile alarms read are kept for `keep` seconds, and every invocation with `events`.
        """
        ...


class SideBySide(Protocol):
    """What the runs of several strategies have in common, in a batch of replications: traffic, draws, and the past."""

    def plane(
        self, scenario: Scenario, metrics: Metrics, requests: RequestCounts, *, keep: float, quiet: float, unread: float
    ) -> DataPlane:
        """The plane of one more strategy of a `scenario`, which writes into `metrics` and `requests`, of as many replications.

        The scenario may have other faults and alarms than the others', no other traffic. It is driven before the next one is
        asked for. Nothing is decided until `quiet` (s), and alarms read nothing of periods that are over by `unread` (s);
        durations that they read are kept for `keep` seconds.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSpec:
    """A data plane as the choice of engine sees it, before any of its code is loaded."""

    engine: Engine
    """Its name in scenarios and on the command line."""
    speed: float
    """Invocations that it simulates per second of computing, roughly; infinite where their number does not matter."""
    single_run: SingleRun | None = None
    """Makes the plane of one replication that is looked at closely; None where it draws counts, for batches."""
    side_by_side: Callable[[Scenario, Sequence[Streams], int], SideBySide] | None = None
    """Makes the planes of so many strategies in some replications that go forward together; None where it takes one at a time."""
    together: Callable[[Scenario, float], int] = lambda _scenario, _expected: 1
    """How many replications of so many expected invocations it takes at a time: what bounds the memory."""
    exact_for: Callable[[Scenario], tuple[str, ...]] = lambda _: ()
    """The reasons why it is not exact for a scenario; none where it is."""
    against: Callable[[Scenario, float, int, bool], str] = lambda _scenario, _expected, _runs, _study: ""
    """Why not to take it unasked for so many expected invocations in each of so many runs, of a study or looked at one by one.

    Empty where nothing says so.
    """
    advantage: Callable[[Scenario], str] = lambda _: ""
    """What speaks for it, where it is taken unasked."""
    asked_for: str = "asked for"
    """Why a single run takes it, where the scenario names it."""
    ready: Callable[[Scenario], bool] = lambda _: True
    """Whether a run of a scenario begins at once; where not, the first one compiles, and the processes that start later need not."""
    missing: Callable[[], str] = str
    """What it needs that is not installed, and how to get it; empty where nothing is missing."""
