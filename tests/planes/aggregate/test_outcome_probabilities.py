"""Probabilities of outcomes against closed forms: integrals that can be done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rollout_sim.core.distributions import Constant, Distribution
from rollout_sim.function.faults import Fault, Slowdown, rows_of
from rollout_sim.planes.aggregate.probabilities import VersionBehaviour, even_probabilities, outcome_probabilities


def behaviour(
    *faults: Fault, error_rate: float = 0.0, timeout: float = 1000.0, edges: tuple[float, ...] = ()
) -> VersionBehaviour:
    return VersionBehaviour(
        duration=Distribution(kind="exponential", parameters=(2.0,)),
        error_rate=error_rate,
        timeout=timeout,
        rows=rows_of(faults, 0.0),
        edges=edges,
    )


def test_errors_and_durations_are_independent() -> None:
    found = outcome_probabilities(behaviour(error_rate=0.1, edges=(1.0, 4.0)), 0.0, 60.0)
    below = 1 - np.exp(-np.array([0.0, 1.0, 4.0, math.inf]) / 2)
    np.testing.assert_allclose(found[:, :, 0], np.outer([0.9, 0.1], np.diff(below)), atol=1e-6)


def test_what_is_over_by_an_instant_is_an_integral_over_the_start() -> None:
    """With starts even over [0, 60) and the mean m: 1 - (m / 60)(exp(-(s - 60) / m) - exp(-s / m)) are over by s."""
    found = outcome_probabilities(behaviour(), 0.0, 60.0, (60.0, 63.0))
    over = [1 - 2 / 60 * (math.exp(-(s - 60) / 2) - math.exp(-s / 2)) for s in (60.0, 63.0)]
    np.testing.assert_allclose(np.cumsum(found[0, 0]), [*over, 1.0], atol=1e-6)


def test_a_fault_on_the_rise_counts_half() -> None:
    """A share that rises in a line over the interval from 0 to 40% is 20% on average; after an onset within, less."""
    rising = outcome_probabilities(behaviour(Fault(errors=0.4, onset=0.0, ramp=60.0)), 0.0, 60.0)
    assert rising[1].sum() == pytest.approx(0.2)
    onset = outcome_probabilities(behaviour(Fault(errors=0.4, onset=45.0)), 0.0, 60.0)
    assert onset[1].sum() == pytest.approx(0.1)


def test_the_density_of_arrivals_weighs_the_starts() -> None:
    """With a density that rises in a line from 0, three quarters come in the second half, in which the fault is."""
    found = outcome_probabilities(behaviour(Fault(errors=0.4, onset=30.0)), 0.0, 60.0, density=lambda t: t)
    assert found[1].sum() == pytest.approx(0.75 * 0.4)


def test_timeouts_fail_at_the_limit() -> None:
    """exp(-1) of the invocations run into a timeout of the mean; they end 2 s after their start, and count as slow."""
    found = outcome_probabilities(behaviour(timeout=2.0, edges=(1.999,)), 0.0, 1.0, (2.0,))
    assert found[1].sum() == pytest.approx(math.exp(-1), abs=1e-5)
    assert found[1, 0].sum() == 0
    assert found[1, 1, 0] == pytest.approx(0.0, abs=1e-9), "none of them has started 2 s ago"


def test_hangs_come_first_and_last_as_long_as_the_timeout() -> None:
    found = outcome_probabilities(behaviour(Fault(hang=0.2), error_rate=0.5, timeout=500.0, edges=(499.0,)), 0.0, 60.0)
    assert found[1, 1, 0] == pytest.approx(0.2, abs=1e-6)
    assert found[1, 0, 0] == pytest.approx(0.8 * 0.5, abs=1e-6)


def test_a_crash_is_over_at_once() -> None:
    """Of those that start in [0, 60), all that crash but the last 10 ms' are over by 60 s, and none is slow."""
    crashing = behaviour(Fault(crash=0.2), error_rate=0.5, timeout=500.0, edges=(0.01, 499.0))
    found = outcome_probabilities(crashing, 0.0, 60.0, (60.0,))
    short = 1 - math.exp(-(0.01 + 5e-7) / 2)
    assert found[1, 0].sum() == pytest.approx(0.2 + 0.8 * 0.5 * short, abs=1e-6)
    crashed = outcome_probabilities(behaviour(Fault(crash=1.0)), 0.0, 60.0, (60.0,))
    assert crashed[1, 0].tolist() == pytest.approx([1 - 0.01 / 60, 0.01 / 60], abs=1e-9)


def test_failed_responses_are_as_quick_as_successes() -> None:
    answering = behaviour(Fault(responses=0.5), error_rate=0.1, edges=(1.0,))
    found = outcome_probabilities(answering, 0.0, 60.0)
    assert found.shape == (3, 2, 1)
    np.testing.assert_allclose(found[2], found[0])
    assert found.sum(axis=(1, 2)).tolist() == pytest.approx([0.45, 0.1, 0.45], abs=1e-6)


def test_a_slowdown_hits_its_share() -> None:
    fast = VersionBehaviour(
        duration=Constant(value=1.0), error_rate=0.0, timeout=10.0, edges=(1.5,),
        rows=rows_of((Fault(latency=Slowdown(factor=2.0), share=0.3),), 0.0),
    )  # fmt: skip
    np.testing.assert_allclose(outcome_probabilities(fast, 0.0, 60.0)[0, :, 0], [0.7, 0.3])


@pytest.mark.parametrize("seen", [(), (61.0,), (60.0, 75.0, 3000.0)])
def test_they_sum_to_one(seen: tuple[float, ...]) -> None:
    faults = (Fault(errors=0.1, onset=10.0, ramp=7.0), Fault(crash=0.05, until=33.0), Fault(latency=Slowdown(add=0.4)))
    found = outcome_probabilities(behaviour(*faults, timeout=7.0, edges=(0.5, 3.0)), 0.0, 60.0, seen)
    assert found.shape == (2, 3, len(seen) + 1)
    assert found.sum() == pytest.approx(1.0)


def test_what_all_batches_share_is_what_each_would_compute_and_stays_so() -> None:
    given = (behaviour(Fault(errors=0.4, onset=30.0), edges=(1.0,)), 0.0, 60.0, (60.0, 63.0))
    shared = even_probabilities(*given)
    np.testing.assert_array_equal(shared, outcome_probabilities(*given))
    assert even_probabilities(*given) is shared
    assert even_probabilities(behaviour(Fault(errors=0.5, onset=30.0), edges=(1.0,)), *given[1:]) is not shared
    with pytest.raises(ValueError, match="read-only"):
        shared += 1
