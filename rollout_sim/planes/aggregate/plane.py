"""The aggregate plane: draws the counts of whole periods, for a batch of replications at once.

Where no state links invocations (`exactness` says where one does), each of the n invocations that start in an interval
falls into a class (succeeded or failed, how slow, over by which evaluation of an alarm) independently of the others and
with the same probabilities. The counts of the classes are then multinomial, and drawing them gives the distribution that
simulating every invocation would give, at a cost that does not grow with n.

The steps: how many requests arrive (`arrivals`), a binomial share of them to the new version by the alias's weight, and a
multinomial draw over the classes, as a chain of binomials, by the probabilities that `probabilities` integrates. What the
alarms read is drawn period by period and shown to them once the invocations are over. Everything else only matters as a
sum over the horizon; so invocations that nothing reads and whose probabilities are equal are deferred, added up, and
drawn in one go at the end: a sum of multinomial counts with equal probabilities is multinomial again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.metrics import Metrics, Percentile
from rollout_sim.control.slo import Objective, judging
from rollout_sim.control.strategies import Hook, Plan
from rollout_sim.core.arrays import FloatArray, IntArray, Mask
from rollout_sim.core.streams import Streams
from rollout_sim.core.units import TICK
from rollout_sim.function import faults
from rollout_sim.function.error_rates import paths_of, spans_of
from rollout_sim.function.recorded import step_of, throttles_of
from rollout_sim.planes.aggregate.arrivals import ArrivalCounts, Cursor, cell_of, cells_of
from rollout_sim.planes.aggregate.probabilities import (
    NEGLIGIBLE,
    VersionBehaviour,
    even_probabilities,
    outcome_probabilities,
    test_answers,
)
from rollout_sim.planes.base import Answers, PlaneTotals
from rollout_sim.planes.routing import pointing
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.traffic.processes import arrival_process

if TYPE_CHECKING:
    from rollout_sim.core.distributions import Distribution

Key = tuple[object, ...]
_ROUNDING: Final = TICK / 2


class SharedTraffic:
    """What all strategies of one batch share: the arrivals of every source, and the probabilities of every outcome.

    `replications` are the size of the batch, `resolution` (s) is that of the metrics.
    """

    def __init__(self, scenario: Scenario, streams: Streams, *, replications: int, resolution: float) -> None:
        self.scenario = scenario
        self.resolution = resolution
        edges = {slo.latency for slo in scenario.slos if slo.latency is not None}
        for alarm in (scenario.alarms[name] for name in scenario.evaluated):
            if alarm.percentile is not None:
                # At or above the limit is above the microsecond before it.
                edges.add(alarm.limit if alarm.comparator in (">", "<=") else alarm.limit - TICK)
        self.edges = tuple(sorted(edges))
        self.behaviours = {
            number: VersionBehaviour(
                duration=cast("Distribution", spec.duration),  # recorded ones are not exact here
                error_rate=spec.mean_error_rate,
                failed_responses=spec.failed_responses,
                timeout=scenario.function.timeout,
                rows=faults.rows_of(scenario.faults_of(number), scenario.start),
                edges=self.edges,
            )
            for number, spec in scenario.function.versions.items()
        }
        self.error_rates = {
            number: paths_of(spec.error_rate, streams, scenario.horizon, replications)
            for number, spec in scenario.function.versions.items()
        }
        """The share of errors of each version in each of its `spans` (s): shape (replications, spans)."""
        self.spans = {
            number: spans_of(spec.error_rate, scenario.horizon)[1]
            for number, spec in scenario.function.versions.items()
        }
        throttled = scenario.function.throttled
        self.throttled = throttles_of(throttled, streams, scenario.horizon, replications) if throttled else None
        """The share of attempts that others throttle in each step of `throttled_step` (s): (replications, steps); None: none is."""
        self.throttled_step = step_of(throttled)
        self.arrivals = []
        for i, source in enumerate(scenario.traffic):
            process = arrival_process(source.arrivals, streams, f"traffic/{i}/arrivals", scenario.horizon)
            cells = cells_of(source.arrivals, resolution)
            assert cells is not None
            self.arrivals.append(
                ArrivalCounts(
                    process, streams, f"aggregate/arrivals/{i}",
                    replications=replications, cells=cells, horizon=scenario.horizon,
                )
            )  # fmt: skip
        self._probabilities: dict[Key, FloatArray] = {}

    def throttled_share(self, t: float) -> FloatArray | None:
        """The share of attempts from `t` (s) on that others throttle: shape (replications,); None where none is."""
        if self.throttled is None:
            return None
        return self.throttled[:, cell_of(t, self.throttled_step) if math.isfinite(self.throttled_step) else 0]

    def error_rate(self, version: str, t: float) -> FloatArray:
        """The share of a version's invocations from `t` (s) on that ends in an error: shape (replications,)."""
        span = self.spans[version]
        return self.error_rates[version][:, cell_of(t, span) if math.isfinite(span) else 0]

    def probabilities(
        self, source: int, version: str, start: float, end: float, seen: tuple[float, ...], failing: bool | None = None
    ) -> FloatArray:
        """`outcome_probabilities` of one source's invocations, computed once for all intervals that are alike.

        Of those alone that the version's own share of errors makes fail, or spares, where `failing` says so.
        """
        behaviour = self.behaviours[version]
        if failing is not None:
            behaviour = replace(behaviour, error_rate=float(failing))
        arrivals = self.scenario.traffic[source].arrivals
        even = arrivals.diurnal is None and arrivals.custom is None
        if behaviour.steady_between(start, end) and (even or not seen):
            ahead = tuple(round(instant - end, 6) for instant in seen)
            key: Key = (version, failing, behaviour.strength(start), round(end - start, 6) if seen else 0.0, ahead)
        else:
            key = (version, failing, start, end, seen, None if even else source)
        probabilities = self._probabilities.get(key)
        if probabilities is None:
            if even:
                probabilities = even_probabilities(behaviour, start, end, seen)
            else:
                probabilities = outcome_probabilities(behaviour, start, end, seen, self._density(source))
            self._probabilities[key] = probabilities
        return probabilities

    def _density(self, source: int) -> Callable[[FloatArray], FloatArray]:
        process, step = self.arrivals[source].process, 0.01
        return lambda times: np.array([process.mean_count(t, t + step) for t in times.tolist()])


