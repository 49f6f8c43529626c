"""The reference plane: every request is a SimPy process that arrives, is routed, runs, fails or succeeds, retries.

This is the model; the compiled plane is held to it, invocation by invocation. Read `_request`, the life of a request, and
then the steps that it calls, in the order in which they stand; then what is polled, from `_record` on: the life of a record is
its poller's business (`traffic.pollers`), that of a batch stands here. SimPy's clock is known here alone.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from simpy import Environment as Simulation
from simpy import Event

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.slo import judging
from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import FloatArray, Mask
from rollout_sim.core.curves import duration_at
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import tick
from rollout_sim.errors import ScenarioError
from rollout_sim.function import faults
from rollout_sim.function.environments import Environment, EnvironmentPool, Fleet, ManagedPool
from rollout_sim.function.error_rates import paths_of, spans_of
from rollout_sim.function.faults import ERROR, FAILED_RESPONSE, OK, REFUSED, THROTTLED, BatchFaults
from rollout_sim.function.lambda_api import Alias
from rollout_sim.function.recorded import RecordedDurations, step_of, throttles_of
from rollout_sim.function.spec import INIT_LIMIT, FunctionSpec, VersionSpec
from rollout_sim.planes.base import (
    ARRIVAL,
    COMPLETION,
    CONTROL,
    POLL,
    RETRY,
    Answers,
    PlaneSpec,
    PlaneTotals,
    VersionTotals,
)
from rollout_sim.planes.counts import PeriodCounts, totals_of
from rollout_sim.planes.draws import (
    COLUMNS,
    HOOK_TEST,
    MAX_PENDING,
    NO_USER_QUANTILE,
    SERVICE,
    AttemptDraws,
    Draws,
    is_refused,
    jitter,
    tries_again,
    user_quantiles,
)
from rollout_sim.planes.exposure import ABSENT, UserExposure, service
from rollout_sim.planes.managed import Allocations, instants, scalings_of
from rollout_sim.planes.polling import PolledRecord, PolledSource, label_of, sample_step
from rollout_sim.planes.routing import Routing
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.delivery import TAKEN, DeliveryLaw, law_of, refusal
from rollout_sim.traffic.pollers import BatchOfRecords
from rollout_sim.traffic.source import Source, async_error_delay, async_throttle_delay


class At(Event):
    """Happens at the absolute time `time` (s), among that instant's events by `priority` (`planes.base`).

    SimPy's own `Timeout` takes a delay, and now + (time - now) need not be `time`: an arrival could slip
    past a shift that is due at the very same moment.
    """

    __slots__ = ()

    def __init__(self, clock: Simulation, time: float, priority: int) -> None:
        # Event.__init__ and Environment.schedule written out: two of these per invocation.
        self.env = clock
        self.callbacks = []
        self._value = None
        self._ok = True
        heapq.heappush(clock._queue, (time, priority, next(clock._eid), self))  # type: ignore[misc]


def _go_on(steps: Generator[At, None, None], _: Event | None = None) -> None:
    """Starts a process, or goes on with it; it goes on again whenever what it waits for happens.

    SimPy's own `Process` starts and ends by events that others can wait for. Nobody does, and they would be half of all events.
    Nothing refers to itself here: what is over goes at once, and the garbage collector finds nothing.
    """
    happens = next(steps, None)
    if happens is not None:
        happens.callbacks.append(partial(_go_on, steps))


@dataclass(slots=True, eq=False)
class _VersionState:
    """One version at work: its behaviour in numbers, its pool of environments, and what it has done.

    The k-th of `error_rates` holds for invocations that start within the k-th `span` (s). Where durations are recorded the k-th of
    `curves`, of shape (steps, shares), holds for those that start within the k-th `step` (s).
    """

    number: str
    spec: VersionSpec
    rows: tuple[faults.FaultRow, ...]
    of_batches: BatchFaults
    pool: EnvironmentPool
    error_rates: list[float]
    span: float
    curves: FloatArray | None = None
    step: float = math.inf
    invocations: int = 0
    errors: int = 0
    cold_starts: int = 0


@dataclass(slots=True, eq=False)
class _SourceState:
    """One source at work.

    `versions` are those that its alias can point to, each with the count index (`planes.counts`) of its first period.
    `judged` are the objectives that its requests fall under, `exposes` says whether its users are those of the rollout.
    `law` is that of deliveries that may be refused; None where Lambda takes them all.
    Of a queue (number `queue` among them) or stream `polled` is what is kept of it, and `strict` are those of the objectives under
    which a record that was handled with a wrong result is bad.
    """

    index: int
    source: Source
    draws: Draws
    alias: Alias
    versions: dict[str, tuple[_VersionState, int]]
    judged: list[tuple[int, float | None]]
    exposes: bool
    law: DeliveryLaw | None
    polled: PolledSource | None = None
    strict: list[tuple[int, float | None]] = field(default_factory=list)
    queue: int = -1


@dataclass(slots=True, eq=False)
class _Arrival:
    """A record of a polled source that comes."""

    source: _SourceState
    arrived: float
    record: PolledRecord


@dataclass(slots=True, eq=False)
class _Request:
    """A request: whose it is, when it arrived (s), and how often it has been tried.

    It is number `index` of the source's block `block`; `draws` are those of its attempt. `user` is -1 and
    `user_quantile` above 1 where the source has no users. `served` says what the alias sent to the new version when it
    arrived, `ABSENT` where nobody looks at that. `refusal` is what became of its latest delivery (`traffic.delivery`).
    """

    source: _SourceState
    block: int
    index: int
    arrived: float
    draws: AttemptDraws
    user: int
    user_quantile: float
    served: int = ABSENT
    attempt: int = 1
    errors: int = 0
    throttles: int = 0
    refusal: float = TAKEN


@dataclass(slots=True, eq=False)
class _Invocation:
    """An invocation in its environment, from `start` to `end` (s), with its init and duration (s) and its outcome."""

    version: _VersionState
    environment: Environment
    cold: bool
    start: float
    init: float
    duration: float
    outcome: int
    end: float


class SimpyPlane:
    """A `DataPlane` that simulates every invocation of one replication with SimPy.

    Counts go into replication 0 of `metrics` and `requests`; durations that percentile alarms read are kept for `keep`
    seconds. With `events`, every invocation is kept as a row of `EVENT_COLUMNS`.
    """

    def __init__(
        self,
        scenario: Scenario,
        streams: Streams,
        metrics: Metrics,
        requests: RequestCounts,
        *,
        keep: float = 0.0,
        events: bool = False,
    ) -> None:
        self._clock = Simulation(0.0)
        self._scenario = scenario
        self._start, self._new, self._timeout = scenario.start, scenario.new, scenario.function.timeout
        self._routing = Routing(scenario)
        self._counts = PeriodCounts(metrics, requests, keep)
        self._fleet = Fleet(scenario.function.concurrency, scenario.function.scale_up)
        self._scalings = scalings_of(scenario)
        self._allocations = Allocations(scenario)
        self._versions = {
            number: self._version(number, spec, scenario.function, streams)
            for number, spec in scenario.function.versions.items()
        }
        self._scale(0.0)
        self._throttled = throttles_of(scenario.function.throttled, streams, scenario.horizon)[0].tolist()
        self._throttled_step = step_of(scenario.function.throttled)
        people = max((source.owners.count for source in scenario.traffic if source.owners is not None), default=0)
        self._user_quantiles = array("d", user_quantiles(streams, people).tobytes())
        self._exposure = UserExposure(people)
        self._events: list[tuple[Any, ...]] | None = [] if events else None
        self._pending: dict[_Request, int] = {}  # with the first count index of its last attempt's version
        self._tests = streams.generator("hook tests")
        self._sources = [self._source(i, source, streams) for i, source in enumerate(scenario.traffic)]
        self._mappings = [source for source in self._sources if source.polled is not None]
        queues = [source for source in self._mappings if source.source.source == "queue"]
        for number, source in enumerate(queues):
            source.queue = number
        self._waiting = 0  # records without a fate
        self._sample_step, self._samples = sample_step(scenario), 0
        _go_on(self._traffic())

    def _version(self, number: str, spec: VersionSpec, function: FunctionSpec, streams: Streams) -> _VersionState:
        rows = faults.rows_of(self._scenario.faults_of(number), self._scenario.start)
        if function.managed is not None:
            places = ManagedPool(self._fleet, function.managed.concurrency)
            places.scale_to(self._scalings[number].ready, 0.0)
            pool: EnvironmentPool = places
        else:
            pool = EnvironmentPool(self._fleet, function.keep_alive, most_recent=function.reuse == "most_recent")
            pool.provision(spec.provisioned, 0.0)
        rates = paths_of(spec.error_rate, streams, self._scenario.horizon)[0].tolist()
        _, span = spans_of(spec.error_rate, self._scenario.horizon)
        state = _VersionState(number, spec, rows, BatchFaults.of(rows), pool, rates, span)
        if isinstance(spec.duration, RecordedDurations):
            state.curves, state.step = spec.duration.path(streams, self._scenario.horizon), spec.duration.step
        return state

    def _source(self, index: int, source: Source, streams: Streams) -> _SourceState:
        scenario, metrics = self._scenario, self._counts.metrics
        first = {t.version: k * metrics.periods for k, t in enumerate(metrics.targets) if t.alias == source.alias}
        draws = Draws.of(source, streams, f"traffic/{index}", scenario.horizon)
        judged = judging(scenario.slos, source.alias, scenario.alias)
        moves = self._new is not None and source.alias == scenario.alias
        return _SourceState(
            index=index,
            source=source,
            draws=draws,
            alias=self._routing.aliases[source.alias],
            versions={number: (self._versions[number], at) for number, at in first.items()},
            judged=judged,
            exposes=source.owners is not None and source.alias == scenario.alias,
            law=law_of(source.delivery, source.source, self._start, moves=moves),
            polled=PolledSource(source, draws, streams, f"traffic/{index}", label_of(scenario, index))
            if source.polled
            else None,
            strict=[(j, limit) for j, limit in judged if scenario.slos[j].sli != "lost"],
        )

    # What the driver asks for (`planes.base.DataPlane`)

    def advance(self, until: float, weights: FloatArray) -> None:
        """Runs the processes up to `until`, where SimPy stops at an event of the rank `CONTROL`."""
        for end in self._routing.stretches(self._clock.now, until, float(weights[0])):
            for number, count in self._allocations.taken_away(self._clock.now, self._routing.aliases):
                self._versions[number].pool.deprovision(count, self._clock.now)
            self._allocate(self._clock.now)
            for stop in instants(self._scenario, self._clock.now, end, self._allocations):
                if self._mappings:
                    self._run_with_samples(stop)
                self._clock.run(until=At(self._clock, stop, CONTROL))
                self._scale(stop)
        if self._mappings:
            self._sample(until)
        self._counts.hand_over(until)

    def provision(self, count: int, mask: Mask) -> None:
        """Warms up the new version's environments."""
        if not mask[0]:
            return
        version = self._new_version
        if isinstance(version.pool, ManagedPool):
            self._scalings[version.number].raise_minimum(count)
            version.pool.scale_to(self._scalings[version.number].ready, self._clock.now)
        else:
            version.pool.provision(count, self._clock.now)

    def test(self, hook: Hook, mask: Mask) -> Answers:
        """Starts a process for each of the hook's invocations."""
        if not mask[0]:
            return lambda: (np.zeros(1, np.int64), np.zeros(1))
        answers: list[tuple[float, bool]] = []
        for number, start in enumerate(hook.starts(self._clock.now)):
            _go_on(self._test(self._new_version, number, start, answers))
        return lambda: (np.array([sum(not passed for _, passed in answers)]), np.array([max(at for at, _ in answers)]))

    def finish(self) -> PlaneTotals:
        """Hands over the requests' counts, and sums up."""
        scenario, counts = self._scenario, self._counts
        for source in self._mappings:
            assert source.polled is not None
            source.polled.poller.close(scenario.horizon)
            self._lose(source, scenario.horizon)
        counts.requests.unanswered[0] = len(self._pending) + self._waiting
        for request, first in self._pending.items():
            self._judge(request, first, scenario.horizon, False, waiting=True)
        for source in self._mappings:
            assert source.polled is not None
            for record in source.polled.unfinished():
                self._judge_record(source, record, scenario.horizon, source.judged, failed=False, waiting=True)
        counts.finish(scenario.horizon)
        versions = {number: _totals(version, scenario.horizon) for number, version in self._versions.items()}
        users = self._exposure.users()
        polled = tuple(source.polled.totals() for source in self._mappings if source.polled is not None)
        return totals_of(scenario, counts.metrics, counts.requests, (users,), (versions,), self._events, (polled,))

    def _allocate(self, t: float) -> None:
        """What is allocated by `t` (s) is there."""
        for number, count in self._allocations.allocated(t):
            self._versions[number].pool.provision(count, t)

    def _scale(self, t: float) -> None:
        """What runs on managed instances has from `t` on the environments that its load comes to; what is allocated is there."""
        self._allocate(t)
        for number, scaling in self._scalings.items():
            pool = self._versions[number].pool
            assert isinstance(pool, ManagedPool)
            scaling.goes_on(t, pool.worked(t))
            pool.scale_to(scaling.ready, t)

    @property
    def _new_version(self) -> _VersionState:
        assert self._new is not None
        return self._versions[self._new]

    # Traffic

    def _traffic(self) -> Generator[At, None, None]:
        """Sends every request on its way; at equal times the sources go in their order."""
        streams = [self._requests(source) for source in self._sources]
        merged = heapq.merge(*streams, key=lambda request: (request.arrived, request.source.index))
        horizon = self._scenario.horizon
        for request in streams[0] if len(streams) == 1 else merged:
            if request.arrived >= horizon:
                return
            yield At(self._clock, request.arrived, ARRIVAL)
            if isinstance(request, _Arrival):
                self._record(request.source, request.record)
            else:
                _go_on(self._request(request))

    def _requests(self, source: _SourceState) -> Iterator[_Request | _Arrival]:
        """A source's requests in the order in which they arrive."""
        block = 0
        while True:
            times = source.draws.process.block(block).tolist()
            if not times:
                return
            draws, users = source.draws.attempt(block, 1), source.draws.users(block)
            for index, t in enumerate(times):
                user = -1 if users is None else users[index]
                user_quantile = NO_USER_QUANTILE if user < 0 else self._user_quantiles[user]
                if source.polled is None:
                    yield _Request(source, block, index, t, draws, user, user_quantile)
                    continue
                record = PolledRecord(
                    number=block * BLOCK + index,
                    arrived=t,
                    place=source.polled.place(user, draws.slow[index]),
                    user=user,
                    user_quantile=user_quantile,
                    trait=jitter(draws.route[index]),
                    fault=draws.fault[index],
                )
                yield _Arrival(source, t, record)
            if len(times) < BLOCK:
                return
            block += 1

    # The life of a request

    def _request(self, request: _Request) -> Generator[At, None, None]:
        """A request, from its arrival to its answer; it counts at the version of its last attempt."""
        t = request.arrived
        self._arrive(request)
        while True:
            routed = request.source.alias.route(request.draws.route[request.index])
            version, first = request.source.versions[routed]
            self._pending[request] = first
            period = int(t // self._counts.resolution)
            if request.source.law is not None and self._is_undelivered(request.source.law, version, request, t):
                outcome = REFUSED
            elif (invocation := self._run(version, request, t)) is None:
                outcome = THROTTLED
                self._counts.throttle(first, period)
            else:
                t = invocation.end
                yield At(self._clock, t, COMPLETION)
                outcome = invocation.outcome
                self._end(invocation)
                self._counts.invocation(first, period, invocation.init, invocation.duration, outcome, invocation.cold)
            delay = None if outcome == OK else self._retry(request, outcome, t)
            if delay is None:
                break
            t = tick(t + delay)
            yield At(self._clock, t, RETRY)
            request.attempt += 1
            request.draws = request.source.draws.attempt(request.block, request.attempt)
        del self._pending[request]
        self._counts.answer(first, request.arrived)
        self._judge(request, first, t, outcome != OK)

    def _arrive(self, request: _Request) -> None:
        """The request comes, and its user is active if the new version takes part in the traffic."""
        self._pending[request] = -1
        if len(self._pending) + self._waiting > MAX_PENDING:
            raise self._too_many(request.arrived)
        if request.source.exposes and request.arrived >= self._start:
            request.served = service(request.source.alias, self._new)
            if request.served != ABSENT:
                self._exposure.active(request.user, request.served)

    def _too_many(self, t: float) -> ScenarioError:
        waiting = f"more than {MAX_PENDING} requests wait for an answer at {t:g} s"
        return ScenarioError([f"{self._scenario.name}: {waiting}; lower the rate"])

    def _is_undelivered(self, law: DeliveryLaw, version: _VersionState, request: _Request, t: float) -> bool:
        """Whether Lambda does not take the event from the service that delivers it; once it has, its own retries act."""
        if request.errors + request.throttles > 0:
            return False
        permitted = law.permitted or t < self._start or service(request.source.alias, self._new) == ABSENT
        u = jitter(request.draws.route[request.index])
        request.refusal = refusal(u, t, permitted, law.share, law.begin, law.end)
        if request.refusal != TAKEN and self._events is not None:
            self._log(request, version, None, t, REFUSED)
        return request.refusal != TAKEN

    def _run(self, version: _VersionState, request: _Request, t: float) -> _Invocation | None:
        """Starts an attempt at `t` in one of the version's environments; None where there is none: a throttle."""
        environment = None if self._refused(request.draws, request.index, t) else version.pool.take(t)
        if environment is None:
            if self._events is not None:
                self._log(request, version, None, t)
            return None
        invocation = self._invoke(version, environment, request.draws, request.index, t, request.user_quantile)
        if self._events is not None:
            self._log(request, version, invocation, t)
        if request.source.exposes and version.number == self._new and t >= self._start:
            request.served = service(request.source.alias, version.number)
            self._exposure.exposed(request.user, request.served)
        return invocation

    def _invoke(
        self, version: _VersionState, environment: Environment, draws: AttemptDraws, index: int, t: float, user_quantile: float
    ) -> _Invocation:  # fmt: skip
        """What becomes of an invocation that starts at `t` in this environment: times by the version, then its faults."""
        spec, number, cold = version.spec, version.number, environment[3] < 0
        duration = init = 0.0
        if cold and spec.cold_duration is not None:
            duration = draws.inits(number, spec.cold_duration)[index]
        else:
            duration = self._service(version, draws, index, t, spec.per_mb)
            if cold and spec.cold_start is not None:
                init = draws.inits(number, spec.cold_start)[index]
        error_rate = version.error_rates[int(t // version.span)]
        outcome, init, duration = faults.resolve_invocation(
            version.rows, error_rate, spec.failed_responses, self._timeout, INIT_LIMIT, draws.fault[index],
            draws.slow[index], t, cold, t - environment[1], self._fleet.running, user_quantile, duration, init,
        )  # fmt: skip
        return _Invocation(version, environment, cold, t, init, duration, outcome, tick(t + init + duration))

    @staticmethod
    def _service(version: _VersionState, draws: AttemptDraws, index: int, t: float, per_mb: float) -> float:
        """Seconds that an invocation takes which starts at `t`, before faults."""
        drawn = draws.durations(version.number, version.spec.duration, per_mb)[index]
        return drawn if version.curves is None else float(duration_at(version.curves[int(t // version.step)], drawn))

    def _refused(self, draws: AttemptDraws, index: int, t: float) -> bool:
        """Whether an attempt at `t` is throttled because others use up the account's concurrency."""
        share = self._throttled[int(t // self._throttled_step)]
        return share > 0.0 and is_refused(share, float(draws.uniforms[SERVICE, index]))

    def _end(self, invocation: _Invocation) -> None:
        """The environment is idle again, or gone after a crash, a failed init or a timeout."""
        version = invocation.version
        if invocation.outcome <= ERROR:
            version.pool.give_back(invocation.environment, invocation.start, invocation.end)
        else:
            version.pool.destroy(invocation.environment, invocation.start, invocation.end)
        version.invocations += 1
        version.errors += invocation.outcome >= ERROR
        version.cold_starts += invocation.cold

    def _retry(self, request: _Request, outcome: int, t: float) -> float | None:
        """Seconds from the failure at `t` to the next attempt; None where there is none."""
        source = request.source.source
        if source.source == "http":  # the client retries
            retry = source.retry
            if retry is None or request.attempt >= retry.attempts or not tries_again(retry, outcome):
                return None
            return retry.delay(request.attempt, jitter(request.draws.route[request.index]))
        if outcome == FAILED_RESPONSE:  # Lambda retries, but for what it takes for a success
            return None
        if outcome == REFUSED:  # the service that delivers
            law = request.source.law
            assert law is not None
            delay = law.delay(request.attempt, request.refusal)
            return delay if delay is not None and tick(t + delay) <= tick(request.arrived + law.max_age) else None
        if outcome == THROTTLED:
            request.throttles += 1
            delay = async_throttle_delay(request.throttles)
        else:
            request.errors += 1
            if request.errors > source.async_retries:
                return None
            delay = async_error_delay(request.errors)
        return delay if tick(t + delay) <= tick(request.arrived + source.max_event_age) else None

    def _judge(self, request: _Request, first: int, t: float, failed: bool, *, waiting: bool = False) -> None:
        """The request is bad for the objectives that it misses: by its answer at `t`, or by `waiting` for one until then."""
        bad = self._counts.judge(first, request.arrived, t, failed, request.source.judged, waiting=waiting)
        if bad and request.served != ABSENT:
            self._exposure.affected(request.user)

    # What is polled

    def _record(self, source: _SourceState, record: PolledRecord) -> None:
        """A record comes, and its user is active if the new version takes part in the traffic."""
        assert source.polled is not None
        self._waiting += 1
        if len(self._pending) + self._waiting > MAX_PENDING:
            raise self._too_many(record.arrived)
        if source.exposes and record.arrived >= self._start:
            record.served = service(source.alias, self._new)
            if record.served != ABSENT:
                self._exposure.active(record.user, record.served)
        source.polled.arrive(record)
        if source.polled.poller.wake() <= record.arrived:
            self._poll(source, record.arrived)
        else:
            self._plan(source)

    def _poll(self, source: _SourceState, t: float) -> None:
        """Hands over all batches that go at `t`, and sees to it that the poller is asked again in time."""
        polled = source.polled
        assert polled is not None
        while (batch := polled.poller.take(t)) is not None:
            self._hand_over(source, batch, t)
        self._lose(source, t)
        self._plan(source)

    def _plan(self, source: _SourceState) -> None:
        """Has the poller asked when it says so, unless it is asked before."""
        polled = source.polled
        assert polled is not None
        due = polled.poller.wake()
        if due >= polled.woken_at:
            return
        polled.woken_at = due

        def wake(_: Event) -> None:
            if polled.woken_at == due:  # and not planned anew since then
                polled.woken_at = math.inf
                self._poll(source, due)

        At(self._clock, due, POLL + source.index).callbacks.append(wake)

    def _hand_over(self, source: _SourceState, batch: BatchOfRecords, t: float) -> None:
        """An invocation with a batch: routed and run like any other, its records one by one inside it."""
        polled = source.polled
        assert polled is not None
        records: list[PolledRecord] = batch.records  # type: ignore[assignment]  # the poller hands out what it was given
        draws, index = polled.draws_of(records[0])
        version, first = source.versions[source.alias.route(draws.route[index])]
        period = int(t // self._counts.resolution)
        for record in records:
            record.first = first
        environment = None if self._refused(draws, index, t) else version.pool.take(t)
        if environment is None:
            self._counts.throttle(first, period)
            self._log_batch(source, records[0], version, None, t)
            polled.poller.done(t, batch, None)
            return
        if polled.mapping.stream:
            self._counts.iterator_age(first, period, t - records[-1].arrived)
        if source.exposes and version.number == self._new and t >= self._start:
            for record in records:
                record.served = service(source.alias, version.number)
                self._exposure.exposed(record.user, record.served)
        invocation = self._invoke_batch(version, environment, draws, index, t, len(records))
        outcomes = self._outcomes(polled, version, records, t) if invocation.outcome == OK else None
        if outcomes is not None and ERROR in outcomes and not polled.mapping.partial_failures:
            invocation.outcome, outcomes = ERROR, None
        self._log_batch(source, records[0], version, invocation, t)
        end = partial(self._batch_over, source, batch, invocation, outcomes, first, period)
        At(self._clock, invocation.end, COMPLETION).callbacks.append(end)

    def _invoke_batch(
        self, version: _VersionState, environment: Environment, draws: AttemptDraws, index: int, t: float, size: int
    ) -> _Invocation:
        """What becomes of the invocation as a whole: its times, and the faults that hit it and not its records."""
        spec, number, cold = version.spec, version.number, environment[3] < 0
        init = 0.0
        if cold and spec.cold_duration is not None:
            duration = draws.inits(number, spec.cold_duration)[index]
        else:
            duration = self._service(version, draws, index, t, 0.0)
            if cold and spec.cold_start is not None:
                init = draws.inits(number, spec.cold_start)[index]
        # The upper digits of the fault draw are the first record's.
        outcome, init, duration = faults.resolve_invocation(
            version.of_batches.of_invocations, 0.0, 0.0, self._timeout, INIT_LIMIT, jitter(draws.fault[index]),
            draws.slow[index], t, cold, t - environment[1], self._fleet.running, NO_USER_QUANTILE,
            tick(duration + size * spec.per_record), init,
        )  # fmt: skip
        return _Invocation(version, environment, cold, t, init, duration, outcome, tick(t + init + duration))

    @staticmethod
    def _outcomes(polled: PolledSource, version: _VersionState, records: Sequence[PolledRecord], t: float) -> list[int]:
        """What becomes of each record of an invocation that does not fail itself: `OK`, `ERROR` or `FAILED_RESPONSE`."""
        spec, (_, rows, alike, poisoned) = version.spec, version.of_batches
        error_rate = version.error_rates[int(t // version.span)]
        shares = (0.0, 0.0, 0.0, error_rate, spec.failed_responses)
        outcomes = []
        for position, record in enumerate(records):
            if rows and (position == 0 or not alike):
                shares = faults.failure_shares(
                    rows, error_rate, spec.failed_responses, t, cold=False, age=0.0, running=0,
                    user_quantile=record.user_quantile,
                )  # fmt: skip
            outcome = faults.outcome_of(polled.fault_of(record), *shares)
            if poisoned and faults.is_poison(rows, t, record.trait):
                outcome = ERROR
            outcomes.append(outcome)
        return outcomes

    def _batch_over(
        self, source: _SourceState, batch: BatchOfRecords, invocation: _Invocation, outcomes: list[int] | None,
        first: int, period: int, _: Event,
    ) -> None:  # fmt: skip
        """The invocation ends: records that it handled are over, the others are the poller's again."""
        polled, t = source.polled, invocation.end
        assert polled is not None
        self._end(invocation)
        self._counts.invocation(
            first, period, invocation.init, invocation.duration, invocation.outcome, invocation.cold
        )
        failed = [True] * len(batch.records) if outcomes is None else [outcome == ERROR for outcome in outcomes]
        polled.poller.done(t, batch, failed)
        given_up = {record.number for record, _ in polled.poller.fates}  # over as well, and not handled
        records: list[PolledRecord] = batch.records  # type: ignore[assignment]
        for record, outcome in zip(records, outcomes or (), strict=outcomes is not None):
            if record.over and record.number not in given_up:
                wrong = outcome == FAILED_RESPONSE
                polled.handled(t, record, wrong=wrong)
                self._waiting -= 1
                self._counts.answer(record.first, record.arrived)
                judged = source.strict if wrong else source.judged
                failing = wrong and (bool(judged) or not source.judged)  # not where all objectives are about lost ones
                self._judge_record(source, record, t, judged, failed=failing)
        self._lose(source, t)
        self._plan(source)

    def _lose(self, source: _SourceState, t: float) -> None:
        """Records that were lost by `t` are bad."""
        assert source.polled is not None
        for record, _ in source.polled.lost():
            self._waiting -= 1
            if record.first < 0:  # never handed over: it counts where it would have gone most likely
                record.first = source.versions[source.alias.function_version][1]
            self._counts.answer(record.first, record.arrived)
            self._judge_record(source, record, t, source.judged, failed=True)

    def _judge_record(
        self,
        source: _SourceState,
        record: PolledRecord,
        t: float,
        judged: list[tuple[int, float | None]],
        *,
        failed: bool,
        waiting: bool = False,
    ) -> None:
        if record.first < 0:
            record.first = source.versions[source.alias.function_version][1]
        assert source.polled is not None
        bad = self._counts.judge(record.first, record.arrived, t, failed, judged, waiting=waiting)
        source.polled.bad += bad
        if bad and record.served != ABSENT:
            self._exposure.affected(record.user)

    def _run_with_samples(self, stop: float) -> None:
        """Runs up to the last look at the backlogs before `stop`."""
        while (due := self._samples * self._sample_step) < stop:
            if due > self._clock.now:
                self._clock.run(until=At(self._clock, due, CONTROL))
            self._sample(due)

    def _sample(self, t: float) -> None:
        """Looks at the backlogs at `t`, if that is the next time to do so."""
        if t != self._samples * self._sample_step:
            return
        self._samples += 1
        ends_period = self._samples > 1 and t % self._counts.resolution == 0
        for source in self._mappings:
            assert source.polled is not None
            source.polled.poller.settle(t)
            self._lose(source, t)
            source.polled.sample(t)
            if ends_period:
                source.polled.gauge(self._counts.metrics, source.queue, round(t / self._counts.resolution) - 1)

    def _log_batch(
        self, source: _SourceState, lead: PolledRecord, version: _VersionState, invocation: _Invocation | None, t: float
    ) -> None:
        """Keeps an invocation as a row of the events; its request and attempt are those of the first record of the batch."""
        if self._events is None:
            return
        what: tuple[Any, ...] = (-1, False, t, 0.0, 0.0, THROTTLED)
        if invocation is not None:
            identity = invocation.environment[2]
            what = (identity, invocation.cold, t, invocation.init, invocation.duration, invocation.outcome)
        row = (source.source.name, lead.number, lead.receives, source.source.alias, version.number, *what, lead.user)
        self._events.append(row)

    # Tests of hooks

    def _test(
        self, version: _VersionState, number: int, start: float, answers: list[tuple[float, bool]]
    ) -> Generator[At, None, None]:
        """One test invocation of a hook, straight to the version: in nobody's alias metrics.

        When it is answered, and whether it passes, is known from its start on.
        """
        yield At(self._clock, start, ARRIVAL)
        environment = version.pool.take(start)
        if environment is None:
            if self._events is not None:
                self._log(number, version, None, start)
            answers.append((start, False))
            return
        draws = AttemptDraws(self._tests.random((COLUMNS, 1)), None)
        invocation = self._invoke(version, environment, draws, 0, start, NO_USER_QUANTILE)
        if self._events is not None:
            self._log(number, version, invocation, start)
        answers.append((invocation.end, invocation.outcome == OK))
        yield At(self._clock, invocation.end, COMPLETION)
        self._end(invocation)

    def _log(
        self,
        origin: _Request | int,
        version: _VersionState,
        invocation: _Invocation | None,
        t: float,
        outcome: int = THROTTLED,
    ) -> None:
        """Keeps an attempt as a row of the events: a request's, or that of a hook's test by its number."""
        assert self._events is not None
        if isinstance(origin, int):
            source, alias, number, attempt, user = HOOK_TEST, "", origin, 1, -1
        else:
            source, alias = origin.source.source.name, origin.source.source.alias
            number, attempt, user = origin.block * BLOCK + origin.index, origin.attempt, origin.user
        what: tuple[Any, ...] = (-1, False, t, 0.0, 0.0, outcome)
        if invocation is not None:
            identity = invocation.environment[2]
            what = (identity, invocation.cold, t, invocation.init, invocation.duration, invocation.outcome)
        self._events.append((source, number, attempt, alias, version.number, *what, user))


def _totals(version: _VersionState, horizon: float) -> VersionTotals:
    lived, worked = version.pool.seconds(horizon)
    return VersionTotals(
        invocations=version.invocations,
        errors=version.errors,
        cold_starts=version.cold_starts,
        environment_seconds=lived,
        running_seconds=worked,
    )


SPEC: Final = PlaneSpec(
    engine="simpy",
    speed=100_000,
    single_run=SimpyPlane,
    asked_for="the reference plane: every invocation is a process",
)
