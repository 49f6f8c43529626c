"""The compiled plane: the SimPy plane's model, run by a Numba kernel over pre-drawn blocks; equal to the last bit.

This side makes room where the kernel asks for it, and takes out what it has counted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rollout_sim.control.metrics import Metrics, RequestCounts
from rollout_sim.control.strategies import Hook
from rollout_sim.core.arrays import FloatArray, Mask
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.core.units import micros, seconds, tick
from rollout_sim.errors import ScenarioError
from rollout_sim.planes.base import ARRIVAL, Answers, PlaneTotals, VersionTotals
from rollout_sim.planes.compiled import state as k
from rollout_sim.planes.compiled.environments import MAX_ENVIRONMENTS, add_provisioned
from rollout_sim.planes.compiled.feed import Loader, spare_core
from rollout_sim.planes.compiled.kernel import advance
from rollout_sim.planes.compiled.queue import push_event, slice_of
from rollout_sim.planes.compiled.state import laid_out
from rollout_sim.planes.counts import KeptDurations, totals_of
from rollout_sim.planes.draws import COLUMNS, HOOK_TEST, MAX_PENDING, AttemptDraws, Draws
from rollout_sim.planes.exposure import AFFECTED, Users, service
from rollout_sim.planes.routing import Routing
from rollout_sim.scenario.scenario import Scenario


class CompiledPlane:
    """A `DataPlane` that does what `SimpyPlane` does, and takes the same; the kernel goes on when `advance` is called."""

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
        self.scenario = scenario
        self.metrics = metrics
        self.requests = requests
        self.samples = KeptDurations(metrics, keep)
        self.latencies = KeptDurations(metrics, keep, "latency")
        self.events: list[tuple[Any, ...]] | None = [] if events else None
        self.names = tuple(scenario.function.versions)
        self.specs = tuple(scenario.function.versions.values())
        self._now = 0.0
        self._routing = Routing(scenario)
        self.sources = [
            Draws.of(source, streams, f"traffic/{i}", scenario.horizon) for i, source in enumerate(scenario.traffic)
        ]
        self.tests = streams.generator("hook tests")
        self.state = laid_out(scenario, metrics, requests, streams, events=events)
        self.loader = Loader(self.state, self.sources, self.specs, ahead=spare_core())
        rate = math.fsum(source.process.long_run_rate for source in self.sources)
        self.state.n[k.SLICE] = slice_of(rate)
        for v, spec in enumerate(self.specs):
            if spec.provisioned:
                self._provision(v, spec.provisioned)

    # What the driver asks for (`planes.base.DataPlane`)

    def advance(self, until: float, weights: FloatArray) -> None:
        """Runs the kernel up to `until` and shows the metrics what is over."""
        for stop in self._routing.stretches(self._now, until, float(weights[0])):
            self._route()
            self._run_until(stop)
        self._now = until
        self._show(until)

    def provision(self, count: int, mask: Mask) -> None:
        """Makes environments of the new version, warm from now on."""
        if mask[0]:
            self._provision(self._new, count)

    def test(self, hook: Hook, mask: Mask) -> Answers:
        """Queues the hook's invocations; `good` of their version counts those that succeed, `answered` is when the last is over."""
        if not mask[0]:
            return lambda: (np.zeros(1, np.int64), np.zeros(1))
        v = self._new
        self._draw_tests(v, hook.invocations)
        while self.state.n[k.FREE] <= hook.invocations:
            self._more_requests()
        s = self.state
        s.versions[v]["good"] = s.versions[v]["answered"] = 0
        for i, start in enumerate(hook.starts(self._now)):
            s.n[k.FREE] -= 1
            r = int(s.free[s.n[k.FREE]])
            s.requests[r] = 0
            request = s.requests[r : r + 1]
            request["test"], request["version"], request["index"], request["attempt"] = 1, v, i, 1
            request["source"], request["user"] = -1, -1
            push_event(s, micros(start), ARRIVAL, r)
        versions = s.versions
        return lambda: (hook.invocations - versions["good"][[v]], np.array([seconds(int(versions["answered"][v]))]))

    def finish(self) -> PlaneTotals:
        """Takes the requests' counts out of the state, and sums up."""
        self.loader.close()
        s = self.state
        self._judge_pending()
        for counted, array in zip(s.bad_by, self.requests.bad_by, strict=True):
            array[0] = counted.reshape(array[0].shape)
        self.requests.pending[0] = s.n[k.PENDING]
        users = Users(*s.marks.sum(axis=1, dtype=np.int64).tolist())
        versions = {name: self._totals(v) for v, name in enumerate(self.names)}
        return totals_of(self.scenario, self.metrics, self.requests, users, versions, self.events)

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

    @property
    def _new(self) -> int:
        assert self.scenario.new is not None
        return self.names.index(self.scenario.new)

    def _provision(self, v: int, count: int) -> None:
        while self.state.n[k.ENV_FREE] < count:
            self._more_environments()
        self.state.n[k.LIMIT] -= count
        for _ in range(count):
            add_provisioned(self.state, v, self._now)

    def _totals(self, v: int) -> VersionTotals:
        s, horizon = self.state, self.scenario.horizon
        version, keep_alive = s.versions[v], float(s.x[k.KEEP_ALIVE])
        busy, idle = int(version["busy"]), int(version["idle"])
        lived = float(version["lived"]) + busy * horizon - float(version["created_busy"])
        waiting = s.environments[s.idle[v, k.FENCE :][:idle][::-1] % MAX_ENVIRONMENTS]
        for made, since in waiting[["created", "since"]].tolist():
            lived += min(since + keep_alive, horizon) - made if since < math.inf else horizon - made
        return VersionTotals(
            invocations=int(version["invocations"]),
            errors=int(version["errors"]),
            cold_starts=int(version["cold"]),
            environment_seconds=lived,
            running_seconds=float(version["worked"]) + busy * horizon - float(version["started_busy"]),
        )

    # What the kernel asks for

    def _route(self) -> None:
        """Tells the kernel where the aliases send their traffic."""
        for number, source in enumerate(self.sources):
            alias, row = self._routing.aliases[source.source.alias], self.state.sources[number]
            row["primary"] = self.names.index(alias.function_version)
            additional = alias.additional_version
            row["additional"] = -1 if additional is None else self.names.index(additional)
            row["weight"] = alias.additional_weight
            if alias.name == self.scenario.alias:
                row["service"] = service(alias, self.scenario.new)

    def _run_until(self, t: float) -> None:
        """Runs the kernel up to `t` (s), the completions at `t` included, and gives it what it asks for."""
        load = self.loader
        answers = {
            k.NEED_BLOCK: load.block, k.NEED_DRAWS: load.draws, k.NEED_ALL_DRAWS: load.all_draws,
            k.NEED_TIMES: load.times, k.NEED_INITS: load.inits, k.FULL_ENVIRONMENTS: self._more_environments,
            k.FULL_REQUESTS: self._more_requests, k.FULL_LOG: self._drain_log, k.FULL_SAMPLES: self._drain_samples,
        }  # fmt: skip
        while (code := advance(self.state, float(t))) != k.DONE:
            if code == k.TOO_MANY:
                at = seconds(int(self.state.want[0]))
                waiting = f"more than {MAX_PENDING} requests wait for an answer at {at:g} s"
                raise ScenarioError([f"{self.scenario.name}: {waiting}; lower the rate"])
            answers[code]()

    def _show(self, t: float) -> None:
        """Shows the metrics what is over by `t` (s): what the kernel does not write there itself."""
        for counted, array in zip(self.state.slow, self.metrics.slow, strict=True):
            array[0] = counted.reshape(array[0].shape)
        self._drain_samples()
        self.samples.hand_over(t)
        self.latencies.hand_over(t)
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
            for kept, times in ((self.samples, s.samples), (self.latencies, s.latency_samples)):
                if kept:
                    kept.add_all(s.sample_indices[:count], times[:count])

    def _drain_log(self) -> None:
        s, count = self.state, int(self.state.n[k.LOGGED])
        s.n[k.LOGGED] = 0
        if self.events is None:
            return
        for row, (start, init, duration) in zip(s.log[:count].tolist(), s.log_times[:count].tolist(), strict=True):
            number, block, j, attempt, v, environment, cold, outcome, user = row
            source = self.sources[number].source if number >= 0 else None
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