@dataclass(slots=True)
class DeferredCounts:
    """Invocations that nothing reads and that behave alike, waiting to be drawn together."""

    probabilities: FloatArray
    answered: int
    overdue: tuple[bool, ...]
    alias: str
    usual: tuple[float, ...] | None
    counts: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))


class SliceCounts:
    """Requests by time slice, for an objective whose budget counts slices: arrays of shape (replications, slices).

    `added` are the bad ones among them that would not be bad without the rollout, less those that it mends.
    """

    def __init__(self, objective: Objective, horizon: float, replications: int) -> None:
        assert objective.slices is not None
        self._kind = objective.slices
        shape = (replications, math.ceil(horizon / self._kind.every - _ROUNDING))
        self._requests, self._bad, self.added = (np.zeros(shape, np.int64) for _ in range(3))

    def slice_of(self, start: float) -> int:
        """The slice of a time (s)."""
        return cell_of(start, self._kind.every)

    def add(self, start: float, bad: IntArray, requests: IntArray) -> None:
        """Adds requests that arrive at `start` (s) or later in its slice, and the bad ones: both (replications,)."""
        self._requests[:, self.slice_of(start)] += requests
        self._bad[:, self.slice_of(start)] += bad

    def lost(self) -> FloatArray:
        """Bad slices: shape (replications,)."""
        lost: FloatArray = self._kind.badness(self._bad, self._requests).sum(axis=1)
        return lost

    def added_by_rollout(self) -> FloatArray:
        """How many more slices are bad than if the old version had served the same requests: shape (replications,)."""
        without: FloatArray = self._kind.badness(self._bad - self.added, self._requests).sum(axis=1)
        return self.lost() - without


