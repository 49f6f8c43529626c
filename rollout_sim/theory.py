"""Closed forms for rollouts: detection, budgets, alarms as Markov chains, queues without waiting.

They hold for steady Poisson traffic whose invocations fail independently, and take a version in isolation: no
retries, no limits, no errors of the old version. Times are seconds, rates per second, shares fractions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from rollout_sim.control.slo import budget_events
from rollout_sim.core.arrays import FloatArray

__all__ = [
    "alarm_fired",
    "alarm_run_chain",
    "bad_requests_until",
    "budget_events",
    "burn_alert_time",
    "catch_probability",
    "cold_burst",
    "detection_probability",
    "erlang_b",
    "managed_recovery_time",
    "mean_run_length",
    "mg_infinity_mean",
    "mg_infinity_pmf",
    "no_request_probability",
    "time_to_detect",
]

MAX_HISTORIES: Final = 1 << 12
"""The most states that an alarm's Markov chain may have: every alarm up to 13 periods, and `2 of 1000`."""
_ROUNDING: Final = 1e-9


def detection_probability(rate: float, weight: float, seconds: float, error_rate: float, at_least: int = 1) -> float:
    """P(`at_least` so many errors on the canary): errors are Poisson(rate × weight × seconds × error_rate).

    Source: thinning of a Poisson process. Raises ValueError for a weight or error rate that is no fraction.

    `rate` is that of all requests (1/s), `weight` the canary's share of them, `seconds` how long it lasts, `error_rate`
    the share of its requests that fails.

    Examples:
        >>> round(detection_probability(rate=50, weight=0.1, seconds=300, error_rate=0.002), 3)
        0.95
    """
    from scipy.special import gammainc

    _check_shares(weight=weight, error_rate=error_rate)
    # P(Poisson(x) >= k) is the regularised lower incomplete gamma function of (k, x).
    return float(gammainc(at_least, rate * weight * seconds * error_rate)) if at_least > 0 else 1.0


def no_request_probability(rate: float, weight: float, seconds: float) -> float:
    """P(the new version sees no request at all) = exp(-rate × weight × seconds).

    `rate` is that of all requests (1/s), `weight` the new version's share, `seconds` the time. Raises ValueError for a
    weight that is no fraction.

    Examples:
        >>> round(no_request_probability(rate=1 / 60, weight=0.1, seconds=600), 3)
        0.368
    """
    _check_shares(weight=weight)
    return math.exp(-rate * weight * seconds)


def time_to_detect(rate: float, weight: float, error_rate: float, at_least: int, probability: float) -> float:
    """Seconds until `at_least` errors have been seen with `probability`; infinite without errors.

    The wait for the k-th error is Gamma(k, rate × weight × error_rate); this is its quantile, the inverse of
    `detection_probability` in `seconds`. Raises ValueError for a share that is no fraction.

    Examples:
        >>> round(time_to_detect(rate=50, weight=0.1, error_rate=0.002, at_least=1, probability=0.95))
        300
    """
    from scipy.special import gammaincinv

    _check_shares(weight=weight, error_rate=error_rate, probability=probability)
    if at_least <= 0 or probability == 0:
        return 0.0
    errors_per_second = rate * weight * error_rate
    return float(gammaincinv(at_least, probability)) / errors_per_second if errors_per_second else math.inf


def bad_requests_until(plan: Sequence[tuple[float, float]], rate: float, error_rate: float, until: float) -> float:
    """Expected bad requests of the new version before `until` (s): rate × error_rate × the integral of its weight.

    `plan` holds (start (s), weight) in the order of time; a weight holds until the next start, the last one for ever.
    Raises ValueError for a plan out of order, or a share that is no fraction.

    Examples:
        >>> bad_requests_until([(0, 0.1), (300, 1.0)], rate=50, error_rate=0.04, until=360)
        180.0
    """
    _check_plan(plan)
    _check_shares(error_rate=error_rate)
    held = itertools.pairwise([*plan, (math.inf, 0.0)])
    weighted = math.fsum(weight * max(0.0, min(end, until) - start) for (start, weight), (end, _) in held)
    return rate * error_rate * weighted


