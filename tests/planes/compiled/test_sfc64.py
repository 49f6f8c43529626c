"""The streams' generators written out: NumPy's own numbers, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollout_sim.core.streams import BLOCK, Streams
from rollout_sim.planes.compiled.sfc64 import GOES_ON, QuickStreams, uniforms

NUMBERS = st.one_of(st.integers(0, 2**33), st.integers(0, 2**160))


@given(seed=NUMBERS, replication=NUMBERS, name=st.text(max_size=9), index=st.lists(NUMBERS, max_size=3))
@example(seed=0, replication=0, name="", index=[])
@example(seed=2**128, replication=2**32, name="x", index=[2**32 - 1, 2**64])
def test_a_stream_has_numpys_numbers_whatever_names_it(
    seed: int, replication: int, name: str, index: list[int]
) -> None:
    its_own = Streams(seed=seed, replication=replication)
    quick = QuickStreams(seed=seed, replication=replication)
    expected = its_own.generator(name, *index).random(12)

    state, rows, more = np.empty(4, np.uint64), np.empty((2, 3)), np.empty((3, 2))
    uniforms(quick.entropy(name, *index), state, rows)
    uniforms(GOES_ON, state, more)
    assert [*rows.ravel(), *more.ravel()] == expected.tolist()

    ours, numpys = quick.generator(name, *index), its_own.generator(name, *index)
    assert ours.standard_exponential(300).tolist() == numpys.standard_exponential(300).tolist()
    assert ours.bit_generator.state["state"]["state"].tolist() == numpys.bit_generator.state["state"]["state"].tolist()


@pytest.mark.parametrize("after", [0.0, 4096.25])
def test_arrivals_of_rate_one_are_the_same_to_the_last_bit(after: float) -> None:
    numpys = Streams(seed=5).unit_arrivals(after, "arrivals", 3)
    assert QuickStreams(seed=5).unit_arrivals(after, "arrivals", 3).tolist() == numpys.tolist()
    assert numpys.size == BLOCK
    assert numpys[0] > after
    assert (np.diff(numpys) >= 0).all()
