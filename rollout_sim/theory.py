"""Closed forms for rollouts: detection, budgets, alarms as Markov chains, queues without waiting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def detection_probability(rate: float, weight: float, seconds: float, error_rate: float, at_least: int = 1) -> float:
    """P(at least so many errors on the canary): errors are Poisson(rate x weight x seconds x error_rate)."""
    from scipy.stats import poisson

    return float(poisson.sf(at_least - 1, rate * weight * seconds * error_rate))


def no_request_probability(rate: float, weight: float, seconds: float) -> float:
    """P(the new version sees no request at all) = exp(-rate x weight x seconds)."""
    return math.exp(-rate * weight * seconds)


def time_to_detect(rate: float, weight: float, error_rate: float, at_least: int, probability: float) -> float:
    """Seconds until `at_least` errors have been seen with `probability`: a gamma quantile; infinite without errors."""
    from scipy.special import gammaincinv

    errors_per_second = rate * weight * error_rate
    return float(gammaincinv(at_least, probability)) / errors_per_second if errors_per_second else math.inf


def bad_requests_until(plan: Sequence[tuple[float, float]], rate: float, error_rate: float, until: float) -> float:
    """Expected bad requests of the new version until `until` (s) under weights (start (s), weight) that hold until the next."""
    starts = [start for start, _ in plan] + [math.inf]
    return sum(
        rate * error_rate * weight * max(0.0, min(end, until) - start)
        for (start, weight), end in zip(plan, starts[1:], strict=True)
    )


def burn_alert_time(threshold: float, objective: float, error_rate: float, weight: float, long_window: float) -> float:
    """Seconds until the long window, error-free before, burns above `threshold`; infinite if it never does."""
    share = error_rate * weight
    needed = threshold * (1 - objective)
    return long_window * needed / share if share > needed else math.inf


def erlang_b(servers: int, load: float) -> float:
    """Share of arrivals refused by an M/G/c/c queue offered `load` erlang: Erlang's recursion."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


def cold_burst(rate: float, weight: float, init: float, duration: float) -> float:
    """Cold starts in the first minute of a shift, at least: 1 + rate x weight x (init + duration), in steady arrivals."""
    return 1.0 + rate * weight * (init + duration)


def alarm_fired(breach: float, m: int, n: int, periods: int, lag: int = 0) -> float:
    """P(an M-of-N alarm has fired at or before evaluation `periods`), for independent periods breaching with `breach`.

    `lag` evaluations pass before a datapoint is visible. Earlier datapoints exist and did not breach (a missing
    one treated as not_breaching comes to the same). An exact Markov chain over the last n - 1 outcomes.
    """
    states = np.zeros(1 << (n - 1))
    states[0] = 1.0
    fired = 0.0
    for _ in range(max(periods - lag, 0)):
        following = np.zeros_like(states)
        for state in np.flatnonzero(states):
            for outcome, chance in ((1, breach), (0, 1 - breach)):
                history = (int(state) << 1) | outcome
                if history.bit_count() >= m:
                    fired += states[state] * chance
                else:
                    following[history & (states.size - 1)] += states[state] * chance
        states = following
    return float(fired)


def mean_run_length(breach: float, m: int, n: int) -> float:
    """Expected periods until an M-of-N alarm first fires: the chain of `alarm_fired`, solved; (1-p^n)/((1-p)p^n) for m = n."""
    size = 1 << (n - 1)
    alive = [state for state in range(size) if state.bit_count() < m]
    place = {state: k for k, state in enumerate(alive)}
    system = np.eye(len(alive))
    for state in alive:
        for outcome, chance in ((1, breach), (0, 1 - breach)):
            history = (state << 1) | outcome
            if history.bit_count() < m:
                system[place[state], place[history & (size - 1)]] -= chance
    return float(np.linalg.solve(system, np.ones(len(alive)))[place[0]])
