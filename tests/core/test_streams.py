from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout_sim.core.streams import Streams
from rollout_sim.errors import ScenarioError


def numbers(seed: int, replication: int, name: str, *index: int) -> list[float]:
    return Streams(seed=seed, replication=replication).generator(name, *index).random(8).tolist()


@given(
    seed=st.integers(0, 2**63),
    replication=st.integers(0, 2**31),
    name=st.text(max_size=30),
    index=st.lists(st.integers(0, 2**31), max_size=2),
)
def test_the_same_stream_has_the_same_numbers(seed: int, replication: int, name: str, index: list[int]) -> None:
    assert numbers(seed, replication, name, *index) == numbers(seed, replication, name, *index)


def test_everything_that_names_a_stream_matters() -> None:
    names = ["arrivals", "arrivals ", "Arrivals", "routing", "", "1", "arrivals.0"]
    streams = [numbers(seed, k, name) for seed in (0, 1, 2) for k in (0, 1, 2) for name in names]
    streams += [numbers(0, 0, "arrivals", block) for block in (0, 1, 2)]
    streams += [numbers(0, 0, "arrivals", 0, 1), numbers(0, 0, "arrivals", 1, 0)]
    assert len({tuple(stream) for stream in streams}) == len(streams)


def test_seed_and_replication_are_not_added_up() -> None:
    assert numbers(1, 2, "arrivals") != numbers(2, 1, "arrivals")
    assert numbers(0, 3, "arrivals") != numbers(3, 0, "arrivals")


def test_drawing_from_one_stream_does_not_shift_another() -> None:
    streams = Streams(seed=5)
    before = streams.generator("routing").random(8).tolist()
    streams.generator("arrivals").random(1000)
    assert streams.generator("routing").random(8).tolist() == before


def test_streams_of_one_name_are_unrelated_between_replications() -> None:
    """The correlation of 20,000 pairs is within 5 / sqrt(20,000); false alarms: 1 in 1.7 million for each pair."""
    draws = [Streams(seed=3, replication=k).generator("arrivals").random(20_000) for k in range(4)]
    for i in range(4):
        for j in range(i):
            assert abs(np.corrcoef(draws[i], draws[j])[0, 1]) < 5 / np.sqrt(20_000)


def test_global_random_state_is_neither_read_nor_written() -> None:
    expected = numbers(1, 0, "arrivals")
    random.seed(99)
    state = random.getstate()
    assert numbers(1, 0, "arrivals") == expected
    assert random.getstate() == state


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ScenarioError, match="seed: needs a whole number from 0, got -1"):
        numbers(-1, 0, "arrivals")