def burn_alert_time(threshold: float, objective: float, error_rate: float, weight: float, long_window: float) -> float:
    """Seconds until the burn rate over the long window exceeds `threshold`; infinite if it never does.

    `objective` is the SLO's, `error_rate` the share of the canary's requests that fails, `weight` the canary's share of all
    (fractions); `long_window` is in seconds.
    long_window × threshold × (1 - objective) / (error_rate × weight): the window was free of errors, traffic is
    constant, the errors start at 0 and the short window, which fills sooner, does not hold the alert back. A burn that
    settles exactly at the threshold does not exceed it. Source: "Alerting on SLOs" in Google's SRE Workbook, chapter 5.
    Raises ValueError for a share that is no fraction, and for an objective that leaves no budget.

    Examples:
        >>> round(burn_alert_time(threshold=14.4, objective=0.999, error_rate=0.04, weight=1.0, long_window=3600))
        1296
    """
    _check_shares(objective=objective, error_rate=error_rate, weight=weight)
    if objective == 1:
        raise ValueError("objective leaves no error budget, got 1; allowed 0 up to but not 1")
    # Rounded as the alarms do it, because 0.0144 / (1 - 0.999) is a hair below 14.4.
    burn = round(error_rate * weight / (1 - objective), 9)
    return long_window * threshold / burn if burn > threshold else math.inf


def cold_burst(rate: float, weight: float, init: float, duration: float) -> float:
    """Cold starts in the first minute of a shift, at least: 1 + rate × weight × (init + duration).

    The first request finds no environment, and until it has ended, init included, so do all the others. Expected
    number, for a version without provisioned environments and `init` + `duration` (s) below a minute. `rate` is that of all
    requests (1/s), `weight` the new version's share of them (fraction).

    Raises ValueError for a weight that is no fraction.

    Examples:
        >>> cold_burst(rate=50, weight=0.1, init=0.35, duration=0.08)
        3.15
    """
    _check_shares(weight=weight)
    return 1.0 + rate * weight * (init + duration)


def erlang_b(servers: int, load: float) -> float:
    """Share of arrivals refused by an M/G/c/c queue of `servers` offered `load` erlang (rate × mean service).

    B(0) = 1, B(k) = load B(k-1) / (k + load B(k-1)): Erlang's recursion, which neither overflows nor cancels.
    Raises ValueError for a negative number of servers or load.

    Examples:
        >>> round(erlang_b(servers=10, load=5.0), 4)
        0.0184
    """
    if servers < 0 or load < 0:
        raise ValueError(f"servers and load must not be negative, got {servers} and {load:g}")
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
        if not blocked:  # too small for a number: it stays 0 however many servers there are
            break
    return blocked


def managed_recovery_time(step: float, *, target: float, reaction: float) -> float:
    """Seconds until managed instances throttle nothing any more after a load has grown `step`-fold at once.

    For a load that scaling for the share `target` of the places had settled to, and no limit on environments. There is room for
    1 / `target` times the load; from then on each `reaction` (s, `every` + `launch`) brings 1 / `target` times as many environments,
    since what is throttled loads none of them. Infinite for a `target` of 1 and a load that grows.

    Examples:
        >>> managed_recovery_time(10, target=0.5, reaction=240.0)  # a canary from 10% to 100%
        720.0
    """
    _check_shares(target=target)
    if step * target <= 1 + _ROUNDING:
        return 0.0
    if target == 1:
        return math.inf
    return math.ceil(math.log(step * target) / -math.log(target) - _ROUNDING) * reaction


def mg_infinity_mean(rate: float, mean_service: float) -> float:
    """Mean number of requests in service without a limit (M/G/infinity) = rate × mean service: Little's law.

    `rate` is in 1/s, `mean_service` in seconds.

    Examples:
        >>> mg_infinity_mean(rate=50, mean_service=0.1)
        5.0
    """
    return rate * mean_service


