"""The compiled plane: the SimPy plane's model, run by a Numba kernel over pre-drawn blocks; equal to the last bit.

This side makes room where the kernel asks for it, and takes out what it has counted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.controller import Command
from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.core.arrays import IntArray
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import micros, seconds, tick
from rollout_sim.errors import ScenarioError
from rollout_sim.function.lambda_api import Alias
from rollout_sim.planes.base import ARRIVAL
from rollout_sim.planes.clock import Clock
from rollout_sim.planes.compiled import state as k
from rollout_sim.planes.compiled.environments import MAX_ENVIRONMENTS, add_provisioned
from rollout_sim.planes.compiled.feed import Lane, Loader, spare_core
from rollout_sim.planes.compiled.kernel import advance
from rollout_sim.planes.compiled.queue import push_event, slice_of
from rollout_sim.planes.compiled.state import laid_out
from rollout_sim.planes.counts import KeptDurations
from rollout_sim.planes.draws import COLUMNS, HOOK_TEST, MAX_PENDING, AttemptDraws, Draws
from rollout_sim.planes.exposure import Users, service
from rollout_sim.scenario.scenario import Scenario


class Pool:
    """What the run's summary asks of a version's environments."""

    def __init__(self, plane: CompiledPlane, version: int) -> None:
        self.plane = plane
        self.version = version

    def seconds(self, t: float) -> tuple[float, float]:
        """Environment-seconds and running seconds from the start until `t`."""
        s, v = self.plane.state, self.version
        one, keep_alive = s.versions[v], float(s.x[k.KEEP_ALIVE])
        busy, idle = int(one["busy"]), int(one["idle"])
        total = float(one["lived"]) + busy * t - float(one["created_busy"])
        waiting = s.environments[s.idle[v, k.FENCE :][:idle][::-1] % MAX_ENVIRONMENTS]
        for made, since in waiting[["created", "since"]].tolist():
            total += min(since + keep_alive, t) - made if since < math.inf else t - made
        return total, float(one["worked"]) + busy * t - float(one["started_busy"])


class Version:
    """One version at work."""

    def __init__(self, plane: CompiledPlane, version: int) -> None:
        self.plane = plane
        self.version = version
        self.pool = Pool(plane, version)

    @property
    def invocations(self) -> int:
        """Invocations that ended, tests included."""
        return int(self.plane.state.versions[self.version]["invocations"])

    @property
    def errors(self) -> int:
        """Those that failed."""
        return int(self.plane.state.versions[self.version]["errors"])

    @property
    def cold_starts(self) -> int:
        """Those that began in a new environment."""
        return int(self.plane.state.versions[self.version]["cold"])


class CompiledPlane:
    """Takes and offers what `SimpyPlane` does; the traffic moves on when `advance` is called."""

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
        self.clock = clock
        self.scenario = scenario
        self.metrics = metrics
        self.requests = requests
        self.samples = KeptDurations(metrics, keep)
        self.events: list[tuple[Any, ...]] | None = [] if events else None
        self.names = tuple(scenario.function.versions)
        self.specs = tuple(scenario.function.versions.values())
        self.lanes = [
            Lane(source, Draws.of(source, streams, f"traffic/{i}", scenario.horizon), aliases[source.alias])
            for i, source in enumerate(scenario.traffic)
        ]
        self.tests = streams.generator("hook tests")
        self._testing: tuple[IntArray, int, int] | None = None
        self._earliest = metrics.periods
        self.state = laid_out(scenario, metrics, requests, streams, events=events)
        self.loader = Loader(self.state, self.lanes, self.specs, ahead=spare_core())
        rate = sum(lane.draws.process.long_run_rate for lane in self.lanes)
        self.state.n[k.SLICE] = slice_of(rate)
        self.versions = {name: Version(self, v) for v, name in enumerate(self.names)}
        for name, spec in zip(self.names, self.specs, strict=True):
            if spec.provisioned:
                self.provision(name, spec.provisioned)

    # What the run asks for

    def advance(self) -> None:
        """Runs everything up to now and shows the metrics what is over."""
        self._run_until(self.clock.now, closed=True)

    def finish(self) -> None:
        """Runs everything up to the horizon and hands over the requests."""
        self._run_until(self.scenario.horizon, closed=False)
        self.loader.close()
        for counted, array in zip(self.state.bad_by, self.requests.bad_by, strict=True):
            array[0] = counted.reshape(array[0].shape)
        self.requests.pending[0] = self.state.n[k.PENDING]

    def provision(self, version: str, count: int) -> None:
        """`count` environments of `version` are warm from now on."""
        v = self.names.index(version)
        while self.state.n[k.ENV_FREE] < count:
            self._more_environments()
        self.state.n[k.LIMIT] -= count
        for _ in range(count):
            add_provisioned(self.state, v, float(self.clock.now))

    def test(self, command: Command, version: str, failed: IntArray) -> None:
        """Starts a hook's test invocations; `failed[0]` falls with every one that succeeds in time."""
        assert command.hook is not None
        hook, v = command.hook, self.names.index(version)
        self._draw_tests(v, hook.invocations)
        while self.state.n[k.FREE] <= hook.invocations:
            self._more_requests()
        s = self.state
        failed[0] = hook.invocations
        self._testing = (failed, v, hook.invocations)
        s.versions[v]["good"] = 0
        for i in range(hook.invocations):
            s.n[k.FREE] -= 1
            r = int(s.free[s.n[k.FREE]])
            s.requests[r] = 0
            over = tick(self.clock.now + hook.over)
            columns = ["test", "version", "lane", "place", "attempt", "user", "jitter"]
            s.requests[columns][r] = 1, v, -1, i, 1, -1, over  # the jitter's place says when it has to be over
            push_event(s, micros(self.clock.now + (i + 0.5) * hook.over / hook.invocations), ARRIVAL, r)

    def users(self) -> Users:
        """The users of the rollout's alias, from the rollout's start on."""
        return Users(*self.state.marks.sum(axis=1, dtype=np.int64).tolist())

    # What the kernel asks for

    def _run_until(self, t: float, *, closed: bool) -> None:
        for number, lane in enumerate(self.lanes):
            alias, row = lane.alias, self.state.lanes[number]
            row["primary"] = self.names.index(alias.function_version)
            additional = alias.additional_version
            row["additional"] = -1 if additional is None else self.names.index(additional)
            row["weight"] = alias.additional_weight
            if alias.name == self.scenario.alias:
                row["service"] = service(alias, self.scenario.new)
        load = self.loader
        answers = {
            k.NEED_BLOCK: load.block, k.NEED_DRAWS: load.draws, k.NEED_ALL_DRAWS: load.all_draws,
            k.NEED_TIMES: load.times, k.NEED_INITS: load.inits, k.FULL_ENVIRONMENTS: self._more_environments,
            k.FULL_REQUESTS: self._more_requests, k.FULL_LOG: self._drain_log, k.FULL_SAMPLES: self._drain_samples,
        }  # fmt: skip
        while (code := advance(self.state, float(t), closed)) != k.DONE:
            if code == k.TOO_MANY:
                at = seconds(int(self.state.want[0]))
                waiting = f"more than {MAX_PENDING} requests wait for an answer at {at:g} s"
                raise ScenarioError([f"{self.scenario.name}: {waiting}; lower the rate"])
            answers[code]()
        for counted, array in zip(self.state.slow, self.metrics.slow, strict=True):
            array[0] = counted.reshape(array[0].shape)
        if self._testing is not None:
            failed, v, count = self._testing
            failed[0] = count - self.state.versions[v]["good"]
        low = self._drain_samples()
        if self.metrics.percentiles:
            self.samples.hand_over(low, min(int(t // self.metrics.resolution) + 1, self.metrics.periods), t)
        self._drain_log()

    def _draw_tests(self, v: int, count: int) -> None:
        """So many more tests' uniforms and times, behind those of tests that have not begun yet."""
        requests, spec, rows = self.state.requests, self.specs[v], [self.state.tests[self.state.n[k.TESTED] :]]
        waiting = np.count_nonzero((requests["test"] == 1) & (requests["kind"] == ARRIVAL))
        while sum(map(len, rows)) < waiting + count:
            draws = AttemptDraws(self.tests.random((COLUMNS, 1)), None)
            init = spec.cold_duration or spec.cold_start
            times = (
                draws.durations("", spec.duration, spec.per_mb)[0],
                draws.inits("", init)[0] if init is not None else 0.0,
            )
            rows.append(np.array([[draws.fault[0], draws.slow[0], *times]]))
        self.state.n[k.TESTED] = 0
        self.state = self.state._replace(tests=np.concatenate(rows))

    def _more_environments(self) -> None:
        s = self.state
        before = s.env_free.size
        more = {name: _doubled(getattr(s, name), 0) for name in ("environments", "env_free")}
        self.state = s._replace(idle=_doubled(s.idle, 1), **more)
        free = int(s.n[k.ENV_FREE])
        self.state.env_free[free : free + before] = np.arange(before, 2 * before)
        s.n[k.ENV_FREE] += before

    def _more_requests(self) -> None:
        """Twice as many places, and with them buckets."""
        s = self.state
        before = s.free.size
        waiting: list[int] = []
        for first in s.buckets.tolist():
            r = first
            while r >= 0:
                waiting.append(r)
                r = int(s.requests["next"][r])
        size = 2 * before * k.PER_PLACE
        self.state = s._replace(
            buckets=np.full(size, -1, np.int32),
            filled=np.zeros(size // k.WORD, np.uint64),
            **{name: _doubled(getattr(s, name), 0) for name in ("requests", "free")},
        )
        s = self.state
        keys = [s.requests[column][waiting] for column in ("due", "kind", "sequence")]
        buckets = (keys[0] >> s.n[k.SLICE]) % size
        np.bitwise_or.at(s.filled, buckets // k.WORD, np.uint64(1) << (buckets % k.WORD).astype(np.uint64))
        for place in np.lexsort(keys[::-1])[::-1].tolist():
            r, bucket = waiting[place], buckets[place]
            s.requests["next"][r] = s.buckets[bucket]
            s.buckets[bucket] = r
        free = int(s.n[k.FREE])
        s.free[free : free + before] = np.arange(before, 2 * before)
        s.n[k.FREE] += before

    def _drain_samples(self) -> int:
        """Hands the durations on; returns the earliest period among them."""
        s, count = self.state, int(self.state.n[k.SAMPLED])
        s.n[k.SAMPLED] = 0
        if count:
            places = s.sample_places[:count]
            self.samples.add_all(places, s.samples[:count])
            self._earliest = min(self._earliest, int((places % self.metrics.periods).min()))
        return self._earliest

    def _drain_log(self) -> None:
        s, count = self.state, int(self.state.n[k.LOGGED])
        s.n[k.LOGGED] = 0
        if self.events is None:
            return
        for row, (start, init, duration) in zip(s.log[:count].tolist(), s.log_times[:count].tolist(), strict=True):
            lane, block, j, attempt, v, environment, cold, outcome, user = row
            source = self.lanes[lane].source if lane >= 0 else None
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
