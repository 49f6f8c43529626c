"""The reference plane: every request is a SimPy process that arrives, is routed, runs, fails or succeeds, retries."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from rollout_sim.control.controller import Command
from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.slo import judging
from rollout_sim.core.arrays import IntArray
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import tick
from rollout_sim.errors import ScenarioError
from rollout_sim.function import faults
from rollout_sim.function.environments import EnvironmentPool, Fleet
from rollout_sim.function.faults import ERROR, OK, THROTTLED
from rollout_sim.function.lambda_api import Alias
from rollout_sim.function.spec import INIT_LIMIT, FunctionSpec, VersionSpec
from rollout_sim.planes.base import ARRIVAL, COMPLETION, RETRY
from rollout_sim.planes.clock import At, Clock
from rollout_sim.planes.counts import PeriodCounts
from rollout_sim.planes.draws import (
    COLUMNS,
    HOOK_TEST,
    MAX_PENDING,
    NO_USER_QUANTILE,
    AttemptDraws,
    Draws,
    jitter,
    user_quantiles,
)
from rollout_sim.planes.exposure import ABSENT, Audience, Users, service
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.source import Source, async_error_delay, async_throttle_delay


@dataclass(slots=True)
class _Version:
    """One version at work: its behaviour in numbers and its pool of environments."""

    number: str
    spec: VersionSpec
    rows: tuple[faults.FaultRow, ...]
    pool: EnvironmentPool
    invocations: int = 0
    errors: int = 0
    cold_starts: int = 0


@dataclass(slots=True)
class _Lane:
    """One source at work: its draws, its alias, and for each version the place of its counts."""

    index: int
    source: Source
    draws: Draws
    alias: Alias
    bases: dict[str, int]


class SimpyPlane:
    """Simulates every invocation on `clock`; counts go into `metrics` and `requests` (replication 0) at `advance`.

    `aliases` are the function's own alias objects: whoever updates them changes the routing at once.
    With `events`, every invocation is kept as a row of `EVENT_COLUMNS`.
    """

    def __init__(
        self,
        clock: Clock,
        scenario: Scenario,
        aliases: dict[str, Alias],
        streams: Streams,
        metrics: Metrics,
        requests: RequestCounts,
        *,
        keep: float = 0.0,
        events: bool = False,
    ) -> None:
        spec = scenario.function
        self.clock = clock
        self.scenario = scenario
        self.counts = PeriodCounts(metrics, requests, keep)
        self.fleet = Fleet(spec.concurrency, spec.scale_up)
        self.versions = {number: self._version(number, one, spec) for number, one in spec.versions.items()}
        self.events: list[tuple[Any, ...]] | None = [] if events else None
        self.pending = 0
        self.tests = streams.generator("hook tests")
        people = max((source.users.count for source in scenario.traffic if source.users is not None), default=0)
        self.user_quantiles = array("d", user_quantiles(streams, people).tobytes())
        self.audience = Audience(people)
        periods = metrics.periods
        self.lanes = []
        for i, source in enumerate(scenario.traffic):
            name = f"traffic/{i}"
            bases = {t.version: k * periods for k, t in enumerate(metrics.targets) if t.alias == source.alias}
            self.lanes.append(
                _Lane(
                    index=i,
                    source=source,
                    draws=Draws.of(source, streams, name, scenario.horizon),
                    alias=aliases[source.alias],
                    bases=bases,
                )
            )
        clock.process(self._traffic())

    def _version(self, number: str, spec: VersionSpec, function: FunctionSpec) -> _Version:
        rows = faults.rows_of(self.scenario.faults_of(number), self.scenario.start)
        pool = EnvironmentPool(self.fleet, function.keep_alive, most_recent=function.reuse == "most_recent")
        if spec.provisioned:
            pool.provision(spec.provisioned, 0.0)
        return _Version(number, spec, rows, pool)

    def advance(self) -> None:
        """Hands over the counts of everything that has happened by now."""
        self.counts.hand_over(self.clock.now)

    def finish(self) -> None:
        """Hands over everything, requests included, at the horizon."""
        self.counts.finish(self.scenario.horizon)
        self.counts.requests.pending[0] = self.pending

    def provision(self, version: str, count: int) -> None:
        """`count` environments of `version` are warm from now on."""
        self.versions[version].pool.provision(count, self.clock.now)

    def test(self, command: Command, version: str, failed: IntArray) -> None:
        """Starts a hook's test invocations; `failed[0]` falls with every one that succeeds in time."""
        assert command.hook is not None
        failed[0] = command.hook.invocations
        deadline = tick(self.clock.now + command.hook.over)
        for k in range(command.hook.invocations):
            at = tick(self.clock.now + (k + 0.5) * command.hook.over / command.hook.invocations)
            self.clock.process(self._test(self.versions[version], k, at, deadline, failed))

    def users(self) -> Users:
        """The users of the rollout's alias, from the rollout's start on."""
        return self.audience.users()

    def _arrivals(self, lane: _Lane) -> Iterator[tuple[float, int, int, int, AttemptDraws, list[int] | None]]:
        block = 0
        while True:
            times = lane.draws.process.block(block).tolist()
            if not times:
                return
            draws, users = lane.draws.attempt(block, 1), lane.draws.users(block)
            for j, t in enumerate(times):
                yield t, lane.index, block, j, draws, users
            if len(times) < BLOCK:
                return
            block += 1

    def _traffic(self) -> Generator[At, None, None]:
        """Sends every request on its way; at equal times the sources go in their order."""
        clock, horizon = self.clock, self.scenario.horizon
        makers = [self._request_maker(lane) for lane in self.lanes]
        streams = [self._arrivals(lane) for lane in self.lanes]
        merged = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda one: one[:2])
        process = clock.process
        for t, lane, block, j, draws, users in merged:
            if t >= horizon:
                return
            yield At(clock, t, ARRIVAL)
            process(makers[lane](t, block, j, draws, users))

    def _request_maker(self, lane: _Lane) -> Any:
        """The process of one request of `lane`, with all that does not change bound once."""
        scenario, clock, counts, fleet = self.scenario, self.clock, self.counts, self.fleet
        source, route, events = lane.source, lane.alias.route, self.events
        behave, log = self._behave, self._log
        versions = {
            number: (version, lane.bases[number]) for number, version in self.versions.items() if number in lane.bases
        }
        resolution, start_at, new = counts.resolution, scenario.start, scenario.new
        invocations, durations = counts.invocations, counts.duration_sum
        synchronous, retry, oldest = source.source == "http", source.retry, source.max_event_age
        has_users, alias_name = source.users is not None, source.alias
        alias, quantiles, audience = lane.alias, self.user_quantiles, self.audience
        counted, hurt = has_users and alias_name == scenario.alias, audience.hurt
        answer, watch, judged = counts.answer, counts.watch, judging(scenario.slos, alias_name, scenario.alias)

        def request(
            t: float, block: int, j: int, draws: AttemptDraws, users: list[int] | None
        ) -> Generator[At, None, None]:
            self.pending += 1
            if self.pending > MAX_PENDING:
                waiting = f"more than {MAX_PENDING} requests wait for an answer at {clock.now:g} s"
                raise ScenarioError([f"{scenario.name}: {waiting}; lower the rate"])
            arrived, latest = t, tick(t + oldest)
            attempt, errors, throttles = 1, 0, 0
            user = users[j] if users is not None else -1
            user_quantile = quantiles[user] if has_users else NO_USER_QUANTILE
            served = service(alias, new) if counted and t >= start_at else ABSENT
            if served:
                audience.meet(user, served)
            while True:
                version, base = versions[route(draws.route[j])]
                environment = version.pool.take(t)
                period = int(t // resolution)
                if environment is None:
                    outcome = THROTTLED
                    counts.throttles[base + period] += 1
                    counts.dirty = min(counts.dirty, period)
                    if events is not None:
                        log(lane, block * BLOCK + j, attempt, version, -1, False, t, 0.0, 0.0, outcome, user)
                else:
                    cold = environment[3] < 0
                    outcome, init, duration = behave(
                        version, draws, j, t, cold, environment[1], fleet.running, user_quantile
                    )
                    began = t
                    if events is not None:
                        request_number, environment_number = block * BLOCK + j, environment[2]
                        log(
                            lane, request_number, attempt, version, environment_number, cold, t, init, duration,
                            outcome, user,
                        )  # fmt: skip
                    if counted and new == version.number and t >= start_at:
                        audience.reach(user, service(alias, new))
                    t = tick(t + init + duration)
                    yield At(clock, t, COMPLETION)
                    if outcome <= ERROR:
                        version.pool.give_back(environment, began, t)
                    else:
                        version.pool.destroy(environment, began, t)
                    place = base + period
                    invocations[place] += 1
                    durations[place] += duration
                    version.invocations += 1
                    if outcome:
                        counts.errors[place] += 1
                        version.errors += 1
                    if cold:
                        counts.cold_starts[place] += 1
                        version.cold_starts += 1
                    counts.dirty = min(counts.dirty, period)
                    if watch:
                        counts.observe(place, duration)
                if outcome == OK:
                    break
                if synchronous:
                    if (
                        retry is None
                        or attempt >= retry.attempts
                        or ("throttle" if outcome == THROTTLED else "error") not in retry.on
                    ):
                        break
                    delay = retry.delay(attempt, jitter(draws.route[j]))
                elif outcome == THROTTLED:
                    throttles += 1
                    delay = async_throttle_delay(throttles)
                    if tick(t + delay) > latest:
                        break
                else:
                    errors += 1
                    if errors > source.async_retries:
                        break
                    delay = async_error_delay(errors)
                    if tick(t + delay) > latest:
                        break
                attempt += 1
                draws = lane.draws.attempt(block, attempt)
                t = tick(t + delay)
                yield At(clock, t, RETRY)
            self.pending -= 1
            bad = answer(base, arrived, t, outcome != OK, judged)
            if bad and served:
                hurt[user] = 1

        return request

    def _log(
        self, lane: _Lane | None, number: int, attempt: int, version: _Version, environment: int, cold: bool,
        start: float, init: float, duration: float, outcome: int, user: int,
    ) -> None:  # fmt: skip
        """Keeps an invocation as a row of the events; without a lane it is a hook's test."""
        assert self.events is not None
        source, alias = (HOOK_TEST, "") if lane is None else (lane.source.name, lane.source.alias)
        self.events.append(
            (source, number, attempt, alias, version.number, environment, cold, start, init, duration, outcome, user)
        )

    def _behave(
        self,
        version: _Version,
        draws: AttemptDraws,
        j: int,
        t: float,
        cold: bool,
        created: float,
        running: int,
        user_quantile: float,
    ) -> tuple[int, float, float]:
        """Outcome, seconds of init and seconds of duration of an invocation that starts at `t`."""
        spec, timeout = version.spec, self.scenario.function.timeout
        number = version.number
        duration, init = 0.0, 0.0
        if cold and spec.cold_duration is not None:
            duration = draws.inits(number, spec.cold_duration)[j]
        else:
            times = draws.times.get((number, False))
            duration = (draws.durations(number, spec.duration, spec.per_mb) if times is None else times)[j]
            if cold and spec.cold_start is not None:
                init = draws.inits(number, spec.cold_start)[j]
        return faults.resolve_invocation(
            version.rows, spec.error_rate, timeout, INIT_LIMIT, draws.fault[j], draws.slow[j], t,
            cold, t - created, running, user_quantile, duration, init,
        )  # fmt: skip

    def _test(
        self, version: _Version, number: int, at: float, deadline: float, failed: IntArray
    ) -> Generator[At, None, None]:
        """One test invocation of a hook, straight to the version: in nobody's alias metrics."""
        clock = self.clock
        yield At(clock, at, ARRIVAL)
        environment = version.pool.take(at)
        if environment is None:
            if self.events is not None:
                self._log(None, number, 1, version, -1, False, at, 0.0, 0.0, THROTTLED, -1)
            return
        draws = AttemptDraws(self.tests.random((COLUMNS, 1)), None)
        cold = environment[3] < 0
        outcome, init, duration = self._behave(
            version, draws, 0, at, cold, environment[1], self.fleet.running, NO_USER_QUANTILE
        )
        if self.events is not None:
            self._log(None, number, 1, version, environment[2], cold, at, init, duration, outcome, -1)
        end = tick(at + init + duration)
        yield At(clock, end, COMPLETION)
        (version.pool.give_back if outcome <= ERROR else version.pool.destroy)(environment, at, end)
        version.invocations += 1
        version.errors += outcome != OK
        version.cold_starts += cold
        if outcome == OK and end <= deadline:
            failed[0] -= 1