def mg_infinity_pmf(busy: int, rate: float, mean_service: float) -> float:
    """P(exactly `busy` requests in service) without a limit: Poisson(rate × mean service), whatever the distribution.

    `rate` is in 1/s, `mean_service` in seconds. Source: the M/G/infinity queue in steady state (Takács, 1962).

    Examples:
        >>> round(mg_infinity_pmf(busy=5, rate=50, mean_service=0.1), 4)
        0.1755
    """
    from scipy.stats import poisson

    return float(poisson.pmf(busy, mg_infinity_mean(rate, mean_service)))


def alarm_run_chain(m: int, n: int) -> tuple[list[int], list[int]]:
    """The Markov chain of an `m` of `n` alarm that has not fired: the next state after a fine and a breaching period.

    A state is which of the last n - 1 periods breached, with fewer than `m` of them: at most 2^(n-1) states. State 0
    saw no breach; -1 is the alarm. Raises ValueError unless 1 <= m <= n, and for more than `MAX_HISTORIES` states.

    Examples:
        >>> alarm_run_chain(2, 2)
        ([0, 0], [1, -1])
    """
    if not 1 <= m <= n:
        raise ValueError(f"an alarm needs 1 <= m <= n, got {m} of {n}")
    size = sum(math.comb(n - 1, breaches) for breaches in range(m))
    if size > MAX_HISTORIES:
        raise ValueError(f"{m} of {n} has too many histories for an exact chain, got {size}; allowed {MAX_HISTORIES}")
    histories = [0]
    place = {0: 0}
    after: tuple[list[int], list[int]] = ([], [])
    for history in histories:  # grows as new histories are reached
        for outcome in (0, 1):
            newest = history << 1 | outcome
            if newest.bit_count() >= m:
                after[outcome].append(-1)
                continue
            # The oldest of n periods drops out.
            kept = newest & ((1 << (n - 1)) - 1)
            if kept not in place:
                place[kept] = len(histories)
                histories.append(kept)
            after[outcome].append(place[kept])
    return after


def alarm_fired(breach: float, m: int, n: int, periods: int, lag: int = 0) -> float:
    """P(an `m` of `n` alarm has fired at or before evaluation `periods`), each period breaching with P = `breach`.

    One evaluation per period, periods independent, the first evaluation after the first period: with `lag` evaluation
    k sees the datapoints up to k - lag. Earlier datapoints did not breach (an alarm on the alias), or are missing and
    treated as not_breaching (an alarm on the new version): both need `m` breaches and give the same number.
    Raises ValueError for an impossible alarm or probability.

    Examples:
        >>> alarm_fired(breach=0.5, m=2, n=2, periods=3)
        0.375
    """
    _check_shares(breach=breach)
    return _fired([breach] * max(periods - lag, 0), m, n)


def mean_run_length(breach: float, m: int, n: int, lag: int = 0) -> float:
    """Expected evaluations until an `m` of `n` alarm first fires, the firing one included; infinite if it never does.

    Each datapoint breaches with the probability `breach`, independently, and is visible `lag` evaluations late.
    The chain of `alarm_fired`, solved for its mean time to absorption: (1 - p^n) / ((1 - p) p^n) for m = n, plus
    `lag`. States are eliminated without a subtraction (Grassmann, Taksar and Heyman, 1985), so that it keeps
    its digits for rare breaches, the mean time between false alarms.
    Raises ValueError for an impossible alarm or probability.

    Examples:
        >>> mean_run_length(breach=0.5, m=2, n=2)
        6.0
    """
    _check_shares(breach=breach)
    after_fine, after_breach = alarm_run_chain(m, n)
    size = len(after_fine)
    moves = np.zeros((size, size))
    fires = np.zeros(size)
    periods = np.ones(size)
    for state, (fine, breached) in enumerate(zip(after_fine, after_breach, strict=True)):
        moves[state, fine] += 1 - breach
        if breached < 0:
            fires[state] += breach
        else:
            moves[state, breached] += breach
    for last in range(size - 1, 0, -1):
        leaves = moves[last, :last].sum() + fires[last]
        sources = np.flatnonzero(moves[:last, last])
        visits = moves[sources, last] / leaves
        moves[sources, :last] += visits[:, None] * moves[last, :last]
        fires[sources] += visits * fires[last]
        periods[sources] += visits * periods[last]
    return float(periods[0] / fires[0]) + lag if fires[0] > 0 else math.inf