class AggregatePlane:
    """A `DataPlane` that draws counts, of one strategy in one batch of replications.

    `plan` is what the controller follows, None where it moves nothing. What the alarms `reads` look at in the `window`
    (s, from and to) is written into `metrics`; everything is summed up in the totals. `pairs` draws what of it the rollout
    adds, apart from all else, so that it has no say in that.
    """

    def __init__(
        self, traffic: SharedTraffic, rng: np.random.Generator, metrics: Metrics, *,
        plan: Plan | None, reads: tuple[Alarm, ...], window: tuple[float, float], pairs: np.random.Generator,
    ) -> None:  # fmt: skip
        self.traffic = traffic
        self.scenario = traffic.scenario
        self.metrics = metrics
        self.window = window
        self._plan = plan
        self._rng = rng
        self._pairs = pairs
        self._reads: dict[int, list[Alarm]] = {}
        for alarm in reads:
            for target in dict.fromkeys(target for scope in alarm.scopes for target in metrics.scopes[scope]):
                self._reads.setdefault(target, []).append(alarm)
        self._read_aliases = {metrics.targets[target].alias for target in self._reads}
        self._targets = {(target.alias, target.version): k for k, target in enumerate(metrics.targets)}
        size, none = metrics.replications, (np.zeros(metrics.replications, np.int64) for _ in range(6))
        self._requests, self._pending, self._bad, self._bad_new_version, self._provisioned, self._throttles = none
        self._bad_by = tuple(np.zeros(size, np.int64) for _ in self.scenario.slos)
        self._added = np.zeros(size, np.int64)
        self._added_by = tuple(np.zeros(size, np.int64) for _ in self.scenario.slos)
        self._slices = {
            j: SliceCounts(slo, self.scenario.horizon, size) for j, slo in enumerate(self.scenario.slos) if slo.slices
        }
        aliases = {source.alias for source in self.scenario.traffic}
        self._judged = {alias: judging(self.scenario.slos, alias, self.scenario.alias) for alias in aliases}
        self._shares: dict[Key, tuple[float, ...]] = {}
        self._sliced = {slo.alias or self.scenario.alias for slo in self.scenario.slos if slo.slices}
        self._cursors = [Cursor(arrivals, rng) for arrivals in traffic.arrivals]
        self._now = 0.0
        self._deferred: dict[Key, DeferredCounts] = {}
        self._late: list[tuple[float, int, int, IntArray]] = []
        shape = (len(metrics.targets), len(traffic.edges) + 1)
        self._binned = np.zeros((size, *shape, metrics.periods), np.int64) if metrics.percentiles else None
        self._touched: set[int] = set()
        self._shown = window[0]  # the alarms look no further back

    # What the driver asks for (`planes.base.DataPlane`)

    def advance(self, until: float, weights: FloatArray) -> None:
        """Draws what comes until `until` (s), and shows what is over."""
        for source in range(len(self._cursors)):
            for start, end in self._spans(source, self._now, until):
                self._serve(source, start, end, weights)
        self._now = until
        self._show(until)

    def provision(self, count: int, mask: Mask) -> None:
        """The tests before the first shift find these environments warm; nothing else here depends on them."""
        self._provisioned[mask] += count

    def test(self, hook: Hook, mask: Mask) -> Answers:
        """Draws the answers at once: no other traffic has a bearing on them.

        Before the first shift only provisioned environments are warm; afterwards traffic keeps enough of them so.
        """
        new = self.scenario.new
        assert new is not None
        assert self._plan is not None
        spec = self.scenario.function.versions[new]
        warm = spec.provisioned + self._provisioned[mask].astype(float)
        failed, at = np.zeros(mask.size, np.int64), np.full(mask.size, math.nan)
        failed[mask], at[mask] = test_answers(
            spec, self.traffic.behaviours[new], hook, self._now,
            warm=warm if hook is self._plan.before else np.full(warm.size, math.inf), rng=self._rng,
            error_rate=lambda t: self.traffic.error_rate(new, min(t, self.scenario.horizon - TICK))[mask],
        )  # fmt: skip
        return lambda: (failed, at)

    def finish(self) -> PlaneTotals:
        """Draws everything that was deferred, and sums up."""
        for deferred in self._deferred.values():
            drawn = self._draw(deferred.counts, deferred.probabilities)
            self._record(
                deferred.alias, drawn, deferred.answered, deferred.overdue, deferred.probabilities, deferred.usual, None
            )
        self._deferred.clear()
        slices = [self._slices.get(j) for j in range(len(self.scenario.slos))]
        return PlaneTotals(
            requests=self._requests,
            pending=self._pending,
            bad=self._bad,
            bad_new_version=self._bad_new_version,
            bad_by=self._bad_by,
            lost_by=tuple(
                bad.astype(float) if counts is None else counts.lost()
                for bad, counts in zip(self._bad_by, slices, strict=True)
            ),
            added=self._added,
            added_by=self._added_by,
            added_lost_by=tuple(
                added.astype(float) if counts is None else counts.added_by_rollout()
                for added, counts in zip(self._added_by, slices, strict=True)
            ),
            throttles=self._throttles,
        )

    # Drawing

    def _spans(self, source: int, start: float, end: float) -> Iterator[tuple[float, float]]:
        """[start, end) cut into the intervals that are drawn one by one, in order.

        It is cut where the alias is promoted, where the alarms begin and end to read, a latency limit before the horizon, and where
        the share of errors of a version, or of throttles, changes.
        Within these parts the intervals are the cells of the source's grid (s), because alarms read whole periods and budgets may
        count time slices, but for one exception: where neither does and no fault is on the rise, all up to the next change of a
        fault is one interval, since its invocations have the same probabilities. It ends a timeout before the horizon, for later
        ones may not be answered by then.

        Example: cells of 60 s, an alarm that reads from 300 s to 600 s, an error fault from 450 s on, a timeout of 10 s and a
        horizon of 3,600 s. Then [0, 3600) is cut at 300, 360, 420, 480, 540 and 600 (a cell, here [420, 480), may hold a
        change of a fault: the probabilities are averaged over it), then at 3540 and 3600.
        """
        grid, horizon = self.traffic.arrivals[source].grid, self.scenario.horizon
        alias = self.scenario.traffic[source].alias
        cuts = [p.at for p in self.scenario.promotions if p.alias == alias]
        spans = {self.traffic.spans[version] for version in self._behind(source)} | {self.traffic.throttled_step}
        for span in spans - {math.inf}:
            cuts += (np.arange(cell_of(start, span), cell_of(end, span) + 1) * span).tolist()
        # What is unanswered at the horizon is bad where it has waited longer than an objective allows.
        cuts += [horizon - limit for limit in self._limits(alias)]
        if alias in self._read_aliases:
            cuts += self.window
        edges = [start, *sorted({t for t in cuts if start < t < end}), end]
        behaviours = [self.traffic.behaviours[v] for v in self._behind(source)]
        for low, high in pairwise(edges):
            a = low
            while a < high - _ROUNDING:
                cell_end = min((cell_of(a, grid) + 1) * grid, high)
                whole = alias not in self._sliced and not self._read_at(alias, a)
                if whole and high - cell_end > _ROUNDING:
                    # As many cells as are alike, up to where answers may come after the horizon.
                    last = min([high, *(t for b in behaviours for t in b.instants() if t > a)])
                    last = min(last, horizon - self._longest)
                    if last > a and all(b.steady_between(a, last) for b in behaviours):
                        cell_end = max(cell_end, last if last == high else cell_of(last, grid) * grid)
                yield a, cell_end
                a = cell_end

    @property
    def _longest(self) -> float:
        return self.scenario.function.timeout

    def _limits(self, alias: str) -> list[float]:
        """The longest good latency (s) of each objective that judges the alias; infinite where only failures count."""
        return [math.inf if limit is None else limit for _, limit in self._judged[alias]]

    def _read_at(self, alias: str, t: float) -> bool:
        return alias in self._read_aliases and self.window[0] <= t < self.window[1]

    def _behind(self, source: int) -> list[str]:
        """The versions that a source's alias can point to."""
        alias = self.scenario.traffic[source].alias
        return [version for name, version in self._targets if name == alias]

    def _serve(self, source: int, start: float, end: float, weight: FloatArray) -> None:
        alias = self.scenario.traffic[source].alias
        arrived = self._cursors[source].take(start, end)
        if alias != self.scenario.alias or not weight.any():
            self._run(source, alias, pointing(self.scenario, alias, start), start, end, arrived)
            return
        assert self.scenario.new is not None
        new = arrived if (weight == 1).all() else self._rng.binomial(arrived, weight)
        self._run(source, alias, self.scenario.new, start, end, new)
        self._run(source, alias, self.scenario.old, start, end, arrived - new)

    def _run(self, source: int, alias: str, version: str, start: float, end: float, counts: IntArray) -> None:
        """`counts` attempts on a version in [start, end): drawn now where they are read, else pooled."""
        share = self.traffic.throttled_share(start)
        if share is not None:
            counts = counts - self._throttle(alias, version, start, self._rng.binomial(counts, share))
        for failing, failed_before, part in self._by_error_rate(alias, version, start, counts):
            self._run_alike(source, alias, version, start, end, part, failing, failed_before)

    def _throttle(self, alias: str, version: str, start: float, counts: IntArray) -> IntArray:
        """So many attempts from `start` (s) on are throttled, whichever version they would have met: failed, and nothing ran."""
        if self._read_at(alias, start):
            self.metrics.throttles[:, self._targets[alias, version], cell_of(start, self.metrics.resolution)] += counts
        self._throttles += counts
        self._requests += counts
        self._bad += counts
        if (alias, version) == (self.scenario.alias, self.scenario.new):
            self._bad_new_version += counts
        for j, _ in self._judged[alias]:
            self._bad_by[j][:] += counts
            if j in self._slices:
                self._slices[j].add(start, counts, counts)
        return counts

    def _by_error_rate(
        self, alias: str, version: str, start: float, counts: IntArray
    ) -> Iterator[tuple[bool | None, bool | None, IntArray]]:
        """`counts` in parts by whether the version's own share of errors makes them fail, and the old version's would have.

        None where the share is the same throughout and the probabilities hold it. Given its part an invocation has the same
        probabilities in all replications, whatever their shares of errors. On equal draws what fails at the lower share fails
        at the higher one, too.
        """
        old, replaces = self.scenario.old, (alias, version) == (self.scenario.alias, self.scenario.new)
        if all(math.isinf(self.traffic.spans[number]) for number in ((version, old) if replaces else (version,))):
            yield None, None, counts
            return
        rate = self.traffic.error_rate(version, start)
        before = self.traffic.error_rate(old, start) if replaces else rate
        low, high = np.minimum(rate, before), np.maximum(rate, before)
        both = self._rng.binomial(counts, low)
        one = np.zeros_like(counts)
        if (low < high).any():
            one = self._rng.binomial(counts - both, np.where(low < high, (high - low) / np.maximum(1 - low, TICK), 0.0))
        parts = (
            (True, True, both), (True, False, np.where(rate > before, one, 0)), (False, True, np.where(rate > before, 0, one)),
            (False, False, counts - both - one),
        )  # fmt: skip
        yield from (part for part in parts if part[2].any())

    def _run_alike(
        self, source: int, alias: str, version: str, start: float, end: float, counts: IntArray,
        failing: bool | None, failed_before: bool | None,
    ) -> None:  # fmt: skip
        """Invocations that are alike in what `_by_error_rate` tells apart."""
        horizon = self.scenario.horizon
        target = self._targets[alias, version]
        in_time = (horizon,) if end + self._longest > horizon else ()
        overdue = tuple(end <= horizon - limit + _ROUNDING for limit in self._limits(alias))
        if not self._read_at(alias, start) or target not in self._reads:
            probabilities = self.traffic.probabilities(source, version, start, end, in_time, failing)
            usual = self._usual(source, version, start, end, in_time, overdue, failed_before)
            answered = 1 if in_time else probabilities.shape[2]
            if alias in self._sliced:
                drawn = self._draw(counts, probabilities)
                self._record(alias, drawn, answered, overdue, probabilities, usual, start)
                return
            key = (alias, version, probabilities.shape, probabilities.tobytes(), overdue, usual)
            deferred = self._deferred.get(key)
            if deferred is None:
                deferred = self._deferred[key] = DeferredCounts(
                    probabilities,
                    answered,
                    overdue,
                    alias,
                    usual,
                    np.zeros_like(counts),
                )
            deferred.counts += counts
            return
        seen = (*self._evaluations(target, start, end, horizon), *in_time)
        probabilities = self.traffic.probabilities(source, version, start, end, seen, failing)
        drawn = self._draw(counts, probabilities)
        answered = len(seen) if in_time else probabilities.shape[2]
        usual = self._usual(source, version, start, end, in_time, overdue, failed_before)
        self._record(alias, drawn, answered, overdue, probabilities, usual, start)
        period = cell_of(start, self.metrics.resolution)
        for k in range(answered):
            after = end + self._longest if seen else end
            at = seen[k] if k < len(seen) else after
            self._late.append((at, target, period, drawn[:, :, k]))

    def _evaluations(self, target: int, start: float, end: float, horizon: float) -> tuple[float, ...]:
        """The instants at which alarms look at what starts in [start, end) while some of it may still run."""
        latest = min(end + self._longest, horizon)
        instants: set[float] = set()
        for alarm in self._reads[target]:
            period_end = (cell_of(start, alarm.step) + 1) * alarm.step
            k = math.ceil((period_end + alarm.lags[0]) / alarm.interval - _ROUNDING)
            while k * alarm.interval < latest - _ROUNDING:
                instants.add(k * alarm.interval)
                k += 1
        return tuple(sorted(instants))

    def _draw(self, counts: IntArray, probabilities: FloatArray) -> IntArray:
        """How many of `counts` fall to each of `probabilities`: shape (outcomes, bins, classes, replications)."""
        flat = probabilities.ravel()
        result = np.zeros((flat.size, counts.size), np.int64)
        # The smallest first: few to draw; the largest takes what is left.
        order = [int(k) for k in np.argsort(flat, kind="stable") if flat[k] > NEGLIGIBLE]
        left, rest = counts, float(np.cumsum(flat[order])[-1])
        for k in order[:-1]:
            result[k] = self._rng.binomial(left, min(flat[k] / rest, 1.0))
            left = left - result[k]
            rest -= float(flat[k])
        result[order[-1]] = left
        return result.reshape(*probabilities.shape, counts.size)

    def _usual(
        self, source: int, version: str, start: float, end: float, in_time: tuple[float, ...], overdue: tuple[bool, ...],
        failed_before: bool | None,
    ) -> tuple[float, ...] | None:  # fmt: skip
        """What share of the old version's invocations would be bad in the place of these of the new one (`_bad_shares`).

        Of those that its own share of errors makes fail, or spares, where `failed_before` says so. None for invocations of
        another version.
        """
        alias = self.scenario.traffic[source].alias
        if (alias, version) != (self.scenario.alias, self.scenario.new):
            return None
        probabilities = self.traffic.probabilities(source, self.scenario.old, start, end, in_time, failed_before)
        return self._bad_shares(alias, probabilities, 1 if in_time else probabilities.shape[2], overdue)

    def _bad_shares(
        self, alias: str, probabilities: FloatArray, answered: int, overdue: tuple[bool, ...]
    ) -> tuple[float, ...]:
        """The share of invocations that are bad for each objective that judges the alias, then for any of them."""
        key = (alias, id(probabilities), answered, overdue)  # `traffic` keeps the array
        shares = self._shares.get(key)
        if shares is None:
            bad, bad_by = self._bad_of(alias, probabilities[..., None], answered, overdue)
            shares = self._shares[key] = (*(float(share[0]) for share in bad_by), float(bad[0]))
        return shares

    def _bad_of(self, alias: str, drawn: Any, answered: int, overdue: tuple[bool, ...]) -> tuple[Any, list[Any]]:
        """What of `drawn` (counts or shares) is bad for any objective that judges the alias, and for each: (replications,).

        The first `answered` classes are over by the horizon. The rest has then waited too long for each objective that is
        `overdue`.
        """
        over = drawn[:, :, :answered].sum(axis=2)
        waiting = drawn[:, :, answered:].sum(axis=(0, 1, 2))
        bad, bad_by = over[1:].sum(axis=(0, 1)), []
        for (_, latency), too_long in zip(self._judged[alias], overdue, strict=True):
            bad_here = self._bad_for(latency, over) + (waiting if too_long else 0)
            bad = np.maximum(bad, bad_here)  # a slower limit's bad requests are among a faster one's
            bad_by.append(bad_here)
        return bad, bad_by

    def _record(
        self, alias: str, drawn: IntArray, answered: int, overdue: tuple[bool, ...],
        probabilities: FloatArray, usual: tuple[float, ...] | None, start: float | None,
    ) -> None:  # fmt: skip
        """Adds to the totals what was drawn by `probabilities`, of which the first `answered` classes are over by the horizon.

        The rest has then waited too long for each objective that judges the alias and is `overdue`. Where the new version
        served in place of the old one, whose `usual` shares are bad, what that adds is drawn, too. They begin at `start` (s) or
        later, in the same cell; None where no budget counts time slices.
        """
        over, waiting = drawn[:, :, :answered].sum(axis=(0, 1, 2)), drawn[:, :, answered:].sum(axis=(0, 1, 2))
        late = any(overdue)
        self._requests += over + waiting if late else over
        self._pending += 0 if late else waiting
        bad, bad_by = self._bad_of(alias, drawn, answered, overdue)
        judged = [j for j, _ in self._judged[alias]]
        for j, bad_here, too_long in zip(judged, bad_by, overdue, strict=True):
            self._bad_by[j][:] += bad_here
            if j in self._slices and start is not None:
                self._slices[j].add(start, bad_here, over + waiting if too_long else over)
        self._bad += bad
        if usual is None:
            return
        self._bad_new_version += bad
        ours = self._bad_shares(alias, probabilities, answered, overdue)
        if ours == usual:  # the same draws make the same requests bad
            return
        served, drawn_before = drawn.sum(axis=(0, 1, 2)), dict[tuple[float, float], IntArray]()
        for count, share, before in zip((*bad_by, bad), ours, usual, strict=True):
            if (share, before) not in drawn_before:
                drawn_before[share, before] = self._added_by_rollout(served, count, share, before)
        *added_by, added = (drawn_before[shares] for shares in zip(ours, usual, strict=True))
        self._added += added
        for j, added_here in zip(judged, added_by, strict=True):
            self._added_by[j][:] += added_here
            if j in self._slices and start is not None:
                self._slices[j].added[:, self._slices[j].slice_of(start)] += added_here

    def _added_by_rollout(self, served: IntArray, bad: IntArray, share: float, before: float) -> IntArray:
        """Of `served` requests, of which `bad` are bad, how many more are so than if the old version had served them.

        Request by request, on the same draws: of what is bad with probability `share`, a part `before / share` would have
        been so in any case. Where the new version is the better one, the other way round, and the result negative.
        """
        if share == before:
            return np.zeros_like(bad)
        if share > before:
            added: IntArray = self._pairs.binomial(bad, 1 - before / share)
            return added
        if share >= 1:  # but for rounding they are equal
            return np.zeros_like(bad)
        mended: IntArray = self._pairs.binomial(served - bad, min((before - share) / (1 - share), 1.0))
        return -mended

    def _bad_for(self, latency: float | None, over: Any) -> Any:
        bad = over[1:].sum(axis=(0, 1))
        if latency is not None:
            bad = bad + over[0, self.traffic.edges.index(latency) + 1 :].sum(axis=0)
        return bad

    # Showing

    def _show(self, now: float) -> None:
        """Hands to the metrics what is over by `now`."""
        metrics, waiting = self.metrics, []
        for entry in self._late:
            at, target, period, drawn = entry
            if at > now + _ROUNDING:
                waiting.append(entry)
                continue
            metrics.invocations[:, target, period] += drawn.sum(axis=(0, 1))
            metrics.errors[:, target, period] += drawn[1].sum(axis=0)
            metrics.failed_responses[:, target, period] += drawn[2:].sum(axis=(0, 1))
            binned = drawn.sum(axis=0)
            for j, threshold in enumerate(metrics.slow_thresholds):
                metrics.slow[j][:, target, period] += binned[self.traffic.edges.index(threshold) + 1 :].sum(axis=0)
            if self._binned is not None:
                self._binned[:, target, :, period] += binned.T
                self._touched.add(period)
        self._late = waiting
        for key in metrics.percentiles:
            per, every = (round(length / metrics.resolution) for length in (key.period, key.every))
            ended = min(math.floor(now / key.every + _ROUNDING), metrics.percentiles[key].shape[1])
            new = math.floor(self._shown / key.every + _ROUNDING)
            for column in range(min([new, *(period // every for period in self._touched)]), ended):
                stop = (column + 1) * every
                if column >= new or any(stop - per <= period < stop for period in self._touched):
                    metrics.percentiles[key][:, column] = self._percentile(key, max(stop - per, 0), stop)
        self._touched.clear()
        self._shown = now

    def _percentile(self, key: Percentile, first: int, stop: int) -> FloatArray:
        """The upper end of the bin that holds the nearest-rank percentile, which is all that a threshold tells apart."""
        assert self._binned is not None
        chosen = self._binned[:, list(self.metrics.scopes[key.of]), :, first:stop].sum(axis=(1, 3))
        total = chosen.sum(axis=1)
        rank = np.maximum(np.ceil(key.share * total - 1e-9), 1)
        ends = np.append(self.traffic.edges, math.inf)
        upper = (np.cumsum(chosen, axis=1) < rank[:, None]).sum(axis=1)
        return np.where(total > 0, ends[np.minimum(upper, ends.size - 1)], np.nan)
