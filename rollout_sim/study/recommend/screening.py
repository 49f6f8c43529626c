"""Screening: how often each candidate stops and what it costs, from closed forms, to choose what is worth simulating.

Periods are taken as independent, with Poisson counts at their means: good enough to rank candidates, and not
reported. What is reported is simulated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rollout_sim.control.alarms import Alarm
from rollout_sim.control.strategies import Plan
from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.distributions import Distribution
from rollout_sim.function.faults import bad_share, error_share, failure_shares, rows_of, slowdown
from rollout_sim.planes.draws import NO_USER_QUANTILE
from rollout_sim.scenario.scenario import Scenario
from rollout_sim.theory import alarm_run_chain

MINUTE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """A strategy by closed forms, under each alarm and scenario: arrays of shape (alarms, scenarios)."""

    stopped: FloatArray
    """P(the rollout is stopped)."""
    bad: FloatArray
    """Expected bad requests that the rollout adds."""


class Screen:
    """Screens strategies of scenarios that differ only in the new version's faults, for the same alarms.

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
        self._breaches: dict[float, FloatArray] = {}

    def screen(self, plan: Plan) -> Screened:
        """The closed forms of a rollout after `plan`."""
        weights = self._weights(plan, math.ceil((plan.time_to_full + self.found_after) / MINUTE))
        watched = min(math.floor(plan.length / MINUTE + 1e-9), len(weights))
        failing = np.array([self._failing(scenario) for scenario in self.scenarios])
        passed = np.array([self._passes(plan, share) for share in failing])
        added = failing - self._usual()
        shape = (len(self.alarms), len(self.scenarios))
        bad, stopped = np.zeros(shape), np.zeros(shape)
        groups: dict[tuple[int, int, int], list[int]] = {}
        for k, alarm in enumerate(self.alarms):
            groups.setdefault((alarm.m, alarm.n, math.ceil(_mean_lag(alarm) / MINUTE)), []).append(k)
        for (m, n, lag), members in groups.items():
            breaches = np.array([self._breach(weight)[members] for weight in weights[:watched]])
            alive = self._alive(breaches, m, n)  # after each watched period, of shape (watched, members, scenarios)
            alive = np.concatenate([np.ones((1 + lag, *alive.shape[1:])), alive])[: watched + 1]
            running = np.concatenate([alive[:-1], np.repeat(alive[-1:], len(weights) - watched, axis=0)])
            sent = self.rate * MINUTE * np.array(weights)
            bad[members] = np.tensordot(sent, running, axes=(0, 0)) * added * passed
            stopped[members] = 1 - alive[-1] * passed
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

    def _shares(self, scenario: Scenario) -> tuple[float, float, float, float, float]:
        """The `failure_shares` of the new version's invocations, once it is about to be found."""
        assert scenario.new is not None
        spec, t = scenario.function.versions[scenario.new], scenario.start + self.found_after
        rows = rows_of(spec.faults, scenario.start)
        return failure_shares(rows, spec.mean_error_rate, spec.failed_responses, t, False, 0.0, 0, NO_USER_QUANTILE)

    def _failing(self, scenario: Scenario) -> float:
        """The share of the new version's requests that is bad for the first SLO, once that is about to be found."""
        latency, error = scenario.slos[0].latency, bad_share(self._shares(scenario))
        return error if latency is None else 1 - (1 - error) * (1 - self._slow(scenario, latency))

    def _usual(self) -> float:
        """The share of the old version's requests that is bad for the first SLO."""
        first = self.scenarios[0]
        spec, latency = first.function.versions[first.old], first.slos[0].latency
        slow = 0.0 if latency is None else 1 - float(spec.duration.cdf(np.array([latency]))[0])
        return 1 - (1 - spec.mean_error_rate) * (1 - spec.failed_responses) * (1 - slow)

    def _slow(self, scenario: Scenario, limit: float) -> float:
        """The share of the new version's invocations that take longer than `limit` (s)."""
        assert scenario.new is not None
        spec, t = scenario.function.versions[scenario.new], scenario.start + self.found_after
        factor, add, _, _ = slowdown(rows_of(spec.faults, scenario.start), t, 0.0, 0, 0.0)
        return 1 - float(spec.duration.cdf(np.array([(limit - add) / factor]))[0])

    @staticmethod
    def _passes(plan: Plan, failing: float) -> float:
        """P(the hooks' tests let a version pass that fails such a share)."""
        from scipy.stats import binom

        passes = 1.0
        for hook in (plan.before, plan.after):
            if hook is not None:
                passes *= float(binom.cdf(hook.max_failures, hook.invocations, failing))
        return passes

    def _breach(self, weight: float) -> FloatArray:
        """P(a minute at this weight breaches), that is P(Poisson(expected) > limit): shape (alarms, scenarios)."""
        from scipy.special import gammainc

        if weight in self._breaches:
            return self._breaches[weight]
        first = self.scenarios[0]
        old = first.function.versions[first.old]
        breach = np.zeros((len(self.alarms), len(self.scenarios)))
        for k, alarm in enumerate(self.alarms):
            per = self.rate * alarm.period
            new, rest = per * weight, per * (1 - weight) if alarm.of == "alias" else 0.0
            for j, scenario in enumerate(self.scenarios):
                if alarm.metric == "duration":
                    aged = 1 - float(old.duration.cdf(np.array([alarm.limit]))[0])
                    expected = new * self._slow(scenario, alarm.limit) + rest * aged
                    limit = math.floor(0.01 * (new + rest))
                else:
                    expected = new * error_share(self._shares(scenario)) + rest * old.mean_error_rate
                    limit = math.floor(alarm.limit if alarm.metric == "errors" else alarm.limit * (new + rest))
                breach[k, j] = float(gammainc(limit + 1, expected)) if expected > 0 else 0.0
        self._breaches[weight] = breach
        return breach

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


def _mean_lag(alarm: Alarm) -> float:
    """Seconds until a minute is visible, on average."""
    return alarm.lag.mean if isinstance(alarm.lag, Distribution) else alarm.lag
