"""Screening: how often each candidate stops and what it costs, from closed forms, to choose what is worth simulating.

Minutes are taken as independent, with Poisson counts at the traffic's mean rate; where a minute has few requests, their number
varies in the share of those that fail. Where errors clump, or recorded durations follow the time of day, the worst minutes that a
rollout meets are taken to last as long as it does. Of periods of several minutes, which slide by one, each sum is taken to depend
on the one before it alone. The rollout is taken to start with a whole minute, whatever its phase. Good enough to rank candidates,
and not reported. What is reported is simulated.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.strategies import Plan
from rollout_sim.core.arrays import FloatArray, IntArray
from rollout_sim.core.distributions import Distribution
from rollout_sim.core.minutes import DAY, HOUR
from rollout_sim.core.streams import Streams
from rollout_sim.function.error_rates import Dispersed, paths_of, spans_of
from rollout_sim.function.faults import bad_share, error_share, failure_shares, rows_of, slowdown
from rollout_sim.function.recorded import RecordedDurations
from rollout_sim.function.spec import VersionSpec
from rollout_sim.planes.draws import NO_USER_QUANTILE
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.theory import alarm_run_chain

MINUTE: Final = 60.0
FEW: Final = 60.0
"""Requests of a period up to which their number varies; of more the mean stands for it."""
DURATION_LEVELS: Final = 8
"""Into so many levels recorded minutes are put by their durations."""
SLOW_AT: Final = 0.99
"""The share of its invocations at which recorded minutes are ranked by their durations."""
DAYS: Final = 14
"""Days of error rates that are looked at where those clump."""
RANKS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.998, 1.0)
"""Between these shares of the minutes, from the best to the worst, error rates are taken as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """A strategy by closed forms, under each alarm and scenario: arrays of shape (alarms, scenarios)."""

    stopped: FloatArray
    """P(the rollout is stopped)."""
    bad: FloatArray
    """Expected bad requests that the rollout adds."""


def screenable(alarm: Alarm) -> bool:
    """Whether the closed forms know how often it fires: on errors, their rate or the p99 of durations, of one metric."""
    plain = (
        (alarm.metric == "errors" and alarm.statistic == "sum")
        or (alarm.metric == "error_rate" and alarm.statistic == "average")
        or (alarm.metric == "duration" and alarm.statistic == "p99")
    )
    if not plain or alarm.band is not None or alarm.comparator != ">" or alarm.of not in ("new_version", "alias"):
        return False
    return alarm.period == MINUTE or (alarm.period > MINUTE and alarm.window == "sliding" and alarm.n == 1)


