"""The compiled plane: the SimPy plane's model, run by a Numba kernel over pre-drawn blocks; equal to the last bit.

This side makes room where the kernel asks for it, and takes out what it has counted. A plane is many runs side by side, one
for each replication; the runs of several strategies share their draws and their past (`Replications`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.metrics import GAUGES, Metrics, RequestCounts
from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import FloatArray, IntArray, Mask
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import micros, seconds, tick
from rollout_sim.errors import ScenarioError
from rollout_sim.function.faults import rows_of
from rollout_sim.function.lambda_api import Alias
from rollout_sim.planes.base import ARRIVAL, Answers, PlaneTotals, VersionTotals
from rollout_sim.planes.compiled import polls
from rollout_sim.planes.compiled import state as k
from rollout_sim.planes.compiled.environments import MAX_ENVIRONMENTS, add_places, remove_places, remove_provisioned
from rollout_sim.planes.compiled.feed import Loader
from rollout_sim.planes.compiled.kernel import add_from_python, advance, advance_polled, push_from_python
from rollout_sim.planes.compiled.queue import slice_of
from rollout_sim.planes.compiled.sfc64 import QuickStreams
from rollout_sim.planes.compiled.state import copied, faulty, laid_out, paths_in
from rollout_sim.planes.counts import KeptDurations, totals_of
from rollout_sim.planes.draws import COLUMNS, HOOK_TEST, MAX_PENDING, AttemptDraws, Draws, user_quantiles
from rollout_sim.planes.exposure import AFFECTED, Users, service
from rollout_sim.planes.managed import Allocations, instants, scalings_of
from rollout_sim.planes.routing import Routing
from rollout_sim.scenario.scenario import Scenario

Route = tuple[tuple[int, int, float, int | None], ...]
"""By source: the alias's version, its additional one (-1: none) with its weight, and what of it goes to the new version."""


class Replications:
    """What the runs of so many `strategies` share, replication by replication: their draws, and all that comes before the rollout.

    A `planes.base.SideBySide`. `keeps` is about how many blocks of draws of each source there are (`feed.Loader`), where they
    are kept for the strategies that follow; 0 draws them anew for each.
    """

    def __init__(
        self, scenario: Scenario, replications: Sequence[Streams], strategies: int = 1, *, keeps: int = 0
    ) -> None:
        self.scenario = scenario
        self.replications = tuple(
            QuickStreams(seed=s.seed, replication=s.replication, prefix=s.prefix) for s in replications
        )
        self.strategies = strategies
        self.keeps = keeps if strategies > 1 else 0
        self._loaders: list[Loader] = []
        self._pasts: dict[Hashable, CompiledPlane] = {}

    def loaders(self, *, ahead: bool) -> list[Loader]:
        """Those that draw for the next strategy."""
        if self._loaders and self.keeps:
            return self._loaders
        self._loaders = []
        for streams in self.replications:
            sources = [
                Draws.of(
                    source, streams, f"traffic/{i}", self.scenario.horizon,
                    self._loaders[0].sources[i] if self._loaders else None,
                )
                for i, source in enumerate(self.scenario.traffic)
            ]  # fmt: skip
            self._loaders.append(Loader(self.scenario, sources, ahead=ahead, keeps=self.keeps))
        return self._loaders

    def plane(
        self, scenario: Scenario, metrics: Metrics, requests: RequestCounts, *, keep: float, quiet: float, unread: float
    ) -> CompiledPlane:
        """As `SideBySide` has it: what happens until `quiet` is simulated once for all that count the same there."""
        if not self.keeps or quiet <= 0:
            return CompiledPlane(self, metrics, requests, scenario=scenario, keep=keep, unread=unread)
        kept = (tuple(metrics.percentiles), keep, unread) if metrics.percentiles else ()
        whose = (scenario.alias, scenario.new, _faults_of_the_past(scenario))
        key = (quiet, metrics.targets, metrics.resolution, metrics.periods, kept, whose)
        if key not in self._pasts:
            self._pasts[key] = past = CompiledPlane(
                self, metrics.emptied(), requests.emptied(), scenario=scenario, keep=keep, unread=unread
            )
            past.advance(quiet, np.zeros(len(self.replications)))
        return CompiledPlane(
            self, metrics, requests, scenario=scenario, keep=keep, unread=unread, past=self._pasts[key]
        )


