"""Random variates of one source: the same numbers for the same invocation, whoever asks and in whatever order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import scenario
from scipy import stats

from rollout_sim.core.distributions import Distribution
from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.planes.draws import ROUTE, SERVICE, Draws, jitter, service_times, user_quantiles

WEB: dict[str, Any] = {
    "source": "http",
    "alias": "prod",
    "arrivals": {"poisson": "5/s"},
    "users": {"count": 3, "zipf": 1},
}


def draws(seed: int = 1, name: str = "traffic/0", **changes: Any) -> Draws:
    source = scenario(traffic=[WEB | changes]).traffic[0]
    return Draws.of(source, Streams(seed=seed), name, 600.0)


def test_a_block_is_the_same_whenever_it_is_asked_for() -> None:
    forwards, backwards = draws(), draws()
    first = [forwards.attempt(block, attempt).uniforms for block in (0, 1) for attempt in (1, 2)]
    second = [backwards.attempt(block, attempt).uniforms for block in (1, 0) for attempt in (2, 1)][::-1]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert forwards.users(1) == backwards.users(1)


def test_blocks_attempts_seeds_and_sources_have_numbers_of_their_own() -> None:
    drawn = [
        draws().attempt(0, 1), draws().attempt(0, 2), draws().attempt(1, 1), draws(seed=2).attempt(0, 1),
        draws(name="traffic/1").attempt(0, 1),
    ]  # fmt: skip
    assert len({attempt.uniforms[ROUTE, 0] for attempt in drawn}) == len(drawn)


def test_a_slower_version_is_slower_for_every_invocation() -> None:
    """Inverse transform: durations of two versions rise together, which is what pairs the strategies."""
    u = draws().attempt(0, 1).uniforms[SERVICE]
    fast, slow = (
        service_times(Distribution(kind="exponential", parameters=(mean,)), 0.0, u, None) for mean in (0.1, 0.2)
    )
    assert (slow >= fast).all()
    assert np.corrcoef(fast, slow)[0, 1] > 0.99
    assert fast.mean() == pytest.approx(0.1, rel=0.1)


def test_size_adds_seconds_by_the_megabyte() -> None:
    u, sizes = np.full(3, 0.5), np.array([0.0, 1.0, 10.0])
    times = service_times(Distribution(kind="exponential", parameters=(0.1,)), 0.01, u, sizes)
    np.testing.assert_allclose(times - times[0], [0.0, 0.01, 0.1], atol=1e-6)


def test_jitter_is_uniform_and_independent_of_the_routing() -> None:
    u = np.array(draws().attempt(0, 1).route)
    jitters = np.array([jitter(x) for x in u.tolist()])
    assert stats.kstest(jitters, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(u, jitters)[0, 1]) < 4 / BLOCK**0.5


def test_users_come_as_often_as_their_shares() -> None:
    users = draws().users(0)
    assert users is not None
    counts = np.bincount(users, minlength=3)
    weights = np.array([1, 1 / 2, 1 / 3])
    assert stats.chisquare(counts, BLOCK * weights / weights.sum()).pvalue > 1e-4
    assert draws(users=None).users(0) is None


def test_a_user_has_one_quantile_for_good() -> None:
    few, many = (user_quantiles(Streams(seed=1), count) for count in (10, 1000))
    np.testing.assert_array_equal(few, many[:10])
    assert ((many >= 0) & (many < 1)).all()