class Levels:
    """What varies of a version, as a few levels in rising order; a single one where nothing does.

    That is its error rate, which clumps, or with `durations` how long the invocations of its recorded minutes take.
    """

    def __init__(self, spec: VersionSpec, *, durations: bool = False) -> None:
        self.factors: FloatArray = np.ones(1)
        """The error rate of each level, as a multiple of the mean."""
        self._duration = spec.duration
        self._rows: list[IntArray] = []
        """The recorded minutes of each level of the durations; empty where errors are what varies."""
        if durations and isinstance(spec.duration, RecordedDurations):
            curves, size = spec.duration.curves, spec.duration.recording.size
            ranked = np.argsort(curves.longest(np.arange(size), np.full(size, SLOW_AT)), kind="stable")
            edges = np.round(np.linspace(0, size, DURATION_LEVELS + 1)).astype(np.int64)
            self._rows = [ranked[low:high] for low, high in itertools.pairwise(edges.tolist()) if high > low]
            self.factors = np.ones(len(self._rows))
            self.independent = False
            return
        self.independent = isinstance(spec.error_rate, Dispersed) and spec.error_rate.every <= MINUTE
        """Whether minutes do not depend on those before them."""
        self._minutes: FloatArray = np.ones(1)
        self._known: dict[tuple[int, int], FloatArray] = {}
        mean = spec.mean_error_rate
        if isinstance(spec.error_rate, float | int) or mean == 0:
            return
        horizon = DAYS * DAY
        path, (_, step) = paths_of(spec.error_rate, Streams(seed=0), horizon)[0], spans_of(spec.error_rate, horizon)
        self._minutes = path[(np.arange(round(horizon / MINUTE)) * MINUTE / step).astype(np.int64)] / mean
        ranked = np.sort(self._minutes)
        edges = np.round(np.array(RANKS) * ranked.size).astype(np.int64)
        self.factors = np.unique([ranked[low:high].mean() for low, high in itertools.pairwise(edges.tolist())])

    def weights(self, datapoints: int, minutes: int) -> FloatArray:
        """P(so many consecutive minutes, the worst of a rollout that is watched for `minutes`, have each level on average)."""
        if self.factors.size == 1:
            return np.ones(1)
        if self._rows:  # an hour that was recorded stays together, and one that follows is another
            below = np.cumsum([rows.size for rows in self._rows]) / sum(rows.size for rows in self._rows)
            return np.diff(below ** max(minutes * MINUTE / HOUR, 1.0), prepend=0.0)
        if self.independent:
            datapoints = minutes = 1
        key = (datapoints, max(minutes, 1))
        if key not in self._known:
            from scipy.ndimage import maximum_filter1d

            means = np.convolve(self._minutes, np.full(datapoints, 1 / datapoints), "valid")
            level = np.searchsorted((self.factors[1:] + self.factors[:-1]) / 2, means)
            worst = maximum_filter1d(level, size=key[1], mode="nearest")
            self._known[key] = np.bincount(worst, minlength=self.factors.size) / worst.size
        return self._known[key]

    def slow(self, spec: VersionSpec, limit: float) -> list[float]:
        """The share of a version's invocations at each level that take longer than `limit` (s)."""
        if not self._rows or spec.duration != self._duration:
            return [1 - float(spec.duration.cdf(np.array([limit]))[0])] * self.factors.size
        assert isinstance(spec.duration, RecordedDurations)
        curves, invocations = spec.duration.curves, spec.duration.recording.invocations
        shares = []
        for rows in self._rows:
            weights = invocations[rows] if invocations[rows].any() else None
            below = curves.share_below(rows, np.full(rows.size, limit))
            shares.append(1 - float(np.average(below, weights=weights)))
        return shares