def _faults_of_the_past(scenario: Scenario) -> Hashable:
    """The faults of the versions that serve before the rollout."""
    function, new = scenario.function, scenario.new
    serving = {*function.aliases.values(), *(promotion.to for promotion in scenario.promotions)}
    return tuple(
        rows_of(scenario.faults_of(name), scenario.start)
        for name in function.versions
        if name != new or name in serving
    )


class CompiledPlane:
    """A `DataPlane` that does what `SimpyPlane` does in each replication; the kernel goes on when `advance` is called.

    With a `past`, which nothing was decided in, it begins where that stands.
    """

    def __init__(
        self,
        shared: Replications,
        metrics: Metrics,
        requests: RequestCounts,
        *,
        scenario: Scenario | None = None,
        keep: float = 0.0,
        unread: float = 0.0,
        events: bool = False,
        ahead: bool = False,
        past: CompiledPlane | None = None,
    ) -> None:
        self.scenario = scenario = scenario or shared.scenario
        self.metrics = metrics
        self.requests = requests
        self.now = 0.0
        self.runs: list[Run] = []
        self._routing = Routing(scenario)
        if past is not None:
            self.now = past.now
            self.runs = [run.copied(scenario, metrics, requests) for run in past.runs]
            return
        first = None
        for number, (streams, loader) in enumerate(zip(shared.replications, shared.loaders(ahead=ahead), strict=True)):
            if first is None:
                first = state = laid_out(scenario, metrics, requests, streams, events=events)
            else:
                state = copied(first, metrics, requests, number)
                state = state._replace(
                    user_quantiles=user_quantiles(streams, state.user_quantiles.size),
                    **paths_in(scenario, streams),
                )
            kept = tuple(
                KeptDurations(metrics, keep, metric, replication=number, first=unread)
                for metric in ("duration", "latency")
            )
            polled = polls.laid_out(scenario, metrics, streams, number, kept=loader.keeps > 0)
            self.runs.append(Run(scenario, state, loader, metrics, kept, streams, number, polled))
        for run in self.runs:
            run.begin()

    # What the driver asks for (`planes.base.DataPlane`)

    def advance(self, until: float, weights: FloatArray) -> None:
        """Runs the kernel up to `until` and shows the metrics what is over."""
        assert until >= self.now, "a past that reaches beyond the first instant of control"
        for weight in np.unique(weights).tolist():
            runs = [self.runs[number] for number in np.flatnonzero(weights == weight)]
            start = self.now
            for end in self._routing.stretches(start, until, weight):
                route = self._route()
                for run in runs:
                    run.go_on(start, end, until, route, self._routing.aliases)
                start = end
        self.now = until
        for run in self.runs:
            run.show(until)

    def provision(self, count: int, mask: Mask) -> None:
        """Makes environments of the new version, warm from now on."""
        for number in np.flatnonzero(mask):
            self.runs[number].provision(self._new, count, self.now)

    def test(self, hook: Hook, mask: Mask) -> Answers:
        """Queues the hook's invocations."""
        tested = np.flatnonzero(mask)
        for number in tested:
            self.runs[number].test(self._new, hook, self.now)

        def answers() -> tuple[IntArray, FloatArray]:
            failed, at = np.zeros(mask.size, np.int64), np.zeros(mask.size)
            for number in tested:
                good, at[number] = self.runs[number].tested(self._new)
                failed[number] = hook.invocations - good
            return failed, at

        return answers

    def finish(self) -> PlaneTotals:
        """Takes the requests' counts out of the states, and sums up."""
        for run in self.runs:
            run.finish(self.requests)
        users = tuple(run.users() for run in self.runs)
        versions = tuple(run.versions() for run in self.runs)
        polled = tuple(polls.totals(run.polls, self.scenario) for run in self.runs if run.polls is not None)
        return totals_of(self.scenario, self.metrics, self.requests, users, versions, self.runs[0].events, polled)

    @property
    def _new(self) -> int:
        assert self.scenario.new is not None
        return tuple(self.scenario.function.versions).index(self.scenario.new)

    def _route(self) -> Route:
        """Where the aliases send the traffic of each source."""
        names, route = tuple(self.scenario.function.versions), []
        for source in self.scenario.traffic:
            alias = self._routing.aliases[source.alias]
            additional = alias.additional_version
            route.append(
                (
                    names.index(alias.function_version),
                    -1 if additional is None else names.index(additional),
                    alias.additional_weight,
                    service(alias, self.scenario.new) if alias.name == self.scenario.alias else None,
                )
            )
        return tuple(route)


