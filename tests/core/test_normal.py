"""Quantiles of the normal distribution beside the published test values of AS 241, SciPy's, and the compiled twin's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from rollout_sim.core.arrays import FloatArray
from rollout_sim.core.normal import quantile
from rollout_sim.planes.compiled.normal import quantile as compiled_quantile

EDGES = np.array(
    [0.0, 5e-324, 1e-300, 1e-12, 1.3e-11, 1.5e-11, 0.075, np.nextafter(0.075, 0), 0.5, 0.925, 1 - 2.0**-53]
)


def test_the_values_of_as_241() -> None:
    published = {0.25: -0.6744897501960817, 0.001: -3.090232306167814, 1e-20: -9.262340089798408}
    assert quantile(np.array(list(published))).tolist() == pytest.approx(list(published.values()), rel=1e-15)


@pytest.mark.parametrize("power", [1.0, 9.0, 90.0])
def test_as_exact_as_scipy_in_the_middle_and_in_both_tails(power: float) -> None:
    u = np.random.default_rng(1).random(20_000) ** power
    for shares in (u, np.minimum(1.0 - u, 1 - 2.0**-53)):
        theirs: FloatArray = ndtri(shares)
        inside = np.abs(theirs) > 1e-12
        assert quantile(shares)[inside] == pytest.approx(theirs[inside], rel=3e-15)


def test_shapes_are_kept_and_nothing_lies_below_zero() -> None:
    assert quantile(np.array(0.5)).shape == ()
    assert quantile(np.full((2, 3), 0.3)).shape == (2, 3)
    assert quantile(np.zeros(1))[0] == -np.inf


@pytest.mark.parametrize("power", [1.0, 9.0, 90.0])
def test_the_compiled_quantiles_are_the_same_to_the_last_bit(power: float) -> None:
    u = np.random.default_rng(2).random((20, 4096)) ** power
    for row in (*u, *np.minimum(1.0 - u, 1 - 2.0**-53), EDGES):
        assert compiled_quantile(row).tolist() == quantile(row).tolist()