def catch_probability(
    rate: float,
    plan: Sequence[tuple[float, float]],
    error_rate: float,
    until: float,
    *,
    period: float = 60.0,
    threshold_count: int = 0,
    m: int = 1,
    n: int = 1,
    lag: float = 0.0,
) -> float:
    """P(an alarm on the new version's errors rolls back at or before `until`), for the weights of `plan`.

    `rate` is that of all requests (1/s), `error_rate` the share (fraction) of the new version's that fails; the alarm is
    `m` of `n` periods with more than `threshold_count` errors.
    A canary of 10% for 5 min that starts at 0 is `[(0, 0.1)]` until 300; `plan` is that of `bad_requests_until`. A
    period breaches with P(Poisson(its expected errors) > threshold_count), then the chain of `alarm_fired`.
    Periods are [k, k + 1) × `period` (s) on the clock of `plan`, so that a start between their ends leaves the first
    one partly filled. `lag` counts periods until a datapoint is visible (0.2 for a minute of 5 min). A period ending,
    lag included, exactly at `until` counts: a rollback beats a promotion due at the same instant.

    Exact for n = 1. For n > 1 a period without a request counts as fine, where CloudWatch would skip it and look
    further back: an approximation, good while `no_request_probability(rate, weight, period)` is small. Invocations
    that end after their period are taken to be in it. Raises ValueError for an empty plan or one out of order, and
    for an impossible alarm or share.

    Examples:
        >>> round(catch_probability(rate=50, plan=[(0, 0.1)], error_rate=0.002, until=300, threshold_count=0, m=2, n=3), 3)
        0.645
    """
    from scipy.special import pdtrc

    if not plan:
        raise ValueError("plan must hold at least one (start, weight), got none")
    if period <= 0 or lag < 0:
        raise ValueError(f"period must be positive and lag not negative, got {period:g} s and {lag:g}")
    first = math.floor(plan[0][0] / period + _ROUNDING)
    stop = math.floor(until / period - lag + _ROUNDING)
    so_far = [bad_requests_until(plan, rate, error_rate, k * period) for k in range(first, stop + 1)]
    # Falling short of zero by rounding would be no Poisson mean.
    expected = np.maximum(np.diff(so_far), 0.0)
    breaches: FloatArray = pdtrc(threshold_count, expected) if threshold_count >= 0 else np.ones(expected.size)
    return _fired(breaches.tolist(), m, n)


def _fired(breaches: Iterable[float], m: int, n: int) -> float:
    """P(an `m` of `n` alarm has fired by the last of independent periods that breach with these probabilities)."""
    after_fine, after_breach = (np.array(after) for after in alarm_run_chain(m, n))
    firing = after_breach < 0
    states = np.zeros(after_fine.size)
    states[0] = 1.0
    fired = 0.0
    for breach in breaches:
        fired += breach * states[firing].sum()
        following = np.zeros(states.size)
        np.add.at(following, after_fine, states * (1 - breach))
        np.add.at(following, after_breach[~firing], states[~firing] * breach)
        states = following
    return min(float(fired), 1.0)


def _check_shares(**values: float) -> None:
    """Raises ValueError for the first value that is no fraction: 10 where 10% was meant."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be a fraction, got {value:g}; allowed 0 to 1")


def _check_plan(plan: Sequence[tuple[float, float]]) -> None:
    for start, weight in plan:
        _check_shares(weight=weight)
        if not math.isfinite(start):
            raise ValueError(f"a start in the plan must be finite, got {start:g}")
    starts = [start for start, _ in plan]
    if starts != sorted(starts):
        raise ValueError(f"the plan's starts must be in the order of time, got {starts}")