class Screen:
    """Screens strategies of scenarios that differ only in the new version's faults, for the same alarms (`screenable`).

    `rate` is the requests per second to the alias, `found_after` the seconds for which a bad version that nothing stops
    serves everybody.
    """

    def __init__(
        self, scenarios: Sequence[Scenario], alarms: Sequence[Alarm], rate: float, *, found_after: float
    ) -> None:
        self.scenarios = scenarios
        self.alarms = alarms
        self.rate = rate
        self.found_after = found_after
        first = scenarios[0]
        durations = any(alarm.metric == "duration" for alarm in alarms)
        self._levels = Levels(first.function.versions[first.old], durations=durations)
        self._breaches: dict[float, FloatArray] = {}
        self._by_minute = [k for k, alarm in enumerate(alarms) if alarm.period == MINUTE]
        self._sliding = [k for k, alarm in enumerate(alarms) if alarm.period > MINUTE]
        self._usual_share = np.array([self._shares_of(alarm)[0] for alarm in alarms]).reshape(len(alarms), -1)
        self._new_share = np.array([self._shares_of(alarm)[1] for alarm in alarms]).reshape(len(alarms), -1)

    def screen(self, plan: Plan) -> Screened:
        """The closed forms of a rollout after `plan`."""
        weights = self._weights(plan, math.ceil((plan.time_to_full + self.found_after) / MINUTE))
        watched = min(math.floor(plan.length / MINUTE + 1e-9), len(weights))
        passed = np.array([self._passes(plan, share) for share in self._failing])
        added = self._failing - self._usual
        levels = self._levels.factors.size
        shape = (len(self.alarms), len(self.scenarios))
        bad, stopped = np.zeros(shape), np.zeros(shape)
        sent = self.rate * MINUTE * np.array(weights)

        def take(members: list[int], alive: FloatArray, lag: int, datapoints: int) -> None:
            """Of these alarms, P(it has not fired) by the end of each watched minute, seen `lag` minutes later."""
            weight = self._levels.weights(datapoints, watched)
            alive = np.concatenate([np.ones((1 + lag, *alive.shape[1:])), alive])[: watched + 1]
            running = np.concatenate([alive[:-1], np.repeat(alive[-1:], len(weights) - watched, axis=0)])
            of_each = (len(members), len(self.scenarios), levels)
            bad[members] = (np.tensordot(sent, running, axes=(0, 0)) * added * passed).reshape(of_each) @ weight
            stopped[members] = 1 - (alive[-1] * passed).reshape(of_each) @ weight

        groups: dict[tuple[int, int, int], list[int]] = {}
        for k in self._by_minute:
            alarm = self.alarms[k]
            groups.setdefault((alarm.m, alarm.n, _lag(alarm)), []).append(k)
        breaches = np.array([self._breach(weight) for weight in weights[:watched]])
        breaches = breaches.reshape(watched, shape[0], shape[1] * levels)
        for (m, n, lag), members in groups.items():
            take(members, self._alive(breaches[:, members], m, n), lag, n)
        for k in self._sliding:
            long = round(self.alarms[k].period / MINUTE)
            take([k], self._alive_sliding(k, np.array(weights[:watched]))[:, None], _lag(self.alarms[k]), long)
        return Screened(stopped=stopped, bad=bad)

    def _weights(self, plan: Plan, periods: int) -> list[float]:
        """The new version's mean weight in each minute from the rollout's start."""
        begins = plan.time_to_full - math.fsum(step.hold for step in plan.steps[:-1])
        edges = np.arange(periods + 1) * MINUTE
        sent = np.zeros(periods + 1)
        at = begins
        for k, step in enumerate(plan.steps):
            end = at + step.hold if k < len(plan.steps) - 1 else math.inf
            sent += step.weight * np.clip(edges - at, 0.0, end - at)
            at = end
        return [round(weight, 9) for weight in (np.diff(sent) / MINUTE).tolist()]

    def _shares(self, scenario: Scenario) -> list[tuple[float, float, float, float, float]]:
        """The `failure_shares` of the new version's invocations at each level, once it is about to be found."""
        assert scenario.new is not None
        spec, t = scenario.function.versions[scenario.new], scenario.start + self.found_after
        rows = rows_of(spec.faults, scenario.start)
        return [
            failure_shares(rows, share, spec.failed_responses, t, False, 0.0, 0, NO_USER_QUANTILE)
            for share in self._error_rates(spec)
        ]

    def _error_rates(self, spec: VersionSpec) -> list[float]:
        """The share of errors of a version at each level; one that does not clump as the old one does keeps its mean."""
        first = self.scenarios[0]
        alike = spec.error_rate == first.function.versions[first.old].error_rate
        factors = self._levels.factors.tolist()
        return [min(spec.mean_error_rate * (factor if alike else 1.0), 1.0) for factor in factors]

    @cached_property
    def _failing(self) -> FloatArray:
        """The share of the new version's requests that is bad for the first SLO, once that is about to be found.

        Of each scenario at each level: shape (scenarios x levels,).
        """
        latency, shares = self.scenarios[0].slos[0].latency, []
        for scenario in self.scenarios:
            slow = [0.0] * self._levels.factors.size if latency is None else self._slow(scenario, latency)
            for failing, late in zip(self._shares(scenario), slow, strict=True):
                error = bad_share(failing)
                shares.append(error if latency is None else 1 - (1 - error) * (1 - late))
        return np.array(shares)

    @cached_property
    def _usual(self) -> FloatArray:
        """The share of the old version's requests that is bad for the first SLO, as `_failing` has it."""
        first = self.scenarios[0]
        spec, latency = first.function.versions[first.old], first.slos[0].latency
        slow = [0.0] * self._levels.factors.size if latency is None else self._levels.slow(spec, latency)
        bad = [
            1 - (1 - share) * (1 - spec.failed_responses) * (1 - late)
            for share, late in zip(self._error_rates(spec), slow, strict=True)
        ]
        return np.array(bad * len(self.scenarios))

    def _slow(self, scenario: Scenario, limit: float) -> list[float]:
        """The share of the new version's invocations at each level that take longer than `limit` (s)."""
        assert scenario.new is not None
        spec, t = scenario.function.versions[scenario.new], scenario.start + self.found_after
        factor, add, _, _ = slowdown(rows_of(spec.faults, scenario.start), t, 0.0, 0, 0.0)
        return self._levels.slow(spec, (limit - add) / factor)

    @staticmethod
    def _passes(plan: Plan, failing: float) -> float:
        """P(the hooks' tests let a version pass that fails such a share)."""
        from scipy.special import bdtr

        passes = 1.0
        for hook in (plan.before, plan.after):
            if hook is not None and hook.max_failures < hook.invocations:
                passes *= float(bdtr(hook.max_failures, hook.invocations, failing))
        return passes

    def _shares_of(self, alarm: Alarm) -> tuple[list[float], list[float]]:
        """The share of the old version's invocations that the alarm counts, and of the new one's, as `_failing` has them."""
        key = alarm.limit if alarm.metric == "duration" else None
        if key not in self._counted:
            first = self.scenarios[0]
            old = first.function.versions[first.old]
            if key is None:
                usual = self._error_rates(old) * len(self.scenarios)
                new = [error_share(failing) for scenario in self.scenarios for failing in self._shares(scenario)]
            else:
                usual = self._levels.slow(old, key) * len(self.scenarios)
                new = [share for scenario in self.scenarios for share in self._slow(scenario, key)]
            self._counted[key] = (usual, new)
        return self._counted[key]

    @cached_property
    def _counted(self) -> dict[float | None, tuple[list[float], list[float]]]:
        """What `_shares_of` has found, by the limit of the duration, None for errors."""
        return {}

    def _expected(self, k: int, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Requests that an alarm sees in minutes of these weights, and that it counts: (minutes,), (minutes, scenarios x levels)."""
        new = self.rate * MINUTE * weights
        rest = self.rate * MINUTE * (1 - weights) if self.alarms[k].of == "alias" else np.zeros_like(weights)
        return new + rest, new[:, None] * self._new_share[k] + rest[:, None] * self._usual_share[k]

    def _breach(self, weight: float) -> FloatArray:
        """P(a minute at this weight breaches): shape (alarms, scenarios x levels), those of longer periods 0."""
        if weight in self._breaches:
            return self._breaches[weight]
        breach = np.zeros(self._new_share.shape)
        counts: list[tuple[int, int, FloatArray]] = []
        for k in self._by_minute:
            alarm = self.alarms[k]
            requests, expected = self._expected(k, np.array([weight]))
            if alarm.metric == "errors":
                counts.append((k, math.floor(alarm.limit), expected[0]))
            elif 0 < requests[0] <= FEW:
                breach[k] = _share_beyond(requests[0], expected[0] / requests[0], _share(alarm), alarm.least)
            elif requests[0] >= alarm.least:
                counts.append((k, math.floor(_share(alarm) * requests[0]), expected[0]))
        if counts:
            from scipy.special import gammainc

            members, limits, expected = (np.array(part) for part in zip(*counts, strict=True))
            breach[members] = gammainc(limits[:, None] + 1, expected)  # P(Poisson(expected) > limit)
        if self._levels.independent:
            levels = self._levels.factors.size
            each = breach.reshape(len(self.alarms), -1, levels) @ self._levels.weights(1, 1)
            breach = np.repeat(each, levels, axis=1)
        self._breaches[weight] = breach
        return breach

    def _alive_sliding(self, k: int, weights: FloatArray) -> FloatArray:
        """P(no period of several minutes that ends by the end of each minute breaches): shape (minutes, scenarios x levels).

        Neighbouring sums share all but a minute. P(both are within the limit) is exact, and the chain of them is Markov's.
        """
        alarm = self.alarms[k]
        long = round(alarm.period / MINUTE)
        requests, expected = self._expected(k, np.concatenate([np.zeros(long), weights]))
        sums = np.concatenate([np.zeros((1, expected.shape[1])), np.cumsum(expected, axis=0)])
        within = np.concatenate([[0.0], np.cumsum(requests)])
        alive = np.ones((weights.size, expected.shape[1]))
        before, chance = np.ones(expected.shape[1]), np.ones(expected.shape[1])
        for minute in range(weights.size):
            end = minute + 1 + long
            seen = within[end] - within[end - long]
            limit = math.floor(alarm.limit if alarm.metric == "errors" else _share(alarm) * seen + 1e-9)
            if seen < max(alarm.least, 1e-12):
                alive[minute], before = chance, np.ones_like(before)
                continue
            shared = sums[end - 1] - sums[end - long]
            both, now = _both_within(limit, shared, expected[end - long - 1], expected[end - 1])
            chance = chance * np.divide(both, before, out=np.zeros_like(both), where=before > 0).clip(0, 1)
            alive[minute], before = chance, now
        return alive

    @staticmethod
    def _alive(breaches: FloatArray, m: int, n: int) -> FloatArray:
        """P(an M of N alarm has not fired by the end of each period): the shape of `breaches`, (periods, ...)."""
        after_fine, after_breach = alarm_run_chain(m, n)
        states = np.zeros((len(after_fine), *breaches.shape[1:]))
        states[0] = 1.0
        alive = np.zeros_like(breaches)
        for k, breach in enumerate(breaches):
            following = np.zeros_like(states)
            for state, (fine, breached) in enumerate(zip(after_fine, after_breach, strict=True)):
                following[fine] += states[state] * (1 - breach)
                if breached >= 0:
                    following[breached] += states[state] * breach
            states = following
            alive[k] = states.sum(axis=0)
        return alive


def _both_within(limit: int, shared: FloatArray, first: FloatArray, last: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P(two neighbouring sums are both at most `limit`), and P(the later one is), from the Poisson means of their parts."""
    from scipy.special import gammaincc, gammaln, xlogy

    common = np.arange(limit + 1)[:, None]
    chance = np.exp(xlogy(common, shared) - shared - gammaln(common + 1))
    both = (chance * gammaincc(limit - common + 1, first) * gammaincc(limit - common + 1, last)).sum(axis=0)
    return both, gammaincc(limit + 1, shared + last)


def _share_beyond(requests: float, shares: FloatArray, limit: float, least: float) -> FloatArray:
    """P(more than the share `limit` of a Poisson number of requests, and at least `least`, are counted), for each of `shares`."""
    from scipy.special import bdtrc, gammaln, xlogy

    n = np.arange(max(1, math.ceil(least)), math.ceil(requests + 8 * math.sqrt(requests) + 10))
    if not n.size:
        return np.zeros_like(shares)
    beyond = bdtrc(np.minimum(np.floor(limit * n + 1e-9), n)[:, None], n[:, None], shares)
    chances: FloatArray = np.exp(xlogy(n, requests) - requests - gammaln(n + 1)) @ beyond
    return chances


def _share(alarm: Alarm) -> float:
    """The share of the requests beyond which a datapoint breaches: of slow ones 1% for a p99."""
    return 0.01 if alarm.metric == "duration" else alarm.limit


def _lag(alarm: Alarm) -> int:
    """Minutes until a minute is visible, on average, rounded up."""
    return math.ceil((alarm.lag.mean if isinstance(alarm.lag, Distribution) else alarm.lag) / MINUTE)