class Run:
    """One replication at work: its state, and what the kernel asks for."""

    def __init__(
        self,
        scenario: Scenario,
        state: k.State,
        loader: Loader,
        metrics: Metrics,
        kept: tuple[KeptDurations, ...],
        streams: Streams,
        number: int,
        polled: polls.Polls | None,
    ) -> None:
        self.scenario = scenario
        self.polls = polled
        self.metrics = metrics
        self.state = state._replace(**loader.arrays)
        self.loader = loader
        self.kept = kept
        self.streams = streams
        self.number = number
        self.names = tuple(scenario.function.versions)
        self.specs = tuple(scenario.function.versions.values())
        self.events: list[tuple[Any, ...]] | None = [] if state.log.size else None
        self._route: Route | None = None
        self._scalings = scalings_of(scenario)
        self._alive: dict[str, list[int]] = {name: [] for name in self._scalings}  # by version, the oldest first
        self._allocations = Allocations(scenario)

    def copied(self, scenario: Scenario, metrics: Metrics, requests: RequestCounts) -> Run:
        """The same run, in which nothing was tested yet; it goes on by itself, with that scenario's faults, and counts there."""
        state = faulty(copied(self.state, metrics, requests, self.number), scenario)
        kept = tuple(times.copied(metrics) for times in self.kept)
        polled = None if self.polls is None else polls.copied(self.polls, scenario, metrics, self.number)
        run = Run(scenario, state, self.loader, metrics, kept, self.streams, self.number, polled)
        run._scalings, run._alive, run._allocations = deepcopy((self._scalings, self._alive, self._allocations))
        return run

    def begin(self) -> None:
        """Time 0."""
        rate = math.fsum(source.process.long_run_rate for source in self.loader.sources)
        self.state.n[k.SLICE] = slice_of(rate)
        for v, spec in enumerate(self.specs):
            if spec.provisioned:
                self.provision(v, spec.provisioned, 0.0)
        self._scale_to(0.0)
        self._allocate(0.0)

    def advance(self, until: float, route: Route, *, last: bool = True) -> None:
        """Runs the kernel up to `until` (s), the completions at it included, and gives it what it asks for.

        Where the aliases move at `until` it is not the `last` part, and backlogs are looked at after that.
        """
        if route != self._route:
            self._route = route
            for row, (primary, additional, weight, its_service) in zip(self.state.sources, route, strict=True):
                row["primary"], row["additional"], row["weight"] = primary, additional, weight
                if its_service is not None:
                    row["service"] = its_service
        if self.polls is not None:
            self.polls.n[polls.SAMPLE_UNTIL] = micros(until) - (not last)
        self._go_on(until)

    def _go_on(self, until: float) -> None:
        kernel = advance if self.polls is None else advance_polled
        t = float(until)  # a whole number would be another type, and compiled once more
        while (code := kernel(self.state, self.polls, t)) != k.DONE:
            self._answer(code)

    def go_on(self, start: float, end: float, until: float, route: Route, aliases: Mapping[str, Alias]) -> None:
        """Goes from `start` to `end` (s), while the aliases stand as they do; environments come and go meanwhile.

        Where the plane goes on beyond `end`, up to `until`, the aliases move at `end`.
        """
        for number, count in self._allocations.taken_away(start, aliases):
            remove_provisioned(self.state, self.names.index(number), start, count)
        self._allocate(start)
        for stop in instants(self.scenario, start, end, self._allocations):
            self.advance(stop, route, last=stop == until)
            self._scale(stop)
            self._allocate(stop)

    def _allocate(self, t: float) -> None:
        for number, count in self._allocations.allocated(t):
            self.provision(self.names.index(number), count, t)

    def _scale(self, t: float) -> None:
        """What runs on managed instances has from `t` (s) on the environments that its load comes to."""
        for v, scaling in enumerate(self._scalings.values()):
            scaling.goes_on(t, self._worked(v, t))
        self._scale_to(t)

    def _scale_to(self, t: float) -> None:
        managed = self.scenario.function.managed
        for v, (scaling, alive) in enumerate(zip(self._scalings.values(), self._alive.values(), strict=True)):
            while len(alive) < scaling.ready:
                assert managed is not None
                self._make_room(managed.concurrency)
                alive.append(int(self.state.n[k.MADE]))
                add_places(self.state, v, t, managed.concurrency)
            if len(alive) > scaling.ready:
                remove_places(self.state, v, t, alive[scaling.ready :])
                del alive[scaling.ready :]

    def _answer(self, code: int) -> None:
        """Gives the kernel what it came back for."""
        load = self.loader
        if code == k.TOO_MANY:
            at = seconds(int(self.state.want[0]))
            waiting = f"more than {MAX_PENDING} requests wait for an answer at {at:g} s"
            raise ScenarioError([f"{self.scenario.name}: {waiting}; lower the rate"])
        loads = {
            k.NEED_BLOCK: load.block, k.NEED_DRAWS: load.draws, k.NEED_ALL_DRAWS: load.all_draws,
            k.NEED_TIMES: load.times, k.NEED_INITS: load.inits,
        }  # fmt: skip
        if code not in loads:
            room = {
                k.FULL_ENVIRONMENTS: self._more_environments, k.FULL_REQUESTS: self._more_requests,
                k.FULL_LOG: self._drain_log, k.FULL_SAMPLES: self._drain_samples, k.FULL_RECORDS: self._more_records,
            }  # fmt: skip
            room[code]()
            return
        loads[code](self.state)
        if self.state.arrivals is not load.arrays["arrivals"]:
            self.state = self.state._replace(**load.arrays)

    def show(self, t: float) -> None:
        """Shows the metrics what is over by `t` (s): what the kernel does not write there itself."""
        for counted, array in zip(self.state.slow, self.metrics.slow, strict=True):
            array[self.number] = counted.reshape(array[self.number].shape)
        if self.polls is not None:
            for name, gauge in zip(GAUGES, self.polls.gauges, strict=True):
                self.metrics.gauges[name][self.number] = gauge
        if self.metrics.percentiles:
            self._drain_samples()
            for kept in self.kept:
                kept.hand_over(t)
        if self.events is not None:
            self._drain_log()

    def provision(self, v: int, count: int, t: float) -> None:
        """So many environments of version `v` are warm from `t` (s) on."""
        if self._scalings:
            self._scalings[self.names[v]].raise_minimum(count)
            self._scale_to(t)
            return
        self._make_room(count)
        self.state.n[k.LIMIT] -= count
        for _ in range(count):
            add_from_python(self.state, v, t)

    def test(self, v: int, hook: Hook, t: float) -> None:
        """Queues the hook's invocations of version `v`, from `t` (s) on.

        `good` of the version counts those that succeed, `answered` is when the last one is over.
        """
        self._draw_tests(v, hook.invocations)
        while self.state.n[k.FREE] <= hook.invocations:
            self._more_requests()
        s = self.state
        s.versions[v]["good"] = s.versions[v]["answered"] = 0
        for i, start in enumerate(hook.starts(t)):
            s.n[k.FREE] -= 1
            r = int(s.free[s.n[k.FREE]])
            s.requests[r] = 0
            request = s.requests[r : r + 1]
            request["test"], request["version"], request["index"], request["attempt"] = 1, v, i, 1
            request["source"], request["user"] = -1, -1
            push_from_python(s, micros(start), ARRIVAL, r)

    def tested(self, v: int) -> tuple[int, float]:
        """How many of the latest hook's tests of version `v` succeed, and when the last one is over (s)."""
        version = self.state.versions[v]
        return int(version["good"]), seconds(int(version["answered"]))

    def finish(self, requests: RequestCounts) -> None:
        """Takes the requests' counts out of the state."""
        if not self.loader.keeps:
            self.loader.close()
        self._end_polls(1)
        s = self.state
        bad, bad_by = s.bad.copy(), s.bad_by.copy()
        self._judge_pending()
        self._end_polls(2)
        for counted, array in (
            *zip(s.bad_by, requests.bad_by, strict=True),
            (s.bad - bad, requests.overdue),
            *zip(s.bad_by - bad_by, requests.overdue_by, strict=True),
        ):
            array[self.number] = counted.reshape(array[self.number].shape)
        requests.unanswered[self.number] = s.n[k.PENDING]

    def users(self) -> Users:
        """The exposure of users."""
        return Users(*self.state.marks.sum(axis=1, dtype=np.int64).tolist())

    def versions(self) -> dict[str, VersionTotals]:
        """What each version did."""
        return {name: self._totals(v) for v, name in enumerate(self.names)}

    def _end_polls(self, step: int) -> None:
        """What happens to records at the horizon (`polls.ENDING`)."""
        if self.polls is not None:
            self.polls.n[polls.ENDING] = step
            self._go_on(self.scenario.horizon)

    def _judge_pending(self) -> None:
        """Counts the requests that have waited too long at the horizon, as the SimPy plane does."""
        s, horizon = self.state, self.scenario.horizon
        waiting = s.requests["test"] == 0
        waiting[s.free[: s.n[k.FREE]]] = False
        for request in s.requests[waiting]:
            source, arrived = int(request["source"]), float(request["arrived"])
            limits = s.latencies[source]
            late = [
                j for j, limit in enumerate(limits.tolist()) if limit < math.inf and horizon > tick(arrived + limit)
            ]
            if not late:
                continue
            count_index = int(s.first_counts[source, request["version"]] + request["first_period"])
            s.bad_by[late, count_index] += 1
            s.bad[count_index] += 1
            if s.sources[source]["users"] > 0 and request["served"] > 0:
                s.marks[AFFECTED, request["user"]] = 1

    def _totals(self, v: int) -> VersionTotals:
        s, horizon = self.state, self.scenario.horizon
        version, keep_alive = s.versions[v], float(s.x[k.KEEP_ALIVE])
        busy, idle = int(version["busy"]), int(version["idle"])
        lived = float(version["lived"]) + busy * horizon - float(version["created_busy"])
        waiting = s.environments[s.idle[v, k.FENCE :][:idle][::-1] % MAX_ENVIRONMENTS]
        for made, since in waiting[["created", "since"]].tolist():
            lived += min(since + keep_alive, horizon) - made if since < math.inf else horizon - made
        places = 1 if self.scenario.function.managed is None else self.scenario.function.managed.concurrency
        return VersionTotals(
            invocations=int(version["invocations"]),
            errors=int(version["errors"]),
            cold_starts=int(version["cold"]),
            environment_seconds=lived / places,
            running_seconds=self._worked(v, horizon) / places,
        )

    def _worked(self, v: int, t: float) -> float:
        """Seconds that invocations of version `v` ran, from the start until `t` (s)."""
        version = self.state.versions[v]
        return float(version["worked"]) + int(version["busy"]) * t - float(version["started_busy"])

    @cached_property
    def _test_draws(self) -> np.random.Generator:
        return self.streams.generator("hook tests")

    def _draw_tests(self, v: int, count: int) -> None:
        """So many more tests' uniforms and times, behind those of tests that have not begun yet."""
        requests, spec, rows = self.state.requests, self.specs[v], [self.state.tests[self.state.n[k.TESTED] :]]
        waiting = np.count_nonzero((requests["test"] == 1) & (requests["kind"] == ARRIVAL))
        while sum(map(len, rows)) < waiting + count:
            draws = AttemptDraws(self._test_draws.random((COLUMNS, 1)), None)
            init = spec.cold_duration or spec.cold_start
            times = (
                draws.durations("", spec.duration, spec.per_mb)[0],
                draws.inits("", init)[0] if init is not None else 0.0,
            )
            rows.append(np.array([[draws.fault[0], draws.slow[0], *times]]))
        self.state.n[k.TESTED] = 0
        self.state = self.state._replace(tests=np.concatenate(rows))

    def _make_room(self, count: int) -> None:
        """Room for so many more environments."""
        while self.state.n[k.ENV_FREE] < count:
            self._more_environments()

    def _more_environments(self) -> None:
        s = self.state
        before = s.env_free.size
        more = {name: _doubled(getattr(s, name), 0) for name in ("environments", "env_free")}
        self.state = s._replace(idle=_doubled(s.idle, 1), **more)
        free = int(s.n[k.ENV_FREE])
        self.state.env_free[free : free + before] = np.arange(before, 2 * before)
        s.n[k.ENV_FREE] += before

    def _more_records(self) -> None:
        assert self.polls is not None
        self.polls = polls.with_room(self.polls)

    def _more_requests(self) -> None:
        """Room for twice as many requests, and buckets for them."""
        s = self.state
        before = s.free.size
        waiting: list[int] = []
        for first in s.buckets.tolist():
            r = first
            while r >= 0:
                waiting.append(r)
                r = int(s.requests["next"][r])
        size = 2 * before * k.BUCKETS_PER_REQUEST
        self.state = s._replace(
            buckets=np.full(size, -1, np.int32),
            filled=np.zeros(size // k.WORD, np.uint64),
            **{name: _doubled(getattr(s, name), 0) for name in ("requests", "free")},
        )
        s = self.state
        keys = [s.requests[column][waiting] for column in ("due", "kind", "sequence")]
        buckets = (keys[0] >> s.n[k.SLICE]) % size
        np.bitwise_or.at(s.filled, buckets // k.WORD, np.uint64(1) << (buckets % k.WORD).astype(np.uint64))
        for position in np.lexsort(keys[::-1])[::-1].tolist():
            r, bucket = waiting[position], buckets[position]
            s.requests["next"][r] = s.buckets[bucket]
            s.buckets[bucket] = r
        free = int(s.n[k.FREE])
        s.free[free : free + before] = np.arange(before, 2 * before)
        s.n[k.FREE] += before

    def _drain_samples(self) -> None:
        """Hands the durations on."""
        s, count = self.state, int(self.state.n[k.SAMPLED])
        s.n[k.SAMPLED] = 0
        if count:
            for kept, times in zip(self.kept, (s.samples, s.latency_samples), strict=True):
                if kept:
                    kept.add_all(s.sample_indices[:count], times[:count])

    def _drain_log(self) -> None:
        s, count = self.state, int(self.state.n[k.LOGGED])
        s.n[k.LOGGED] = 0
        if self.events is None:
            return
        for row, (start, init, duration) in zip(s.log[:count].tolist(), s.log_times[:count].tolist(), strict=True):
            number, block, j, attempt, v, environment, cold, outcome, user = row
            source = self.scenario.traffic[number] if number >= 0 else None
            name, alias = (HOOK_TEST, "") if source is None else (source.name, source.alias)
            self.events.append(
                (
                    name, block * BLOCK + j, attempt, alias, self.names[v], environment, bool(cold),
                    start, init, duration, outcome, user,
                )
            )  # fmt: skip


def _doubled(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """`array` with as much room again along `axis`."""
    return np.concatenate([array, np.zeros_like(array)], axis=axis)
